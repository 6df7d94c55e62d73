"""What a project's container looks like, as the engine's command line. Nothing is started here.

MLflow joins such a command unquoted into a string for the host's bash, so that a ``;`` in a value or an ``&&`` in a
command runs on the host. Here it is a list of arguments that no shell sees; the shell that the entry point's command is
written for is the container's. And MLflow's container has the project's code only if an image was built with it;
here the project's directory is mounted where such an image has it.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mlp.backends.local.container_shell import in_its_shell
from mlp.backends.local.container_storage import storage
from mlp.backends.local.engine import Engine, end_container, find_engine
from mlp.backends.local.mounts import Mount, outermost, volume, volume_target
from mlp.errors import ParameterInvalid, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlp.project import Environment

__all__ = [
    "PROJECT_DIRECTORY",
    "Container",
    "Engine",
    "contain",
    "container_arguments",
    "copied_variables",
    "end_container",
    "find_engine",
]

PROJECT_DIRECTORY: Final = "/mlflow/projects/code"
"""Where the project is in its container, as in images that MLflow builds."""

# `docker run -e NAME` takes the value from the engine's own variables, so that it is in no argument that other users
# of the machine can see. What the engine's client itself obeys cannot go that way.
_OBEYED_BY_ENGINES: Final = re.compile(
    r"PATH|HOME|TMPDIR|LD_\w+|GO\w+|DOCKER_\w+|BUILDKIT_\w+|BUILDAH_\w+|CONTAINER\w*|PODMAN_\w+|REGISTRY_\w+"
    r"|STORAGE_\w+|XDG_\w+|DBUS_\w+|SSL_CERT_\w+|LISTEN_\w+|NOTIFY_SOCKET|_CONTAINERS_\w+"
)
# Podman takes NAME* for every variable that begins so.
_VARIABLE: Final = re.compile(r"[^\s=*]+")
_ARGUMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_DETACHING: Final = ("d", "detach")

_LOOPBACK: Final = frozenset(("localhost", "127.0.0.1", "::1"))
_HOLDING_THE_IMAGE: Final = frozenset(
    ("/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/proc", "/sbin", "/sys", "/usr")
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Container:
    """One container that is to run.

    Attributes:
        name: Its name, by which it can be ended.
        arguments: The command that runs it, for as long as it runs.
        variables: Environment variables that this command needs beside the caller's: the container's values.
        directories: Directories that have to exist before; the engine mounts nothing that is not there.
        warnings: What the user should know.
    """

    name: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str]
    directories: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


def container_arguments(  # noqa: PLR0913 -- all that a container is made of
    engine: Engine,
    *,
    environment: Environment,
    directory: Path,
    name: str,
    command: str,
    variables: Mapping[str, str],
    docker_args: Mapping[str, str | bool] | None = None,
    paths: Iterable[Path] = (),
    artifact_uri: str | None = None,
) -> Container:
    """How a command is run in a container by this process: with its variables, from its directory.

    What `contain` says, with the directories made and the warnings told.
    """
    contained = contain(
        engine,
        environment=environment,
        project=directory,
        name=name,
        command=command,
        variables=variables,
        environ=os.environ,
        caller=Path.cwd(),
        docker_args=docker_args,
        paths=paths,
        artifact_uri=artifact_uri,
    )
    for needed in contained.directories:
        needed.mkdir(parents=True, exist_ok=True)
    for warning in contained.warnings:
        _log.warning("%s", warning)
    return contained


def contain(  # noqa: PLR0913 -- all that a container is made of
    engine: Engine,
    *,
    environment: Environment,
    project: Path,
    name: str,
    command: str,
    variables: Mapping[str, str],
    environ: Mapping[str, str],
    caller: Path,
    docker_args: Mapping[str, str | bool] | None = None,
    paths: Iterable[Path] = (),
    artifact_uri: str | None = None,
) -> Container:
    """How a command is run in the container that a project declares. Pure, but for a look at the user's ~/.aws.

    Args:
        engine: What runs it.
        environment: The project's docker_env.
        project: The project's directory, absolute.
        name: What to call the container, if docker_args have no name.
        command: The entry point's command.
        variables: What mlp gives to the command: the run's ID, the tracking server.
        environ: The caller's variables, of which the container gets those that the project names, and credentials of
            the artifact store.
        caller: The caller's directory, absolute: relative addresses of stores are meant from there.
        docker_args: Further options of ``docker run``, names without dashes; True for one without a value.
        paths: Local files and directories that the command's arguments name, absolute.
        artifact_uri: Where the run's artifacts go.

    Raises:
        UsageError: An option that cannot be, or a variable that the project expects is not set.
        ParameterInvalid: A path that would cover what is in the image.
    """
    if environment.image is None:
        raise ValueError("a container needs an image")
    stores = storage(variables.get("MLFLOW_TRACKING_URI"), artifact_uri, environ=environ, base=caller)
    values = {
        **_account(engine, environ),
        **variables,
        **stores.variables,
        **copied_variables(environment, environ),
        **dict(entry for entry in environment.variables if not isinstance(entry, str)),
    }
    volumes = [volume(text, base=project, environ=environ) for text in environment.volumes]
    mounts = [Mount(project, PROJECT_DIRECTORY, read_only=False), *stores.mounts, *map(_shown, outermost(paths))]
    # Engines refuse two mounts at one place: the project's own word counts, then the first.
    places = {mount.target: mount for mount in reversed(mounts)}
    for text in volumes:
        places.pop(volume_target(text), None)
    options, needed = _environment(values, environ)
    extra = dict(docker_args or {})
    return Container(
        name=str(extra.get("name") or name),
        arguments=(
            *(engine.program, "run", "--rm", "--init", "--name", name),
            *("--user", engine.user, "--workdir", PROJECT_DIRECTORY),
            *(("--security-opt", "label=disable") if engine.selinux else ()),
            *(word for mount in sorted(places.values(), key=_depth) for word in ("--mount", str(mount))),
            *(word for text in volumes for word in ("--volume", text)),
            *options,
            # Of an option that is given twice, the last counts: the user's.
            *(_option(option, value) for option, value in extra.items()),
            *("--", environment.image, *in_its_shell(command)),
        ),
        variables=needed,
        directories=stores.directories,
        warnings=_out_of_reach(values.get("MLFLOW_TRACKING_URI"), extra),
    )


def copied_variables(environment: Environment, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a project wants copied from this machine.

    Raises:
        UsageError: One is not set.
    """
    names = [entry for entry in environment.variables if isinstance(entry, str)]
    for name in names:
        if name not in environ:
            raise UsageError(
                f"This project expects the {', '.join(names)} environment variables to be set on the machine running "
                f"the project, but {name} was not set. Please ensure all expected environment variables are set"
            )
    return {name: environ[name] for name in names}


