"""The script that a command's shell sources: it puts the environment first, and leaves no other one half in place.

Written by ourselves because it has to extend the PATH that it finds, where rattler's writes down the builder's.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.environment.order import Order

__all__ = ["script", "variables", "write"]

# An environment is shared, and often read-only: a run's own user directory must not leak in, nor its bytecode out.
_ALWAYS: Final = {"PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1"}

_CONDA: Final = """\
if [ -d {scripts} ]; then
  for __mlp_script in {scripts}/*.sh; do
    if [ -f "$__mlp_script" ]; then . "$__mlp_script"; fi
  done
  unset __mlp_script
fi
"""


def write(order: Order) -> None:
    """Write the script, and the file by which conda and rattler know the same variables."""
    (order.metadata / "activate.sh").write_text(script(order), encoding="utf-8")
    if order.kind == "conda" and order.variables:
        state = order.prefix / "conda-meta" / "state"
        state.parent.mkdir(exist_ok=True)
        state.write_text(json.dumps({"version": 1, "env_vars": dict(order.variables)}), encoding="utf-8")


def variables(order: Order) -> dict[str, str]:
    """What the script sets, apart from PATH and what the packages' own scripts do."""
    prefix = str(order.prefix)
    if (order.prefix / "conda-meta").is_dir():
        own = {"CONDA_PREFIX": prefix, "CONDA_DEFAULT_ENV": prefix, "CONDA_SHLVL": "1"}
    else:
        own = {"VIRTUAL_ENV": prefix}
    return {**own, **_ALWAYS, **_of_packages(order), **order.variables}


def script(order: Order) -> str:
    """The script's text."""
    given = variables(order)
    bin_directory = shlex.quote(str(order.prefix / "bin"))
    lines = [
        f"# Activates {order.kind} environment {order.name}: source it in bash.",
        f'export PATH={bin_directory}"${{PATH:+:$PATH}}"',
        f"unset PYTHONHOME{' VIRTUAL_ENV' if 'VIRTUAL_ENV' not in given else ''}",
        *(f"export {name}={shlex.quote(value)}" for name, value in given.items()),
        "hash -r",
    ]
    text = "".join(f"{line}\n" for line in lines)
    if "CONDA_PREFIX" in given:
        text += _CONDA.format(scripts=shlex.quote(str(order.prefix / "etc" / "conda" / "activate.d")))
    return text


def _of_packages(order: Order) -> dict[str, str]:
    """Variables that conda packages bring."""
    return dict(_pairs(order))


def _pairs(order: Order) -> Iterator[tuple[str, str]]:
    for file in sorted((order.prefix / "etc" / "conda" / "env_vars.d").glob("*.json")):
        yield from ((str(name), str(value)) for name, value in json.loads(file.read_text(encoding="utf-8")).items())
