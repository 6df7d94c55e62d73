"""What is told about a run that somebody stays with."""

from __future__ import annotations

from dataclasses import dataclass

from mlp.cli.following import follow
from mlp.resources import ProjectRun

NOW = "2026-03-01T12:00:00Z"


def state(phase, outcome="Unknown", **tracked):
    """A ProjectRun, as the API server would show it."""

    def condition(kind, status, reason, message=""):
        told = {"type": kind, "status": status, "reason": reason, "message": message}
        return {**told, "lastTransitionTime": NOW, "observedGeneration": 1}

    conditions = [condition("Succeeded", outcome, phase)]
    conditions += [condition("Tracked", *said) for said in tracked.values()]
    return ProjectRun.parse(
        {
            "apiVersion": "mlp.dev/v1alpha1",
            "kind": "ProjectRun",
            "metadata": {"name": "wine", "namespace": "team-a", "creationTimestamp": NOW},
            "spec": {"project": {"uri": "https://git.example.org/wine"}},
            "status": {"observedGeneration": 1, "phase": phase, "conditions": conditions},
        }
    )


@dataclass
class Watched:
    """A run that goes through these states."""

    seen: list[ProjectRun]
    name: str = "wine"

    @property
    def cluster(self):
        return self

    namespace = "team-a"

    def states(self, *, timeout):
        assert timeout is None
        yield from self.seen


def test_that_a_run_is_not_recorded_is_told_once(capsys):
    away = ("False", "TrackingUnavailable", "nobody answers")
    seen = [state("Preparing", of=away), state("Running", of=away), state("Succeeded", "True", of=away)]
    follow(Watched(seen), None)
    assert capsys.readouterr().err.splitlines() == [
        "wine: Preparing",
        "wine: not recorded in MLflow: nobody answers",
        "wine: Running",
        "wine: Succeeded",
    ]


def test_nothing_is_told_of_mlflow_where_it_knows(capsys):
    known = ("True", "Recorded", "")
    follow(Watched([state("Running", of=known), state("Succeeded", "True", of=known)]), None)
    assert "MLflow" not in capsys.readouterr().err
