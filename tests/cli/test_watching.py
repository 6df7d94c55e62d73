"""``mlp list --phase`` and ``-w``: what there is, and what comes to pass. The test plays the operator."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
import yaml

from mlp.backends.kubernetes import Cluster, Selection


@pytest.fixture
def watch(runs):
    """Starts `mlp list -w`; it ends with the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*options: str) -> subprocess.Popen[str]:
        command, environment = runs.command("list", "-w", *options)
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def test_runs_are_chosen_by_their_phase(runs):
    for name in ("good", "bad", "new"):
        runs.create(name)
    runs.report("good", phase="Succeeded", succeeded="True", reason="Succeeded")
    runs.report("bad", phase="Failed", succeeded="False", reason="OOMKilled")

    assert runs.mlp("list", "--phase", "Failed", "-o", "name").stdout == "projectrun.mlp.dev/bad\n"
    assert runs.mlp("list", "--phase", "pending", "-o", "name").stdout == "projectrun.mlp.dev/new\n"
    assert "No runs of that kind" in runs.mlp("list", "--phase", "Running").stderr


def test_a_watched_list_goes_on_with_each_change_until_ctrl_c(runs, watch):
    runs.create("wine")
    process = watch()
    assert line(process)[:2] == ["NAME", "PHASE"]
    assert line(process)[:2] == ["wine", "Pending"]

    runs.report("wine", phase="Running", succeeded="Unknown", reason="Running")
    assert line(process)[:3] == ["wine", "Running", "Running"]
    runs.create("another-one")
    assert line(process)[:2] == ["another-one", "Pending"]
    runs.kubectl("delete", "projectrun", "wine")
    assert line(process)[:2] == ["wine", "Deleted"]

    process.send_signal(signal.SIGINT)
    output, said = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "")
    assert "Traceback" not in said


def test_a_watch_of_nothing_waits_for_the_first_run(runs, watch):
    process = watch("--phase", "Failed")
    assert process.stderr is not None
    assert "No runs of that kind" in process.stderr.readline()

    runs.create("wine")
    runs.report("wine", phase="Failed", succeeded="False", reason="OOMKilled")

    assert line(process)[:2] == ["NAME", "PHASE"]
    assert line(process)[:3] == ["wine", "Failed", "OOMKilled"]


@pytest.mark.parametrize(("output", "read"), [("yaml", yaml.safe_load_all), ("name", str.split)])
def test_programs_read_a_watch_as_documents(runs, watch, output, read):
    runs.create("wine")
    process = watch("-o", output)
    assert process.stdout is not None
    first = process.stdout.readline()
    runs.report("wine", phase="Running", succeeded="Unknown", reason="Running")
    seen = first
    while seen.count("---\n" if output == "yaml" else "wine") < 2:
        seen += process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()  # not by communicate(), which would pass over what has been buffered

    documents = list(read(seen + rest))

    names = documents if output == "name" else [f"projectrun.mlp.dev/{each['metadata']['name']}" for each in documents]
    assert names == ["projectrun.mlp.dev/wine"] * 2


def test_what_a_watch_has_missed_is_told_when_the_list_is_read_anew(runs):
    for name in ("stays", "goes", "changes"):
        runs.create(name)
    with Cluster.connect(kubeconfig=str(runs.cluster.kubeconfig), namespace=runs.namespace) as cluster:
        known = cluster.listing(Selection())
        runs.kubectl("delete", "projectrun", "goes")
        runs.report("changes", phase="Running", succeeded="Unknown", reason="Running")
        runs.create("comes")

        # A version that no server remembers.
        changes = cluster.changes(Selection(), known._replace(version="1"))
        seen = {}
        while len(seen) < 3:
            change = next(changes)
            seen[change.run["metadata"]["name"]] = change.gone
        changes.close()

    assert seen == {"goes": True, "changes": False, "comes": False}


def test_a_list_of_everything_is_still_a_list(runs):
    runs.create("wine")
    assert json.loads(runs.mlp("list", "-o", "json").stdout)["kind"] == "List"
