"""Doing the same with several runs: one that cannot be had does not save the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlp.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["for_each"]


def for_each(names: Sequence[str], act: Callable[[str], None], *, done: str) -> None:
    """Act on each run; say what went wrong with some of them, and fail at the end.

    Args:
        names: The runs.
        act: What to do with one.
        done: What it means, for the message that it could not be done: deleted, cancelled.

    Raises:
        ClusterError: Something went wrong. With one run it is what went wrong with that.
    """
    failures: list[ClusterError | UsageError] = []
    for name in names:
        try:
            act(name)
        except (ClusterError, UsageError) as error:
            if len(names) == 1:
                raise
            click.echo(f"Error: {error}", err=True)
            failures.append(error)
    if failures:
        raise ClusterError(f"{len(failures)} of {len(names)} could not be {done}.")
