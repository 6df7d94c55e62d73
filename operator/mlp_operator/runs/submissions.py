"""What this process knows of one submission to Databricks, and what goes on about it. Derived anew after a restart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlp.backends.databricks.states import Life

if TYPE_CHECKING:
    import asyncio

    from mlp_operator.machinery.cache import Key
    from mlp_operator.runs.actions import Remote
    from mlp_operator.runs.doors import Door

__all__ = ["Submission"]


@dataclass(eq=False, slots=True)
class Submission:
    """One submission.

    Attributes:
        key: The run's key.
        uid: The run's uid.
        remote: What is known.
        door: The workspace.
        failures: How often in a row it could not be handed over, or found.
        sent: Whether the request that is under way, or was last, may have arrived. Set in a thread.
        followed: The id under which it is followed.
        heard_trouble: Why its state could not be read.
        cancel_trouble: Why it could not be cancelled.
        tasks: What goes on, by its name.
        forgotten: Whether nobody will ask any more.
    """

    key: Key
    uid: str
    remote: Remote
    door: Door
    failures: int = 0
    sent: bool = False
    followed: int | None = None
    heard_trouble: str = ""
    cancel_trouble: str = ""
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    forgotten: bool = False

    @property
    def over(self) -> bool:
        """Whether it has ended, as far as anybody will ever know."""
        return self.remote.gone or (self.remote.state is not None and self.remote.state.life is Life.ENDED)

    @property
    def standing(self) -> str:
        """How it stands, in a word for a metric."""
        remote = self.remote
        if remote.gone:
            return "Gone"
        if remote.unreadable_since is not None:
            return "Unreadable"
        if remote.state is None:
            return "Unsubmitted" if remote.run_id is None else "Submitted"
        return str(remote.state.life or "Unknown")
