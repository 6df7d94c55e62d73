"""From an environment file to a `Specification`: the one place where files are opened and the surroundings are read.

What the two kinds of file say is read by `mlp.environment.conda_file` and `mlp.environment.python_file`; here it is
brought together with the requirements files that they name, the settings, the channels and the indexes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlp.environment import channels, conda_file, python_file
from mlp.environment.content import digest
from mlp.environment.credentials import Credential, Secrets, bare, passwords_in, split
from mlp.environment.indexes import indexes_from
from mlp.environment.managers import built_as
from mlp.environment.matching import channel_of, insisting_on
from mlp.environment.requirements import Line, Requirements, inline, local_paths
from mlp.environment.settings import Settings
from mlp.environment.specification import LocalContent, Specification
from mlp.errors import EnvironmentInvalid, ProjectInvalid
from mlp.project.mlproject import parse
from mlp.project.problems import Findings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.environment.declared import Declared
    from mlp.environment.managers import Kind

__all__ = ["read"]


def read(
    kind: Kind,
    file: Path,
    *,
    manager: str | None = None,
    project: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Specification:
    """Read an environment file.

    Args:
        kind: What the project says that it is.
        file: The file.
        manager: What the user wants it to be built with; None for what the file asks for.
        project: The project's root, where ``-r requirements.txt`` is looked for; the file's own directory if not given.
        variables: The surroundings with the settings; this process's environment variables if not given.

    Raises:
        EnvironmentInvalid: The file, or one that it names, cannot be understood. The message begins with the place.
        ExecutionException: The manager cannot build what the project declares.
        UsageError: There is no such manager, or a setting has a value that means nothing.
    """
    build_kind = built_as(kind, manager)
    surroundings = os.environ if variables is None else variables
    settings = Settings.of(surroundings)
    file = file.absolute()
    findings = Findings()
    declared = _declared(kind, build_kind, file, findings)
    directory = file.parent
    # The project's root comes first: that is where MLflow looks.
    places = (*((project.absolute(),) if project is not None else ()), directory)
    build, pip = inline(declared.build, places), inline(declared.pip, places)
    everywhere = inline(_constraints_of_the_machine(surroundings), (Path.cwd(),)) if declared.pip else Requirements()
    lines = (*build.lines, *pip.lines)
    local = tuple(LocalContent(text, digest(path)) for text, path in dict(local_paths(lines, directory)).items())
    indexes = indexes_from(surroundings)
    addresses, specs, credentials = _channels(declared, settings, surroundings, directory)
    if build_kind == "python":
        # Only used where this machine has no interpreter of the version that is asked for.
        addresses, credentials = _split_all(
            channels.expand((), default=settings.channels, alias=settings.channel_alias, directory=directory)
        )
    for host in sorted({each.host for each in credentials}):
        if len({each.secret for each in credentials if each.host == host}) > 1:
            # rattler knows one credential a host.
            findings.warn(f"Channels of {host} are given with different credentials; only the last of them is used.")
    constraints = (*build.constraints, *pip.constraints, *everywhere.constraints)
    everything = "\n".join(line.text for line in (*lines, *constraints))
    return Specification(
        kind=build_kind,
        file=str(file),
        directory=directory,
        settings=settings,
        channels=addresses,
        conda=specs,
        python=declared.python,
        build=tuple(line.text for line in build.lines),
        pip=tuple(line.text for line in pip.lines),
        constraints=tuple(dict.fromkeys(line.text for line in constraints)),
        local=local,
        places={line.text: line.place for line in lines},
        variables=declared.variables,
        indexes=indexes.shown,
        credentials=credentials,
        index_variables=indexes.variables,
        secrets=Secrets.of(
            (*indexes.secrets, *passwords_in(everything), *(credential.secret for credential in credentials))
        ),
        warnings=tuple(bare(warning) for warning in findings.warnings),
    )


def _constraints_of_the_machine(surroundings: Mapping[str, str]) -> tuple[Line, ...]:
    """The constraints files that pip would heed in every installation."""
    files = (surroundings.get("PIP_CONSTRAINT") or "").split()
    return tuple(Line(f"--constraint {file}", "PIP_CONSTRAINT") for file in files)


def _declared(kind: Kind, build_kind: Kind, file: Path, findings: Findings) -> Declared:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise EnvironmentInvalid(f"There is no environment file {file}.") from None
    except OSError as error:
        raise EnvironmentInvalid(f"The environment file {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise EnvironmentInvalid(f"{file} is not text in UTF-8.") from None
    try:
        content = parse(file.name, text)
        if kind == "python":
            declared = python_file.declared(content, findings)
        elif build_kind == "conda":
            declared = conda_file.declared(content, findings)
        else:
            declared = conda_file.python_part(content, findings)
        for mistake in findings.errors[:1]:
            raise mistake
    except ProjectInvalid as error:
        # The reader of YAML is the project's; the mistake is the environment's.
        raise EnvironmentInvalid(str(error)) from None
    return declared


def _channels(
    declared: Declared, settings: Settings, surroundings: Mapping[str, str], directory: Path
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Credential, ...]]:
    """Addresses of channels, match specs, and what both held of credentials."""
    written = [_with_variables(name, surroundings) for name in declared.channels]
    alias = settings.channel_alias
    addresses = channels.expand(written, default=settings.channels, alias=alias, directory=directory)
    clean, credentials = _split_all(addresses)
    specs = []
    for spec in declared.conda:
        if name := channel_of(spec):
            # rattler does not add the channel by itself, as conda does, and knows no other alias than its own.
            insisted = (_with_variables(name, surroundings), channels.NO_DEFAULTS)
            further, more = _split_all(channels.expand(insisted, default=(), alias=alias, directory=directory))
            clean, credentials = (*clean, *further), (*credentials, *more)
            specs.append(insisting_on(further[0], spec) if further else spec)
        else:
            specs.append(spec)
    return tuple(dict.fromkeys(clean)), tuple(specs), tuple(dict.fromkeys(credentials))


def _split_all(addresses: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Credential, ...]]:
    parts = [split(address) for address in addresses]
    clean = tuple(dict.fromkeys(url for url, _ in parts))
    return clean, tuple(dict.fromkeys(credential for _, credential in parts if credential))


def _with_variables(name: str, surroundings: Mapping[str, str]) -> str:
    """A channel with ${VARIABLES} filled in, as conda does; an unknown one stays as it is."""
    for variable, value in surroundings.items():
        if "$" not in name:
            break
        name = name.replace(f"${{{variable}}}", value)
    return name
