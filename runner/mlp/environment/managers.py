"""Environment managers: the names that a user chooses between, and what each makes of a project's file.

The names and the messages are MLflow's, since scripts look for them. No manager is a program here: ``conda`` means that
conda packages are installed, ``virtualenv`` and ``uv`` that only pip's are.
"""

from __future__ import annotations

from typing import Final, Literal

from mlp.errors import ExecutionException, UsageError

__all__ = ["MANAGERS", "Kind", "built_as", "check_manager"]

Kind = Literal["conda", "python"]

MANAGERS: Final = ("local", "conda", "virtualenv", "uv")


def check_manager(manager: str | None) -> None:
    """See that there is a manager of that name; None is whatever the project's file asks for.

    Raises:
        UsageError: There is none.
    """
    if manager is not None and manager not in MANAGERS:
        raise UsageError(f"Invalid value for `env_manager`: {manager}. Must be one of {list(MANAGERS)}")


def built_as(kind: Kind, manager: str | None) -> Kind:
    """What kind of environment a manager makes of a file of this kind.

    Raises:
        UsageError: There is no such manager, or it builds nothing.
        ExecutionException: The manager cannot build what the project declares.
    """
    check_manager(manager)
    match kind, manager:
        case _, "local":
            raise UsageError("The environment manager local builds no environment: commands run in the current one.")
        case "python", "conda":
            raise ExecutionException(
                "python_env project cannot be executed using conda. Set `--env-manager` to 'virtualenv' or 'local' to "
                "execute this project."
            )
        case "conda", "virtualenv" | "uv":
            return "python"
        case _:
            return kind
