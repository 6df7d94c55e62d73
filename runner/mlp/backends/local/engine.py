"""The container engine of this machine: Docker, or Podman, which takes the same commands.

This module finds one that answers, and ends what was started with it. What a container looks like is
`mlp.backends.local.container`; neither builds an image or pushes one.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from mlp.errors import EngineUnavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Engine", "end_container", "find_engine", "refuse_to_build"]

_SETTING: Final = "MLP_CONTAINER_ENGINE"
_ENGINES: Final = ("docker", "podman")
_PATIENCE: Final = 30.0
"""Seconds for an answer. A daemon that is being started by the question (by a socket of systemd) takes a few."""

_NOT_FOUND: Final = (
    "Could not find Docker executable. Ensure Docker is installed as per the instructions at "
    "https://docs.docker.com/install/overview/."
)
_OTHERWISE: Final = (
    "To run the project in the current environment instead, install what it needs and pass --env-manager local."
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine that has answered.

    Attributes:
        program: Its command's path.
        user: The user and group IDs that a container's process needs, so that what it writes in a mounted directory
            belongs to the caller. Without a daemon of root's, that is root: the engine maps it to the caller.
        selinux: Whether it labels containers, which then may not read a user's files.
    """

    program: str
    user: str
    selinux: bool = False


def find_engine(environ: Mapping[str, str]) -> Engine:
    """The engine that the variable MLP_CONTAINER_ENGINE names, else Docker, else Podman.

    Args:
        environ: The caller's environment variables.

    Raises:
        EngineUnavailable: There is none, or it does not answer.
    """
    named = environ.get(_SETTING)
    complaint = None
    for candidate in (named,) if named else _ENGINES:
        program = shutil.which(candidate, path=environ.get("PATH"))
        if program is None:
            continue
        answer = _ask(program, environ)
        if isinstance(answer, Engine):
            return answer
        complaint = complaint or (candidate, answer)
    if complaint:
        raise _silent(*complaint)
    if named:
        raise EngineUnavailable(
            f"Could not find {named}, which the variable {_SETTING} names. Install it, or name docker, podman or the "
            f"path of one. {_OTHERWISE}"
        )
    raise EngineUnavailable(f"{_NOT_FOUND} Podman is as good. {_OTHERWISE}")


def end_container(engine: Engine, name: str, *, environ: Mapping[str, str] | None = None, grace: int = 10) -> None:
    """End a container and remove it. That it has ended already, or was never made, is as good.

    Args:
        engine: The engine that it was started with.
        name: The container's name.
        environ: The environment variables that it was started with; this process's own if None.
        grace: Seconds from SIGTERM to SIGKILL.
    """

    def tell(*arguments: str) -> subprocess.CompletedProcess[str]:
        return _run(
            [engine.program, *arguments], os.environ if environ is None else environ, patience=grace + _PATIENCE
        )

    try:
        # Both engines have -t; the long name differs between releases.
        tell("stop", "-t", str(grace), name)
        removed = tell("rm", "--force", name)
        if tell("container", "inspect", name).returncode == 0:
            _log.warning(
                "The container %s may still run: %s End it with: %s rm --force %s",
                *(name, removed.stderr.strip(), engine.program, name),
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("The container %s may still run: %s", name, error)


def refuse_to_build() -> NoReturn:
    """Say why there is no --build-image.

    Raises:
        UsageError: Always.
    """
    raise UsageError(
        "mlp builds no images, and needs none: the project's directory is mounted into a container of the image that "
        "docker_env names. Leave out --build-image (build_image). For packages that the image lacks, build one "
        "yourself and name it in docker_env."
    )


def _ask(program: str, environ: Mapping[str, str]) -> Engine | str:
    """The engine, or what it said instead of an answer."""
    try:
        done = _run([program, "info", "--format", "{{json .}}"], environ, patience=_PATIENCE)
    except subprocess.TimeoutExpired:
        return f"(no answer within {_PATIENCE:.0f} s)"
    except OSError as error:
        return str(error)
    said = done.stderr.strip() or f"(exit status {done.returncode}, and no word)"
    if done.returncode != 0:
        return said
    try:
        info = json.loads(done.stdout)
        return _podman(program, info["host"]["security"]) if "host" in info else _docker(program, info) or said
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{said}\nIts answer was no description of a Docker or Podman."


def _podman(program: str, security: Mapping[str, bool]) -> Engine:
    return Engine(program, user=_user(rootless=security["rootless"]), selinux=security.get("selinuxEnabled", False))


def _docker(program: str, info: Mapping[str, str | list[str] | None]) -> Engine | None:
    # Docker's client describes itself and ends with 0 where there is no daemon.
    if not info.get("ServerVersion"):
        return None
    options = " ".join(info.get("SecurityOptions") or ())
    return Engine(program, user=_user(rootless="name=rootless" in options), selinux="name=selinux" in options)


def _user(*, rootless: bool) -> str:
    return "0:0" if rootless else f"{os.getuid()}:{os.getgid()}"


def _run(command: list[str], environ: Mapping[str, str], *, patience: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=patience,
        check=False,
    )


def _silent(candidate: str, output: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"Ran `{candidate} info` to ensure docker daemon is running but it failed with the following output:\n"
        f"{output}\nStart it, or name another engine in the variable {_SETTING}. {_OTHERWISE}"
    )
