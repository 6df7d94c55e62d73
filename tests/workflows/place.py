"""Where workflows run: somebody who calls mlp with a real tracking server, and a repository with the examples."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.cli.program import EXAMPLES, MLP, commit, environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.mlflow_client import Mlflow

DEADLINE = 280
"""Seconds for a whole workflow. An idle machine needs ten: each step imports MLflow and scikit-learn."""

RUNS = """
client = mlflow.MlflowClient(tracking_uri=uri)
experiment = client.get_experiment_by_name(name)
found = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"]) if experiment else []
answer = [run.to_dictionary() for run in found]
"""
TEXT = "mlflow.set_tracking_uri(uri); answer = mlflow.artifacts.load_text(f'runs:/{run_id}/{path}')"


@dataclass(frozen=True)
class Recorded:
    """A run, as MLflow's own client sees it."""

    run_id: str
    name: str
    status: str
    ended: bool
    parameters: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]

    @classmethod
    def read(cls, run: dict) -> Recorded:
        info, data = run["info"], run["data"]
        return cls(
            info["run_id"], info["run_name"], info["status"], info["end_time"] is not None,
            data["params"], data["metrics"], data["tags"],
        )  # fmt: skip

    @property
    def entry_point(self) -> str:
        return self.tags["mlflow.project.entryPoint"]

    @property
    def own_tags(self) -> dict[str, str]:
        """The tags without those whose values are the machine's, MLflow's or made up for the one run."""
        others = {"mlflow.user", "mlflow.runName", "mlp.uid"}
        return {name: value for name, value in self.tags.items() if name not in others}

    @property
    def parent(self) -> str | None:
        return self.tags.get("mlflow.parentRunId")


@dataclass(frozen=True)
class Desk:
    """Where somebody calls mlp, whose runs go to a real server.

    Attributes:
        home: Their home directory.
        uri: The tracking server.
        experiment: The name of an experiment that nobody else uses.
        mlflow: A program with MLflow's own client.
    """

    home: Path
    uri: str
    experiment: str
    mlflow: Mlflow

    @classmethod
    def make(cls, root: Path, uri: str, mlflow: Mlflow) -> Desk:
        home = root / "home"
        home.mkdir()
        return cls(home, uri, f"workflow-{uuid.uuid4().hex}", mlflow)

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of a user who has activated ours and uses the server."""
        found = environment(
            HOME=str(self.home),
            MLP_TRACKING="on",
            MLFLOW_TRACKING_URI=self.uri,
            MLFLOW_EXPERIMENT_NAME=self.experiment,
            MLFLOW_DISABLE_TELEMETRY="true",
            **more,
        )
        # Some machines switch this on, and every step then compiles MLflow and scikit-learn.
        found.pop("PYTHONDONTWRITEBYTECODE", None)
        return found

    def mlp(self, *arguments: str | Path, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess:
        """Call mlp to its end."""
        return subprocess.run(
            [MLP, *map(str, arguments)],
            cwd=cwd or self.home,
            env=self.variables(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def runs(self) -> list[Recorded]:
        """All runs of the experiment, in the order in which they were begun."""
        return [Recorded.read(run) for run in self.mlflow.run(RUNS, uri=self.uri, name=self.experiment)]

    def text(self, run_id: str, path: str) -> str:
        """An artifact."""
        return self.mlflow.run(TEXT, uri=self.uri, run_id=run_id, path=path)


@dataclass(frozen=True)
class Place:
    """A Git repository with copies of examples.

    Attributes:
        desk: Where they are run from.
        directory: The work tree, with nothing in it that is not committed.
        commit: What HEAD is.
    """

    desk: Desk
    directory: Path
    commit: str

    @classmethod
    def make(cls, root: Path, desk: Desk, *examples: str) -> Place:
        directory = root.resolve() / "examples"
        for name in examples:
            shutil.copytree(EXAMPLES / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        return cls(desk, directory, commit(directory))

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        """`mlp run`, from the work tree's root."""
        return self.desk.mlp("run", *arguments, cwd=self.directory)

    def runs(self) -> list[Recorded]:
        """As the desk's."""
        return self.desk.runs()

    def text(self, run_id: str, path: str) -> str:
        """As the desk's."""
        return self.desk.text(run_id, path)

    def tags(self, example: str, entry_point: str, *, project: str, parent: str | None = None) -> dict[str, str]:
        """What mlp has to write about a run of an example's directory, apart from the user and the run's name."""
        return {
            "mlflow.source.name": f"file://{self.directory}#{example}",
            "mlflow.source.type": "PROJECT",
            "mlflow.source.git.commit": self.commit,
            "mlflow.project.entryPoint": entry_point,
            "mlflow.project.backend": "local",
            "mlp.project.name": project,
            **({"mlflow.parentRunId": parent} if parent else {}),
        }
