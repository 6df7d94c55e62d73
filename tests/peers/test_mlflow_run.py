"""`mlp run` beside `mlflow run` of pip's MLflow: the same arguments reach the command, the exit status is the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from .calls import CALLS, Call

pytestmark = pytest.mark.peer

PROGRAM = Path(__file__).with_name("in_one_process.py")
RECORDER = f"""\
#!{sys.executable} -IS
import json, os, sys
with open(os.environ["RECORD"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
"""
# Seconds for all calls of one side. An idle machine needs 15.
DEADLINE = 240


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    records: list[list[str]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one call happens."""

    project: Path
    caller: Path

    @classmethod
    def make(cls, root: Path, call: Call) -> Place:
        place = cls(root / "project", root / "caller")
        for path, text in {**call.files, "record": RECORDER, "src/__init__.py": ""}.items():
            file = place.project / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (place.project / "record").chmod(0o755)
        (place.caller / "sub").mkdir(parents=True)
        (place.caller / "data.csv").write_text("")
        (place.caller / "outside.sh").write_text("./record outside\n")
        return place

    def arguments(self, call: Call) -> list[str]:
        return ["run", str(self.project), "--env-manager", "local", *call.arguments]

    def record(self, side: str) -> Path:
        return self.caller.parent / f"{side}.jsonl"

    def records(self, side: str) -> list[list[str]]:
        file = self.record(side)
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def expected(self, records: list[list[str]]) -> list[list[str]]:
        return [[word.format(project=self.project, caller=self.caller) for word in words] for words in records]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For both sides: this Python as `python`, a recorder as `Rscript`, MLflow's store in files of our own."""
    root = tmp_path_factory.mktemp("environment")
    programs = root / "bin"
    programs.mkdir()
    (programs / "Rscript").write_text(RECORDER)
    (programs / "Rscript").chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "MLP_"))}
    return {
        **kept,
        "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(root),
        "SHELL": "bash",
        "MLFLOW_TRACKING_URI": (root / "mlruns").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Place]:
    root = tmp_path_factory.mktemp("calls").resolve()
    found = {}
    for number, call in enumerate(CALLS):
        directory = root / str(number)
        directory.mkdir()
        found[call.name] = Place.make(directory, call)
    return found


@pytest.fixture(scope="module")
def outcomes(
    environment: dict[str, str], places: dict[str, Place], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Outcome]]:
    """What either side makes of every call. The sides run at the same time, each in one process."""
    logs = tmp_path_factory.mktemp("logs")
    running = {}
    for side in ("mlflow", "mlp"):
        calls = logs / f"{side}.calls"
        with calls.open("w") as file:
            for call in CALLS:
                place = places[call.name]
                line = {
                    "arguments": place.arguments(call),
                    "directory": str(place.caller),
                    "variables": {"RECORD": str(place.record(side))},
                }
                file.write(json.dumps(line) + "\n")
        with calls.open() as stdin, (logs / f"{side}.log").open("wb") as stderr:
            running[side] = subprocess.Popen(
                [sys.executable, PROGRAM, side],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                text=True,
            )
    found: dict[str, dict[str, Outcome]] = {}
    try:
        for side, process in running.items():
            answers, _ = process.communicate(timeout=DEADLINE)
            log = (logs / f"{side}.log").read_text(errors="replace")
            statuses = [json.loads(line) for line in answers.splitlines()]
            assert len(statuses) == len(CALLS), log[-4000:]
            found[side] = {
                call.name: Outcome(status, places[call.name].records(side))
                for call, status in zip(CALLS, statuses, strict=True)
            }
    finally:
        for process in running.values():
            process.kill()
            process.communicate()
    return found


def test_the_table_is_large_and_every_call_has_a_name_of_its_own():
    assert len(CALLS) >= 60
    assert max(Counter(call.name for call in CALLS).values()) == 1


@pytest.mark.parametrize("call", [call for call in CALLS if call.difference is None], ids=lambda call: call.name)
def test_we_do_what_mlflow_does(call, outcomes):
    assert outcomes["mlp"][call.name] == outcomes["mlflow"][call.name]


@pytest.mark.parametrize("call", [call for call in CALLS if call.difference], ids=lambda call: call.name)
def test_we_differ_only_where_and_as_we_mean_to(call, outcomes, places):
    assert call.difference
    place = places[call.name]
    for side, (status, records) in {"mlflow": call.difference.mlflow, "mlp": call.difference.ours}.items():
        assert outcomes[side][call.name] == Outcome(status, place.expected(records)), side
    assert outcomes["mlp"][call.name] != outcomes["mlflow"][call.name], "no difference: the table is out of date"


def test_every_way_to_end_is_in_the_table(outcomes):
    assert {outcome.status for outcome in outcomes["mlflow"].values()} == {0, 1, 2}
    succeeded = [outcome for outcome in outcomes["mlflow"].values() if outcome.status == 0]
    assert len(succeeded) > 60
    assert sum(bool(outcome.records) for outcome in succeeded) >= len(succeeded) - 1


@pytest.mark.parametrize("name", ["declared, quotes", "missing parameters", "a parameter twice"])
def test_the_real_programs_agree_too(name, environment, tmp_path):
    call = next(call for call in CALLS if call.name == name)
    place = Place.make(tmp_path, call)
    outcomes = {}
    for side in ("mlflow", "mlp"):
        ran = subprocess.run(
            [Path(sys.executable).with_name(side), *place.arguments(call)],
            cwd=place.caller,
            env={**environment, "RECORD": str(place.record(side))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=DEADLINE,
        )
        outcomes[side] = Outcome(ran.returncode, place.records(side))
    assert outcomes["mlp"] == outcomes["mlflow"]
