"""The step ``environment``: have the project's environment, found in the cache or built there, ready to be activated.

The pod leaves a mark in the cache first, so that nobody deletes the environment while main uses it. Credentials of
channels and indexes are in this process' environment, and so in the builder's, for as long as it takes.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Final

from mlp.environment import EnvironmentCache, read
from mlp.environment.uses import User
from mlp.errors import UsageError
from mlp.resources import names
from mlp.steps.progress import Progress
from mlp.steps.variables import lent, read_variables

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from mlp.environment import BuiltEnvironment
    from mlp.resources.plan import Plan
    from mlp.steps.layout import Layout

__all__ = ["environment"]

# Packages' own scripts look for variables that may not be set, which `set -u` would take for an error.
_ACTIVATE: Final = """\
# Puts the environment {name} first: bash sources it before the command.
if [ ! -r {script} ]; then
  printf '%s\\n' 'The environment of this run cannot be read: '{script} >&2
  return 126
fi
case $- in *u*) set +u; __mlp_strict=1 ;; *) __mlp_strict= ;; esac
. {script}
if [ -n "$__mlp_strict" ]; then set -u; fi
unset __mlp_strict
"""


def environment(plan: Plan, layout: Layout, stop: threading.Event) -> str:
    """Carry the step out.

    Args:
        plan: What to build.
        layout: Where.
        stop: Set when it is not wanted any more.

    Returns:
        What was done, for people.

    Raises:
        PreparationError: It cannot be built.
        RunCancelled: The event was set.
        UsageError: A setting has a value that means nothing.
    """
    planned = plan.environment
    if planned is None:
        raise UsageError("The plan names no environment.")
    project = layout.inside(plan.directory)
    with lent({**read_variables(layout.environment_credentials), **planned.overrides}):
        specification = read(planned.kind, project / planned.file, manager=planned.manager, project=project)
        cache = EnvironmentCache(layout.environments)
        built = cache.ensure(
            specification,
            refresh=planned.policy == "Refresh",
            user=_user(),
            cancelled=stop,
            progress=Progress("Environment").step,
        )
    _write_activation(built, layout.activate)
    return f"{'Built' if built.built else 'Found'} {specification.name} for {planned.file}"


def _user() -> User | None:
    """This pod, if it is one."""
    identifier = os.environ.get(names.POD_UID_VARIABLE)
    place = (os.environ.get(name, "") for name in (names.POD_NAMESPACE_VARIABLE, names.POD_NAME_VARIABLE))
    return User(identifier, "/".join(place)) if identifier else None


def _write_activation(built: BuiltEnvironment, file: Path) -> None:
    text = _ACTIVATE.format(name=built.hash, script=shlex.quote(str(built.activate)))
    # By rename: an earlier attempt's is never seen half-written.
    partial = file.with_name(f"{file.name}.partial")
    file.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