def _account(engine: Engine, environ: Mapping[str, str]) -> dict[str, str]:
    """What programs ask about their user, who is not in the image's list of users unless it is root."""
    user, _, _ = engine.user.partition(":")
    return {} if user == "0" else {"HOME": "/tmp", "USER": environ.get("USER") or user}  # noqa: S108 -- the container's


def _environment(values: Mapping[str, str], environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The engine's options for the container's variables, and the variables that it takes values from."""
    options: list[str] = []
    needed: dict[str, str] = {}
    for name, value in values.items():
        if not _VARIABLE.fullmatch(name):
            raise UsageError(f"docker_env.environment names {name!r}, which no container engine takes for a variable.")
        if environ.get(name) == value:
            options += ["--env", name]
        elif _OBEYED_BY_ENGINES.fullmatch(name):
            options += ["--env", f"{name}={value}"]
        else:
            options += ["--env", name]
            needed[name] = value
    return options, needed


def _shown(path: Path) -> Mount:
    if str(path) in _HOLDING_THE_IMAGE or Path(PROJECT_DIRECTORY).is_relative_to(path):
        raise ParameterInvalid(
            f"The path {path} cannot be shown to the project's container: there it would cover what is in the image. "
            "Name a directory inside it."
        )
    return Mount(path, str(path), read_only=True)


def _depth(mount: Mount) -> tuple[int, str]:
    return mount.target.count("/"), mount.target


def _out_of_reach(tracking_uri: str | None, docker_args: Mapping[str, str | bool]) -> tuple[str, ...]:
    """A container has a network of its own, in which this machine's own address is the container's."""
    host = urlsplit(tracking_uri or "").hostname
    if host not in _LOOPBACK or "network" in docker_args or "net" in docker_args:
        return ()
    warning = (
        f"The project's container may not reach the tracking server at {host}: that is the container itself. Give it "
        "this machine's network with -A network=host, or name the server by an address that others reach too."
    )
    return (warning,)


def _option(name: str, value: str | bool) -> str:  # noqa: FBT001 -- as a command line has it
    if not _ARGUMENT.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of an option of docker run. Write -A NAME=VALUE, or -A NAME for one without a value, "
            "and leave out the dashes."
        )
    if name in _DETACHING and value is not False:
        raise UsageError(
            f"The option {name} of docker run would leave the container behind and call its run finished. Leave it "
            "out; to go on while a run lasts, call mlp.run(..., synchronous=False)."
        )
    dashes = "-" if len(name) == 1 else "--"
    # Joined, so that a value is not taken for the image where the option has none ("init=true").
    return f"{dashes}{name}" if value is True else f"{dashes}{name}={str(value).lower() if value is False else value}"
