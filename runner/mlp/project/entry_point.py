"""Entry points: the commands that a project offers under a name, and scripts that are run by their path."""

from __future__ import annotations

import posixpath
import shlex
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mlp.errors import EntryPointNotFound, MlpError, ParameterInvalid
from mlp.project.command import faults, fill, first_script, in_quotes, with_extras
from mlp.project.files import inside
from mlp.project.parameters import Parameter, ResolvedParameter, missing, misspelt, read_parameter
from mlp.project.problems import Problem
from mlp.project.suggestion import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from mlp.errors import ProjectInvalid
    from mlp.project.files import Places, ProjectFiles
    from mlp.project.problems import Findings
    from mlp.project.values import Mapping as Spec
    from mlp.project.values import Position, Value

__all__ = ["EntryPoint", "Filled", "is_script", "read_entry_point", "script"]

_KEYS: Final = ("parameters", "command")
_FREE_TEXTS: Final = ("string", "path", "uri")
_SCRIPTS: Final = (".py", ".sh", ".R")


@dataclass(frozen=True, slots=True)
class Filled:
    """An entry point's command with everything put in.

    Attributes:
        command: A text for ``bash -c``.
        parameters: The declared parameters in the order of their declaration, then the others in the order given.
        warnings: What may not be what the user meant.
    """

    command: str
    parameters: tuple[ResolvedParameter, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A command under a name.

    Attributes:
        name: Its name: a key of entry_points, or a script's path.
        parameters: The declared parameters by name.
        command: The command as written; for a script, the whole command.
        position: Where the command stands in the project's file; None for a script, whose command has no placeholders.
    """

    name: str
    parameters: Mapping[str, Parameter]
    command: str
    position: Position | None

    def faults(self, *, given: Collection[str] = (), validate: bool = True) -> Iterator[ProjectInvalid]:
        """What is wrong with the entry point itself, and for its author to put right.

        Args:
            given: The names of the parameters that are given. Their defaults do not matter.
            validate: Whether types and defaults matter at all.
        """
        if validate:
            for name, parameter in self.parameters.items():
                yield from parameter.faults(default=name not in given)
        if self.position is not None:
            yield from faults(self.command, self.parameters, given=given, position=self.position)

    def warn(self, files: ProjectFiles, findings: Findings) -> None:
        """Note what is probably a mistake: quotes around a placeholder, a script that is not there (yet)."""
        if self.position is None:
            return
        if not any(faults(self.command, self.parameters, given=(), position=self.position)):
            self._warn_of_quotes(findings, self.position)
        name = first_script(self.command)
        if name is None or name.startswith("/") or files.has(inside(name) or name):
            return
        advice = did_you_mean(name, filter(is_script, files.root()))
        self.position.warn(f"the command runs {name}, and the project has no such file.{advice}", findings)

    def _warn_of_quotes(self, findings: Findings, position: Position) -> None:
        for name in dict.fromkeys(in_quotes(self.command)):
            # Numbers and booleans need no quotes, so they get none.
            if self.parameters[name].type in _FREE_TEXTS:
                position.warn(
                    f"the command puts {{{name}}} into quotes. Values are quoted when they are put in, so with these "
                    "around it a value with a blank falls apart, and one with a quote can run as a command. "
                    f"Write {{{name}}} without quotes.",
                    findings,
                )

    def objections(self, given: Mapping[str, str | None], *, places: Places) -> Iterator[Problem]:
        """What is wrong with a call, and for the caller to put right.

        Args:
            given: The values by name; None is one that is given and not known here.
            places: What paths and URIs mean where the command will run.
        """
        extras = {name: value for name, value in given.items() if name not in self.parameters}
        if absent := self._absent(given):
            yield Problem.of(missing(absent, extra=extras))
        for name, parameter in self.parameters.items():
            if name in absent or (name in given and given[name] is None):
                continue
            try:
                parameter.resolve(given.get(name), places=places, validate=True)
            except MlpError as error:  # of places too, which know stores of data
                yield Problem.of(error, parameter=name)
        for name, value in extras.items():
            if wrong := _unpassable(name, value or ""):
                yield Problem.of(wrong, parameter=name)
        for warning in misspelt(extras, self.parameters):
            yield Problem(warning, "warning")

    def fill(
        self,
        given: Mapping[str, str],
        *,
        places: Places,
        validate: bool,
        references: Mapping[str, str] = MappingProxyType({}),
    ) -> Filled:
        """Form the command for these parameters.

        Args:
            given: The values by name.
            places: What paths and URIs mean where the command will run.
            validate: Whether values have to fit their types.
            references: For those of the values that are secret: by name, the environment variable that holds it.

        Raises:
            ProjectInvalid: The entry point is at fault.
            ParameterMissing: Parameters without a default were not given; names them all.
            ParameterInvalid: A value does not fit.
        """
        # Before anything that the caller could put right: that work would be in vain.
        if fault := next(self.faults(given=given, validate=validate), None):
            raise fault
        extras = {name: value for name, value in given.items() if name not in self.parameters}
        if absent := self._absent(given):
            raise missing(absent, extra=extras)
        declared = [
            parameter.refer(given[name], references[name], validate=validate)
            if name in references
            else parameter.resolve(given.get(name), places=places, validate=validate)
            for name, parameter in self.parameters.items()
        ]
        for name, value in extras.items():
            if wrong := _unpassable(name, value):
                raise wrong
        command = self.command
        if self.position is not None:
            values = {each.name: each.value for each in declared if each.reference is None}
            command = fill(command, values, position=self.position, references=references)
        return Filled(
            command=with_extras(command, extras, references=references),
            parameters=(*declared, *(_extra(name, value, references.get(name)) for name, value in extras.items())),
            warnings=misspelt(extras, self.parameters),
        )

    def _absent(self, given: Collection[str]) -> list[str]:
        return [name for name, declared in self.parameters.items() if declared.default is None and name not in given]


def read_entry_point(name: str, value: Value, findings: Findings) -> EntryPoint:
    """Read one entry of entry_points.

    Args:
        name: The entry point's name.
        value: What stands behind it.
        findings: Where warnings are noted, and mistakes that leave something to be read.

    Raises:
        ProjectInvalid: It is nothing that could have a command.
    """
    what = f"entry point {name!r}"
    if isinstance(value.data, str):
        raise value.invalid(f"{what} is a text, but it must be a mapping: write the text behind a key 'command'.")
    entry = value.mapping(what, wanted="a mapping with a command", findings=findings)
    entry.only(_KEYS, findings)
    parameters: Mapping[str, Parameter] | None = None
    with findings.apart():
        parameters = _read_parameters(what, entry, findings)
    command, position = "", None
    with findings.apart():
        written = _read_command(what, entry)
        command = str(written.data)
        # Without its parameters every placeholder would look wrong.
        position = written.position if parameters is not None else None
    return EntryPoint(name, MappingProxyType(parameters or {}), command, position)


def _read_parameters(what: str, entry: Spec, findings: Findings) -> dict[str, Parameter]:
    parameters: dict[str, Parameter] = {}
    if "parameters" not in entry.entries:
        return parameters
    declared = entry.entries["parameters"].mapping(
        f"'parameters' of {what}",
        wanted="a mapping from names to types; without parameters leave the key out",
        findings=findings,
    )
    for name, spec in declared.entries.items():
        position = declared.keys[name]
        # A declaration that cannot be read is one all the same, for the placeholders that name it.
        parameters[name] = Parameter(name, "string", None, position, position, position)
        with findings.apart():
            parameters[name] = read_parameter(name, position, spec, findings)
    return parameters


def _read_command(what: str, entry: Spec) -> Value:
    command = entry.entries.get("command")
    if command is None:
        raise entry.position.invalid(f"{what} has no command.")
    if not isinstance(command.data, str):
        raise command.no_text(f"the command of {what}")
    if not command.data.strip():
        raise command.invalid(f"the command of {what} is empty.")
    return command


def _unpassable(name: str, value: str) -> ParameterInvalid | None:
    """The error for a parameter that is not declared and that no command line can hold; None for any other."""
    if name and "\0" not in name + value:
        return None
    return ParameterInvalid(f"Parameter {name!r} has no name, or contains a NUL character.")


def _extra(name: str, value: str, reference: str | None) -> ResolvedParameter:
    shown = value if reference is None else ""
    return ResolvedParameter(name, "string", shown, shown, "Extra", reference)


def is_script(path: str) -> bool:
    """Whether a file can be run as an entry point by its name's ending."""
    return posixpath.splitext(path)[1] in _SCRIPTS


def script(path: str, *, files: ProjectFiles, shell: str, declared: Iterable[str]) -> EntryPoint:
    """The entry point that a file of the project is.

    Args:
        path: The path from the project's root, for which `is_script` holds.
        files: The project's files.
        shell: The program for .sh files.
        declared: The names of the project's entry points, one of which may be meant.

    Raises:
        EntryPointNotFound: There is no such file in the project.
    """
    normal = inside(path)
    if normal is None:
        raise EntryPointNotFound(
            f"Entry point {path} lies outside the project; give a script's path from the project's root."
        )
    if not files.has(normal):
        raise EntryPointNotFound(
            f"Could not find {path}: it is no entry point, and the project has no such file."
            f"{_advice(normal, files, list(declared))}"
        )
    # A name that begins with a dash would be an option.
    name = f"./{path}" if path.startswith("-") else path
    match posixpath.splitext(path)[1]:
        case ".py":
            command = f"python {shlex.quote(name)}"
        case ".sh":
            command = f"{shlex.quote(shell)} {shlex.quote(name)}"
        case _:
            literal = name.replace("\\", r"\\").replace("'", r"\'")
            source = f"mlflow::mlflow_source('{literal}')"
            command = f"Rscript -e {shlex.quote(source)} --args"
    return EntryPoint(path, MappingProxyType({}), command, None)


def _advice(path: str, files: ProjectFiles, declared: list[str]) -> str:
    # Deeper scripts can't be listed; a path written from the wrong directory can at least be looked up.
    basename = posixpath.basename(path)
    stem = posixpath.splitext(path)[0]
    if stem in declared or files.has(basename):
        return f" Did you mean {(stem if stem in declared else basename)!r}?"
    return did_you_mean(path, [*declared, *filter(is_script, files.root())])
