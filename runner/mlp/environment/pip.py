"""pip's part of an environment, done by uv: install, list, and say what went wrong in words that a user can act on.

Requirements go to uv on its standard input and credentials in its environment, so neither is in an argument list or in
a file. Relative paths begin where the environment file lies.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlp.environment.credentials import Secrets
from mlp.environment.diagnosis import STEPS, explain
from mlp.environment.extras import find_uv
from mlp.environment.git_access import GitAccess
from mlp.environment.indexes import index_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlp.environment.order import Order

__all__ = ["freeze", "install", "uv_variables"]

_EDITABLE: Final = re.compile(r"(?:-e\s*|--editable[\s=]+)")
_ONLY_AN_OPTION: Final = re.compile(r"-[ifc]\b|--(?!requirement|editable)")
_WARNING: Final = re.compile(r"warning: ")


def uv_variables(order: Order) -> dict[str, str]:
    """How uv is set up, whatever the user or the machine has configured for it."""
    variables = {
        "UV_CACHE_DIR": str(order.cache("uv")),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_LINK_MODE": order.settings.link,
        "NO_COLOR": "1",
        **order.index_variables,
    }
    if order.settings.index_strategy:
        variables["UV_INDEX_STRATEGY"] = order.settings.index_strategy
    if order.settings.exclude_newer:
        variables["UV_EXCLUDE_NEWER"] = order.settings.exclude_newer
    return variables


def install(order: Order, say: Callable[[str], None]) -> None:
    """Install the lines that come first, then the others.

    Raises:
        MlpError: It cannot be done.
    """
    steps = [lines for lines in (order.build, order.pip) if _installs(lines)]
    with tempfile.TemporaryDirectory(prefix="mlp-", dir=order.metadata) as private:
        constraints = Path(private, "constraints.txt")
        constraints.write_text("".join(f"{line}\n" for line in order.constraints), encoding="utf-8")
        for lines in steps:
            # uv compiles all that is installed, so that is left to its last call.
            options = ["--constraint", str(constraints)] if order.constraints else []
            options += ["--compile-bytecode"] if order.settings.compile and lines is steps[-1] else []
            say(f"Installing {_counted(lines)} with uv")
            _install(order, lines, options, say)


def _installs(lines: tuple[str, ...]) -> bool:
    """Whether lines hold more than options."""
    return any(not _ONLY_AN_OPTION.match(line) for line in lines)


def _install(order: Order, lines: tuple[str, ...], more: list[str], say: Callable[[str], None]) -> None:
    command = [find_uv(), "pip", "install", "--python", str(order.interpreter), "--requirement", "-"]
    command += [*more, *index_options(order.index_variables)]
    if order.local or order.refresh:
        # uv takes what it once built of a directory for what it would build now, as long as its metadata look the same.
        command.append("--refresh")
    git = GitAccess(lines, os.environ)
    said: list[str] = []
    with subprocess.Popen(
        command,
        cwd=order.directory,
        env=order.surroundings(**uv_variables(order), UV_BREAK_SYSTEM_PACKAGES="1", **git.variables()),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        pass_fds=(order.lock,),
    ) as uv:
        assert uv.stdin and uv.stderr  # noqa: S101, PT018 -- they are pipes
        # uv may have ended at once, and says why on its way out.
        with contextlib.suppress(BrokenPipeError), uv.stdin:
            uv.stdin.write("".join(f"{_as_a_copy(line, order)}\n" for line in git.lines))
        for line in uv.stderr:
            said.append(Secrets.of(git.secrets).mask(line.rstrip("\n")))
            if STEPS.match(said[-1].strip()) or _WARNING.match(said[-1]):
                say(said[-1].strip())
    if uv.returncode:
        raise explain(order, "\n".join(said), lines)


def _as_a_copy(line: str, order: Order) -> str:
    """A line without ``-e``: an environment outlives the directory that it would go on pointing to."""
    return _EDITABLE.sub("", line, count=1) if line in order.local else line


def _counted(lines: tuple[str, ...]) -> str:
    return f"{len(lines)} requirement{'s' if len(lines) > 1 else ''}"


def freeze(order: Order) -> str:
    """What was installed from indexes, one exact version a line; conda's packages are in explicit.txt."""
    done = subprocess.run(
        [find_uv(), "pip", "freeze", "--python", str(order.interpreter)],
        cwd=order.layout.root,
        env=order.surroundings(**uv_variables(order)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        pass_fds=(order.lock,),
    )
    if done.returncode:
        raise explain(order, done.stderr)
    by_conda = {_normal(name) for name in _installed_by_conda(order.prefix)}
    lines = [
        line for line in done.stdout.splitlines() if _normal(re.split(r"[ =@]", line, maxsplit=1)[0]) not in by_conda
    ]
    return order.secrets.mask("".join(f"{line}\n" for line in lines))


def _installed_by_conda(prefix: Path) -> list[str]:
    return [
        installer.parent.name.partition("-")[0]
        for installer in prefix.glob("lib/python*/site-packages/*.dist-info/INSTALLER")
        if installer.read_text(errors="replace").strip() == "conda"
    ]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
