"""Developing a project: ``mlp run .`` again and again, with the defaults of the MLproject file."""

from __future__ import annotations

from tests.cli.program import commit, project

SCRIPT = "import sys\nprint('rate', sys.argv[1], 'of', sys.argv[2])\n"


def test_a_run_needs_no_more_than_a_dot_and_every_attempt_is_kept(desk, tmp_path):
    here = project(
        tmp_path / "wine",
        "python train.py {rate} {data}",
        parameters={
            "rate": {"type": "float", "default": 0.1},
            "data": {"type": "path", "default": "data.csv"},
        },
        name="wine",
    )
    (here / "data.csv").touch()
    (here / "train.py").write_text("import sys\nprint('rat' sys.argv)\n")

    broken = desk.mlp("run", ".", cwd=here)
    (here / "train.py").write_text(SCRIPT)
    mended = desk.mlp("run", ".", cwd=here)
    other = desk.mlp("run", ".", "-P", "rate=0.20", cwd=here)

    assert broken.returncode == 1
    assert "SyntaxError" in broken.stderr
    assert mended.stdout == f"rate 0.1 of {here / 'data.csv'}\n"
    assert other.stdout == f"rate 0.20 of {here / 'data.csv'}\n"
    runs = desk.runs()
    assert [run.status for run in runs] == ["FAILED", "FINISHED", "FINISHED"]
    assert [run.parameters for run in runs] == [
        {"rate": "0.1", "data": "data.csv"},
        {"rate": "0.1", "data": "data.csv"},
        {"rate": "0.20", "data": "data.csv"},
    ]
    for run in runs:
        assert run.own_tags == {
            "mlflow.source.name": str(here),
            "mlflow.source.type": "PROJECT",
            "mlflow.project.entryPoint": "main",
            "mlflow.project.backend": "local",
            "mlp.project.name": "wine",
        }


def test_a_version_runs_as_it_was_while_the_next_is_written(desk, tmp_path):
    here = project(tmp_path / "wine", "python train.py first {data}", parameters={"data": "path"}, name="wine")
    (here / "train.py").write_text(SCRIPT)
    first = commit(here)
    (here / "train.py").write_text("not ready")
    (here / "data.csv").touch()

    done = desk.mlp("run", ".", "-v", first[:8], "-P", "data=data.csv", cwd=here)

    assert done.stdout == f"rate first of {here / 'data.csv'}\n"
    assert (here / "train.py").read_text() == "not ready"
    (run,) = desk.runs()
    assert run.status == "FINISHED"
    assert run.tags["mlflow.source.git.commit"] == first
    assert run.tags["mlflow.source.name"] == f"file://{here}"
