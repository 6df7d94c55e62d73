"""What whoever runs mlp has decided about environments: all from environment variables, none from a project.

In a pod the operator sets them, on a laptop the user may. Whatever changes what ends up in an environment is part of
the environment's hash (see `mlp.environment.specification`); credentials never are.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["Settings", "default_root", "subdir"]

_PRIORITIES: Final = ("flexible", "strict", "disabled")
_STRATEGIES: Final = ("first-index", "unsafe-first-match", "unsafe-best-match")
_SOURCES: Final = ("any", "machine", "conda")
_LINKS: Final = ("hardlink", "copy")
_ARCHITECTURES: Final = {"x86_64": "64", "amd64": "64", "arm64": "aarch64", "i686": "32"}
_DAY: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Decisions about every environment.

    Attributes:
        channels: The default conda channels: appended to those of a conda.yaml that does not say ``nodefaults``, and
            where the Python of a python_env.yaml comes from if this machine has none of that version.
        channel_alias: What stands before a channel that is a mere name.
        channel_priority: ``flexible`` as conda's own default, ``strict`` or ``disabled``.
        link_scripts: Whether the packages' own post-link scripts run, as conda has them.
        virtual: Virtual conda packages, such as ``__cuda=12.4``, apart from the kernel's version.
        exclude_newer: A date: nothing that was published later is used, from channels and indexes.
        index_strategy: How uv chooses between several indexes, where it is not uv's default.
        python_from: Where the interpreter of a python_env.yaml may come from: ``machine``, ``conda`` or ``any``.
        link: ``hardlink`` files from the package caches, or ``copy`` them.
        compile: Whether Python files are compiled after the build.
        time_limit: Seconds after which a build is given up.
        package_layers: Further conda package caches, which are only read: baked into an image, say.
        salt: Any text; another one makes another environment of the same file.
    """

    channels: tuple[str, ...] = ("conda-forge",)
    channel_alias: str = "https://conda.anaconda.org/"
    channel_priority: str = "flexible"
    link_scripts: bool = True
    virtual: tuple[str, ...] = ()
    exclude_newer: str | None = None
    index_strategy: str | None = None
    python_from: str = "any"
    link: str = "hardlink"
    compile: bool = True
    time_limit: float = _DAY
    package_layers: tuple[str, ...] = ()
    salt: str = ""

    @classmethod
    def of(cls, variables: Mapping[str, str] | None = None) -> Settings:
        """Read them from variables; from this process's where none are given.

        Raises:
            UsageError: A variable has a value that means nothing.
        """
        given = os.environ if variables is None else variables
        default = cls()
        return cls(
            channels=_words(given.get("MLP_CONDA_CHANNELS")) or default.channels,
            channel_alias=(given.get("MLP_CONDA_CHANNEL_ALIAS") or default.channel_alias).rstrip("/") + "/",
            channel_priority=_one_of(given, "MLP_CONDA_CHANNEL_PRIORITY", _PRIORITIES) or default.channel_priority,
            link_scripts=_switch(given, "MLP_CONDA_LINK_SCRIPTS", default=default.link_scripts),
            virtual=virtual_packages(given),
            exclude_newer=_moment(given, "MLP_EXCLUDE_NEWER"),
            index_strategy=_one_of(given, "MLP_INDEX_STRATEGY", _STRATEGIES)
            or _one_of(given, "UV_INDEX_STRATEGY", _STRATEGIES),
            python_from=_one_of(given, "MLP_PYTHON_FROM", _SOURCES) or default.python_from,
            link=_one_of(given, "MLP_LINK_MODE", _LINKS) or default.link,
            compile=_switch(given, "MLP_ENV_COMPILE", default=default.compile),
            time_limit=_seconds(given, "MLP_ENV_BUILD_TIMEOUT", default=default.time_limit),
            package_layers=tuple(filter(None, (given.get("MLP_CONDA_PACKAGE_LAYERS") or "").split(os.pathsep))),
            salt=given.get("MLP_ENV_SALT", ""),
        )


def default_root(variables: Mapping[str, str] | None = None) -> Path:
    """Where environments are kept: MLP_ENV_ROOT, else the user's cache directory.

    Raises:
        UsageError: That is below a home directory, and there is none.
    """
    given = os.environ if variables is None else variables
    root = given.get("MLP_ENV_ROOT") or f"{given.get('XDG_CACHE_HOME') or '~/.cache'}/mlp/envs"
    try:
        return Path(root).expanduser().absolute()
    except RuntimeError:
        raise UsageError(
            f"Environments are kept in {root}, and there is no such home directory. Name another place in MLP_ENV_ROOT."
        ) from None


def subdir() -> str:
    """This machine's platform in conda's words, such as linux-64."""
    system = {"linux": "linux", "darwin": "osx", "win32": "win"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    if system == "osx" and machine == "arm64":
        return "osx-arm64"
    return f"{system}-{_ARCHITECTURES.get(machine, machine)}"


def virtual_packages(variables: Mapping[str, str]) -> tuple[str, ...]:
    """What the machine offers to conda packages, as far as an environment depends on it.

    Whoever builds for other machines (a builder without a GPU for nodes that have one) sets CONDA_OVERRIDE_CUDA,
    _GLIBC and _ARCHSPEC, as for conda; an empty value means that there is no such thing. Left alone, the processor is
    the plainest of its family, so that an environment of a new machine works on an old one.
    """
    machine = platform.machine().lower()
    detected = {
        "__archspec": f"1={ {'amd64': 'x86_64'}.get(machine, machine) }",
        "__cuda": _cuda(),
        "__glibc": _glibc(),
        "__osx": platform.mac_ver()[0] if sys.platform == "darwin" else "",
    }
    for name in detected:
        override = variables.get(f"CONDA_OVERRIDE_{name.removeprefix('__').upper()}")
        if override is not None:
            detected[name] = f"1={override}" if name == "__archspec" and override else override
    return tuple(f"{name}={version}" for name, version in sorted(detected.items()) if version)


def _glibc() -> str:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, OSError, ValueError):
        return ""
    return version if name == "glibc" else ""


def _cuda() -> str:
    """The version of CUDA that the driver offers; empty where there is no driver."""
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()):
        return ""
    import ctypes  # noqa: PLC0415 -- only machines with a driver need it

    version = ctypes.c_int()
    try:
        if ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version)):
            return ""
    except (OSError, AttributeError):
        return ""
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(filter(None, re.split(r"[,\s]+", text or "")))


def _one_of(variables: Mapping[str, str], name: str, known: Collection[str]) -> str | None:
    value = variables.get(name)
    if value and value not in known:
        raise UsageError(f"{name} is {value!r}, but it must be one of {', '.join(known)}.")
    return value or None


def _switch(variables: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = variables.get(name, "").lower()
    if value in {"", "1", "true", "yes", "on"}:
        return default if value == "" else True
    if value in {"0", "false", "no", "off"}:
        return False
    raise UsageError(f"{name} is {value!r}, but it must be true or false.")


def _seconds(variables: Mapping[str, str], name: str, *, default: float) -> float:
    value = variables.get(name)
    if not value:
        return default
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{name} is {value!r}, but it must be a number of seconds.")
    return seconds


def _moment(variables: Mapping[str, str], name: str) -> str | None:
    from datetime import datetime  # noqa: PLC0415 -- rarely set

    value = variables.get(name)
    if not value:
        return None
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise UsageError(f"{name} is {value!r}, but it must be a date such as 2026-01-31 or a time after it.") from None
    return value
