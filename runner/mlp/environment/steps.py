"""The steps of a build, in their order. Runs in the builder's process, and only there."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import time
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from mlp.environment import activation, interpreters, pip
from mlp.errors import PreparationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlp.environment.order import Order

__all__ = ["build", "publish"]


def build(order: Order, say: Callable[[str], None]) -> dict[str, Any]:
    """Build the environment at its final place.

    Returns:
        What the marker will say.

    Raises:
        MlpError: It cannot be built.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        seconds[step] = round(time.monotonic() - started, 3)

    # rattler refuses to start without a home directory, and uv looks for one.
    os.environ.setdefault("HOME", str(order.cache("home")))
    packages = order.build or order.pip
    interpreter = None
    with timed("conda" if order.kind == "conda" else "python"):
        if order.kind == "conda":
            from mlp.environment import conda  # noqa: PLC0415 -- needs py-rattler

            conda.install(order, order.conda, say)
        else:
            interpreter = interpreters.provide(order, say)
    order.metadata.mkdir(parents=True, exist_ok=True)
    has_python = os.access(order.interpreter, os.X_OK)
    if packages:
        if not has_python:
            raise PreparationError(
                f"{order.file} has a pip section, but none of its conda packages brings Python; add python to its "
                "dependencies."
            )
        with timed("pip"):
            pip.install(order, say)
    if has_python:
        (order.metadata / "pip-freeze.txt").write_text(pip.freeze(order))
        # uv has compiled a virtual environment's packages, and conda's that lie beside those that it installed.
        if order.settings.compile and interpreter is None:
            with timed("compile"):
                _compile(order, say)
        _try(order)
    activation.write(order)
    return {
        "hash": order.name,
        "kind": order.kind,
        "file": order.file,
        "request": order.request,
        "python": has_python,
        "interpreter": interpreter,
        "variables": activation.variables(order),
        "versions": {name: _version(name) for name in ("mlp-operator", "py-rattler", "uv")},
        "seconds": seconds,
    }


def publish(order: Order, record: dict[str, Any]) -> None:
    """Make the environment one: everything is on the disk before the marker is there, and the marker is there whole."""
    marker = order.layout.marker(order.name)
    being_written = marker.with_suffix(".tmp")
    with being_written.open("w", encoding="utf-8") as file:
        json.dump({**record, "built": time.time()}, file, indent=1)
        file.write("\n")
        file.flush()
        _flush_file_system(file.fileno())
    being_written.rename(marker)


def _flush_file_system(descriptor: int) -> None:
    try:
        ctypes.CDLL(None, use_errno=True).syncfs(descriptor)
    except AttributeError:
        # Only Linux can flush one file system alone.
        os.sync()


def _compile(order: Order, say: Callable[[str], None]) -> None:
    """Compile every module once: an environment is read-only for the runs that use it, so theirs would be lost."""
    say("Compiling Python files")
    directories = [path for path in order.prefix.glob("lib/python*") if path.is_dir()]
    # A package may hold files that are no Python of this version: that is its business, and no failure of ours.
    _run(order, ["-m", "compileall", "-q", "-j0", *map(str, directories)], cwd=order.prefix)


def _try(order: Order) -> None:
    done = _run(order, ["-c", "import sys; sys.exit(0)"], cwd=order.prefix)
    if done.returncode:
        raise PreparationError(
            f"The interpreter of {order.kind} environment {order.name} does not start:\n{done.stderr.strip()}"
        )


def _run(order: Order, arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(order.interpreter), "-I", *arguments],
        cwd=cwd,
        env=order.surroundings(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
        pass_fds=(order.lock,),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
