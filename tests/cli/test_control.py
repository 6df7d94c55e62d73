"""``mlp cancel``, ``suspend``, ``resume`` and ``retry``. The test plays the operator."""

from __future__ import annotations

import threading
import time

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def spec_of(runs, name: str = "wine") -> dict:
    return runs.read(name)["spec"]


def end(runs, name: str = "wine", *, phase: str = "Succeeded", **more) -> None:
    succeeded = {"Succeeded": "True"}.get(phase, "False")
    runs.report(name, phase=phase, succeeded=succeeded, reason=phase if phase != "Failed" else "OOMKilled", **more)


def test_a_cancelled_run_is_asked_to_stop_and_then_to_end_at_once(runs):
    runs.create("wine")

    assert runs.mlp("cancel", "wine").stdout == "projectrun.mlp.dev/wine is being cancelled\n"
    assert spec_of(runs)["shutdown"] == "Stop"
    assert runs.mlp("cancel", "wine").stdout == "projectrun.mlp.dev/wine is being cancelled already\n"
    assert runs.mlp("cancel", "wine", "--now").stdout == "projectrun.mlp.dev/wine is being cancelled\n"
    assert spec_of(runs)["shutdown"] == "Terminate"
    # What ends at once is not asked to take its time again.
    done = runs.mlp("cancel", "wine")
    assert (done.returncode, done.stdout) == (0, "projectrun.mlp.dev/wine is being cancelled already\n")


def test_a_run_that_has_ended_is_left_alone(runs):
    runs.create("wine")
    end(runs)

    done = runs.mlp("cancel", "wine", "--wait")

    assert done.returncode == 0
    assert done.stdout.startswith("projectrun.mlp.dev/wine has ended already (Succeeded)\n")
    assert "shutdown" not in spec_of(runs)


def test_cancelling_can_wait_for_the_end_of_all(runs):
    for name in ("one", "two"):
        runs.create(name)

    def obey() -> None:
        for name in ("one", "two"):
            while spec_of(runs, name).get("shutdown") != "Stop":
                time.sleep(0.1)
            end(runs, name, phase="Cancelled")

    operator = threading.Thread(target=obey)
    operator.start()
    done = runs.mlp("cancel", "one", "two", "--wait")
    operator.join()

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(
        "projectrun.mlp.dev/one has ended (Cancelled)\nprojectrun.mlp.dev/two has ended (Cancelled)\n"
    )


def test_waiting_for_the_end_of_a_cancelled_run_has_an_end(runs):
    runs.create("wine")

    done = runs.mlp("cancel", "wine", "--wait", "--timeout", "1s")

    assert done.returncode == 3
    assert "has not ended in 1 s" in done.stderr


@pytest.mark.parametrize("command", ["cancel", "suspend", "resume"])
def test_one_run_that_is_not_there_does_not_save_the_others_from_it(runs, command):
    runs.create("wine", suspend=command == "resume")

    done = runs.mlp(command, "nothing", "wine")

    assert done.returncode == 1
    assert "There is no ProjectRun 'nothing'" in done.stderr
    assert "1 of 2 could not be" in done.stderr
    assert done.stdout.startswith("projectrun.mlp.dev/wine ")


def test_a_run_is_suspended_and_resumed(runs):
    runs.create("wine")

    assert runs.mlp("suspend", "wine").stdout == "projectrun.mlp.dev/wine suspended\n"
    assert spec_of(runs)["suspend"] is True
    assert runs.mlp("suspend", "wine").stdout == "projectrun.mlp.dev/wine is suspended already\n"
    assert runs.mlp("resume", "wine").stdout == "projectrun.mlp.dev/wine resumed\n"
    assert spec_of(runs)["suspend"] is False
    assert runs.mlp("resume", "wine").stdout == "projectrun.mlp.dev/wine is not suspended\n"


def test_a_run_that_ends_is_not_suspended_on_the_way(runs):
    runs.create("wine", shutdown="Stop")

    done = runs.mlp("suspend", "wine")

    assert done.returncode == 1
    assert "'wine' is being cancelled" in done.stderr


@pytest.mark.parametrize(
    ("command", "said"), [("suspend", "nothing to suspend"), ("resume", "run the same once more: mlp retry wine")]
)
def test_what_has_ended_can_be_neither_suspended_nor_resumed(runs, command, said):
    runs.create("wine")
    end(runs)

    done = runs.mlp(command, "wine")

    assert done.returncode == 1
    assert said in done.stderr


def test_an_ended_run_is_run_once_more_at_the_same_commit(runs):
    runs.create("wine", parameters=[{"name": "alpha", "value": "0.5"}])
    end(runs, phase="Failed", source={"commit": COMMIT})

    done = runs.mlp("retry", "wine", "--name", "again")

    assert done.stdout == "projectrun.mlp.dev/again created\n", done.stderr
    assert spec_of(runs, "again")["project"]["version"] == COMMIT
    assert spec_of(runs, "again")["parameters"] == [{"name": "alpha", "value": "0.5"}]
    assert runs.mlp("list", "-l", "mlp.dev/retry-of=wine", "-o", "name").stdout == "projectrun.mlp.dev/again\n"

    latest = runs.mlp("retry", "wine", "--latest", "-o", "name").stdout.strip().rpartition("/")[2]
    assert latest.startswith("wine-")
    assert "version" not in spec_of(runs, latest)["project"]


def test_what_goes_on_is_not_run_once_more(runs):
    runs.create("wine")

    done = runs.mlp("retry", "wine")

    assert done.returncode == 2
    assert "'wine' has not ended" in done.stderr
    assert runs.names() == ["wine"]
