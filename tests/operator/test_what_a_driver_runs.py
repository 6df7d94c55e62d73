"""The command that status.project tells of a run on Databricks is the one that its driver executes."""

from __future__ import annotations

import pytest
import yaml

from mlp.backends.databricks import arriving
from mlp.backends.databricks.task import Assignment
from mlp.project import Project
from mlp.source import DirectoryFiles
from mlp_operator.runs.remote_planning import DriverPlaces

VALUES = {
    "a path of the project": {"table": "data/table.csv"},
    "its directory": {"table": "."},
    "a path that takes a detour": {"table": "./data/../data/table.csv"},
    "a default": {},
    "an object": {"table": "s3://wine/tables/table.csv"},
    "all below a prefix": {"table": "s3://wine/tables/"},
    "a page with an odd name": {"table": "https://data.example.org/a%20b.csv?version=2"},
    "a file of a workspace": {"table": "dbfs:/tables/table.csv"},
    "a file URI": {"table": "file:///etc/hostname"},
    "a path of the machine": {"table": "/etc/hostname"},
    "a place to write to": {"out": "results/new"},
    "a place elsewhere": {"out": "s3://wine/out"},
    "a name that leads elsewhere": {"../odd": "s3://wine/table.csv"},
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Makes a project that has arrived on a driver; gives its files and what is asked for."""

    def make(subdirectory, values):
        directory = tmp_path / "run"
        work = directory / "project" / subdirectory
        (work / "data").mkdir(parents=True)
        (work / "data" / "table.csv").touch()
        declared = {"table": {"type": "path", "default": "data"}, "out": {"type": "uri", "default": "out"}}
        declared |= {name: "path" for name in values if name not in declared}
        command = "show " + " ".join(f"{{{name}}}" for name in declared)
        main = {"parameters": declared, "command": command}
        (work / "MLproject").write_text(yaml.safe_dump({"entry_points": {"main": main}}))
        monkeypatch.chdir(work)
        return work, Assignment(directory=str(directory), subdirectory=subdirectory, parameters=values)

    return make


@pytest.mark.parametrize("subdirectory", ["", "models/wine"])
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_what_is_planned_is_what_runs(run, subdirectory, values):
    work, assignment = run(subdirectory, values)
    files = DirectoryFiles(work)
    places = DriverPlaces(assignment.directory, subdirectory)
    planned = Project.load(files).resolve("main", values, files=files, places=places)

    with arriving._execution(assignment)(arriving._request(assignment)) as arrived:
        there = arrived._known

    assert there.invocation.command == planned.command
    assert [str(path) for path in there.downloads.paths] == [each.path for each in places.downloads]
