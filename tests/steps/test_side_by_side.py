"""Data and environment at the same time: one report of both, and the first failure ends the other."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.servers.conda_channel import Channel, Package
from tests.servers.package_server import serving
from tests.steps.pods import conda, declare, running

PATIENCE = 120.0


@pytest.fixture
def served(tmp_path):
    """A channel, data, and a repository's stand-in, over HTTP. What is called held* is held back."""
    root = tmp_path / "served"
    Channel(root, Package("hello"), Package("held"))
    (root / "held.txt").write_text("held")
    (root / "words.txt").write_text("words")
    with serving(root) as server:
        yield server


@pytest.fixture
def marker(monkeypatch):
    """A text in the environment of the step and all that it starts."""
    text = f"/mlp-side-by-side-{os.getpid()}-{time.monotonic_ns()}"
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{text}")
    return text


def marked(marker):
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and marker.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def states(pod):
    return {step["name"]: step["state"] for step in pod.report["steps"]}


def test_all_three_steps_are_done_and_timed(pod, served, repository):
    commit = repository.commit({"conda.yaml": conda(served.url, "hello")})
    environment = {"kind": "conda", "file": "conda.yaml"}
    downloads = {"words": (f"{served.url}/words.txt", "words.txt")}
    pod.plan(uri=repository.uri, commit=commit, protocols=("file",), environment=environment, downloads=downloads)
    # In whatever order they are named.
    done = pod.run("environment", "data", "clone")
    assert done.returncode == 0, done.stdout + done.stderr
    clone, data, environment = pod.report["steps"]
    assert (clone["name"], data["name"], environment["name"]) == ("clone", "data", "environment")
    times = [
        [datetime.fromisoformat(step[key]) for key in ("startTime", "completionTime")] for step in pod.report["steps"]
    ]
    assert all(began <= ended for began, ended in times)
    assert times[0][1] <= min(times[1][0], times[2][0])
    assert states(pod) == {"clone": "Succeeded", "data": "Succeeded", "environment": "Succeeded"}
    assert pod.layout.activate.exists()
    assert (pod.layout.data / "words" / "words.txt").read_text() == "words"


def test_nothing_is_begun_where_there_is_no_project(pod, served, repository):
    downloads = {"words": (f"{served.url}/words.txt", "words.txt")}
    pod.plan(uri=repository.uri, commit="0" * 40, protocols=("file",), downloads=downloads)
    assert pod.run("clone", "data").returncode == 66
    assert states(pod) == {"clone": "Failed"}
    assert not served.requests


def test_data_that_cannot_be_had_ends_the_building(pod, served, marker):
    served.behaviour.held = ("held-1.0-0.tar.bz2",)
    downloads = {"gone": (f"{served.url}/gone.txt", "gone.txt")}
    declare(pod, conda(served.url, "held"), downloads=downloads)
    # It may fail before the build has begun, which is as good.
    done = pod.run("data", "environment")
    assert done.returncode == 68, done.stdout
    assert pod.report["reason"] == "DataNotFound"
    assert states(pod) == {"data": "Failed"}
    assert marked(marker) == []
    assert not pod.layout.activate.exists()


def test_an_environment_that_cannot_be_had_ends_the_downloads(pod, served, marker):
    served.behaviour.held = ("held.txt",)
    declare(pod, conda(served.url, "nosuch"), downloads={"held": (f"{served.url}/held.txt", "held.txt")})
    done = pod.run("data", "environment")
    assert done.returncode == 69, done.stdout
    assert pod.report["reason"] == "EnvironmentUnsolvable"
    assert states(pod) == {"environment": "Failed"}
    assert marked(marker) == []
    assert list((pod.layout.data / "held").iterdir()) == []


def test_sigterm_ends_both_with_all_that_they_have_started(pod, served, marker):
    served.behaviour.held = ("held-1.0-0.tar.bz2", "held.txt")
    declare(pod, conda(served.url, "held"), downloads={"held": (f"{served.url}/held.txt", "held.txt")})
    with running(pod, "data", "environment") as process:
        deadline = time.monotonic() + PATIENCE
        asked = ("/held.txt", "/noarch/held-1.0-0.tar.bz2")
        while not {*asked} <= {request.path for request in [*served.requests]}:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        assert len(marked(marker)) >= 2  # the steps, and the builder
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 128 + signal.SIGTERM, said
    assert pod.report["reason"] == "Terminated"
    assert states(pod) == {"data": "Failed", "environment": "Failed"}
    assert marked(marker) == []
    assert not pod.layout.activate.exists()
