"""An interpreter of the version that a python_env.yaml asks for: one of this machine if it has one, else conda's.

Nothing is ever downloaded from where uv would look by itself. What pyenv has installed counts as this machine's, since
that is where MLflow takes interpreters from.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlp.environment.diagnosis import explain
from mlp.environment.extras import find_uv
from mlp.environment.pip import uv_variables
from mlp.errors import EnvironmentUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlp.environment.order import Order

__all__ = ["provide"]


def provide(order: Order, say: Callable[[str], None]) -> str | None:
    """Put an interpreter into the environment.

    Returns:
        The path of the interpreter that a virtual environment was made of; None if it came from a channel.

    Raises:
        MlpError: There is none, anywhere.
    """
    wanted = order.python or platform.python_version()
    if order.settings.python_from != "conda" and (found := _on_this_machine(order, wanted)):
        _make_virtual_environment(order, found)
        say(f"Python {wanted}: {found}")
        return found
    if order.settings.python_from == "machine":
        raise EnvironmentUnavailable(
            f"This machine has no Python {wanted}, which {order.file} asks for, and MLP_PYTHON_FROM=machine allows no "
            "other. Install it, or let it come from a conda channel: MLP_PYTHON_FROM=any."
        )
    say(f"This machine has no Python {wanted}: taking it from {', '.join(order.channels)}")
    from mlp.environment import conda  # noqa: PLC0415 -- needs py-rattler

    exact = wanted.count(".") == 2  # noqa: PLR2004 -- major, minor and patch
    conda.install(order, (f"python =={wanted}" if exact else f"python {wanted}.*",), say)
    return None


def _on_this_machine(order: Order, wanted: str) -> str | None:
    """An interpreter of a version; the one that runs mlp first."""
    if _fits(platform.python_version(), wanted):
        return sys.executable
    done = subprocess.run(
        [find_uv(), "python", "find", "--system", "--no-project", wanted],
        # Not the project's directory: a .python-version there must not decide.
        cwd=order.layout.root,
        env=order.surroundings(**uv_variables(order)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        pass_fds=(order.lock,),
    )
    found = done.stdout.strip()
    return found if done.returncode == 0 and found else _of_pyenv(wanted)


def _of_pyenv(wanted: str) -> str | None:
    root = Path(os.path.expanduser(os.environ.get("PYENV_ROOT") or "~/.pyenv"))  # noqa: PTH111 -- pathlib's fails without a home
    names = [path.name for path in root.glob("versions/*") if (path / "bin" / "python").exists()]
    fitting = [name for name in names if re.fullmatch(r"\d+(\.\d+)*((a|b|rc)\d+)?", name) and _fits(name, wanted)]
    if not fitting:
        return None
    newest = max(fitting, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    return str(root / "versions" / newest / "bin" / "python")


def _fits(version: str, wanted: str) -> bool:
    return version == wanted or version.startswith(f"{wanted}.")


def _make_virtual_environment(order: Order, interpreter: str) -> None:
    done = subprocess.run(
        [find_uv(), "venv", "--no-project", "--python", interpreter, "--prompt", order.name, str(order.prefix)],
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
