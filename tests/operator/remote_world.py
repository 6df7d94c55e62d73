"""A world with a Databricks workspace in it: which runs are there, what was heard of them, what is asked of it.

The workspace keeps to what the real one promises: one run a token, however often it is submitted, and a cancelled run
has ended only when that is told. Tests say what happens there; decisions come true as in `build.World`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from mlp.backends.databricks.states import Ending, Life, RunState
from mlp.resources import names
from mlp.resources.plan import Plan, PlannedParameter, PlannedProject, PlannedSource
from mlp_operator.runs.actions import (
    CancelRemote,
    FetchOutput,
    FindRemote,
    HoldRun,
    LetRunGo,
    Observed,
    Remote,
    RemoteOutput,
    SubmitRemote,
)
from mlp_operator.runs.outcome import Refused, Unavailable
from mlp_operator.runs.planning import Resolved
from tests.operator.build import COMMIT, World, run_body

BACKEND = {
    "type": "Databricks",
    "databricks": {
        "host": "https://example.cloud.databricks.com",
        "secretRef": {"name": "workspace"},
        "cluster": {"newCluster": {"spark_version": "16.4.x-scala2.12", "num_workers": 1}},
    },
}
PAGE = "https://example.cloud.databricks.com/?o=1#job/1/run/"


def remotely_resolved(command: str = "python train.py --alpha 0.5") -> Resolved:
    """What a look-up finds for a run on Databricks."""
    return Resolved(
        Plan(
            source=PlannedSource(uri="https://git.example.org/wine", commit=COMMIT, ref="refs/heads/main"),
            project=PlannedProject(
                name="wine",
                entry_point="main",
                command=command,
                parameters=(PlannedParameter(name="alpha", type="float", value="0.5", source="Spec"),),
            ),
        ),
        given=(("alpha", "0.5"),),
    )


@dataclass
class RemoteWorld(World):
    """A run on Databricks with what is around it."""

    there: dict[str, str] = field(default_factory=dict)
    """The runs in the workspace: their ids by their tokens."""
    workspace: str = "up"
    """How the workspace answers: up, down, slow or refusing."""
    remote: Remote | None = None
    output: RemoteOutput | None = field(default_factory=lambda: RemoteOutput("trained\n", None, "wine-log"))
    tasks: list[Any] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    gave_up: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, *, outcome: Any = None, status: dict[str, Any] | None = None, **spec: Any) -> RemoteWorld:
        body = run_body(status=status, backend=BACKEND, **spec)
        return cls(body, outcome=remotely_resolved() if outcome is None else outcome)

    @property
    def databricks(self) -> dict[str, Any]:
        return self.body["status"].get("databricks") or {}

    @property
    def held(self) -> bool:
        return names.DATABRICKS_FINALIZER in self.body["metadata"].get("finalizers", [])

    @property
    def gone(self) -> bool:
        """Whether nothing keeps the deleted object any more."""
        return "deletionTimestamp" in self.body["metadata"] and not self.held

    def delete(self) -> None:
        """Somebody deletes the ProjectRun."""
        self.body["metadata"]["deletionTimestamp"] = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def hear(self, life: Life | None, ending: Ending | None = None, **more: Any) -> None:
        """The workspace tells how the newest run is."""
        assert self.remote is not None
        assert self.remote.run_id is not None
        facts: dict[str, Any] = {"words": str(life or "NEW_WORD"), "page_url": f"{PAGE}{self.remote.run_id}"}
        if life in (Life.RUNNING, Life.ENDING):
            facts["started"] = self.now
        if life == Life.ENDED:
            facts |= {"ended": self.now, "started": self.now - timedelta(seconds=5), "task_run_id": 71}
            facts["words"] = f"TERMINATED {ending}"
        self.remote = replace(
            self.remote,
            state=RunState(life, ending, **{**facts, **more}),
            unreadable_since=None,
            trouble="",
            asking=False,
        )

    def ends(self, ending: Ending, **more: Any) -> None:
        """The newest run ends, and decisions follow."""
        self.hear(Life.ENDED, ending, **more)
        self.settle()

    def restart(self) -> None:
        super().restart()
        stored = self.databricks
        self.remote = None
        if stored.get("runId") is not None:
            self.remote = Remote(stored["token"], stored["runId"])

    def observe(self, **hindrance: Any) -> Observed:
        token = self.databricks.get("token")
        known = self.remote if self.remote is not None and self.remote.token == token else None
        return replace(super().observe(**hindrance), remote=known)

    def _act(self, action: Any) -> dict[str, Any]:
        match action:
            case HoldRun():
                self.body["metadata"].setdefault("finalizers", []).append(names.DATABRICKS_FINALIZER)
            case LetRunGo(abandoned=abandoned):
                self.body["metadata"]["finalizers"].remove(names.DATABRICKS_FINALIZER)
                self.gave_up += [abandoned] if abandoned is not None else []
            case SubmitRemote(task=task):
                self.tasks.append(task)
                self._hand_over(task.token)
            case FindRemote(token=token):
                self._hand_over(token)
            case CancelRemote(run_id=run_id):
                assert self.remote is not None
                if self.workspace == "up":
                    self.cancelled.append(run_id)
                    self.remote = replace(self.remote, cancelled_at=self.now)
                else:
                    self.remote = replace(self.remote, asking=True, trouble="nobody answers")
            case FetchOutput():
                assert self.remote is not None
                self.remote = replace(self.remote, output=self.output, asking=self.output is None)
        return super()._act(action)

    def _hand_over(self, token: str) -> None:
        assert self.databricks.get("token") == token, "submitted before its token was written"
        assert self.held, "submitted without our finalizer"
        match self.workspace:
            case "up":
                run_id = self.there.setdefault(token, str(len(self.there) + 501))
                self.remote = Remote(token, run_id)
            case "down":
                later = self.now + timedelta(seconds=30)
                self.remote = Remote(
                    token, submission=Unavailable("WorkspaceUnavailable", "nobody answers", later), trouble="nobody"
                )
            case "refusing":
                self.remote = Remote(token, submission=Refused("WorkspaceRefused", "there is no node type x9"))
