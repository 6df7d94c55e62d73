"""Where runs take place: on this machine, on Kubernetes. One module a backend, imported by whoever asks for it.

All of them hand out the same kind of object for a run that was started, `SubmittedRun`, with MLflow's names, so that a
program that drives runs does not care where they are. Nothing here may know the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SubmittedRun"]


class SubmittedRun(Protocol):
    """A run that was started, wherever it is."""

    @property
    def run_id(self) -> str:
        """What the run is known by: MLflow's run ID, or the name of the ProjectRun."""

    def wait(self) -> bool:
        """Wait until the run has ended. True if it succeeded."""

    def get_status(self) -> str:
        """RUNNING, SCHEDULED, FINISHED, FAILED or KILLED."""

    def cancel(self) -> None:
        """End the run, with every process of it, and wait until that is done. Does nothing to a run that has ended."""

    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """The lines that the run wrote, without their line ends.

        Args:
            follow: Go on with what comes, until the run has ended.
        """
