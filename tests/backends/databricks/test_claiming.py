"""Finding the run of a token whose submission nobody knows the fate of."""

from __future__ import annotations

import threading
import time
import uuid

import pytest

from mlp.backends.databricks.states import Ending
from mlp.backends.databricks.submitting import claim
from mlp.backends.databricks.task import Compute
from mlp.errors import WorkspaceRefused
from tests.backends.databricks.connected import access_to, opened
from tests.backends.databricks.test_workspace import a_run, until_ended


@pytest.fixture
def place(workspace):
    with opened(access_to(workspace)) as adapter:
        yield adapter


def claimed(workspace, place, token):
    return claim(place, token, name=f"claimed ({token})", compute=Compute(new_cluster=workspace.new_cluster))


def test_a_run_that_was_submitted_is_found_by_its_token(workspace, place):
    home = f"/Workspace/Users/{place.user_name()}/.mlp-tests/{uuid.uuid4().hex}"
    place.put(f"{home}/main.py", b"print('done')\n")
    body = a_run(workspace, f"{home}/main.py")
    run_id = place.submit(body)
    assert claimed(workspace, place, body["idempotency_token"]) == run_id
    assert until_ended(place, run_id).ending is Ending.SUCCEEDED
    assert claimed(workspace, place, body["idempotency_token"]) == run_id, "also after its end"


def test_what_arrives_later_meets_the_claim_and_runs_nothing(workspace, place):
    body = a_run(workspace, "/Workspace/Shared/would-run.py")
    run_id = claimed(workspace, place, body["idempotency_token"])
    place.cancel(run_id)
    assert until_ended(place, run_id).ending in {Ending.CANCELLED, Ending.FAILED, Ending.BROKEN}
    assert place.submit(body) == run_id


def test_two_that_claim_at_once_find_one_run(workspace, place):
    token, found = uuid.uuid4().hex, []
    threads = [threading.Thread(target=lambda: found.append(claimed(workspace, place, token))) for _ in range(4)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 120
    for thread in threads:
        thread.join(until - time.monotonic())
    assert len(found) == 4
    assert len(set(found)) == 1


def test_compute_that_no_task_can_have_was_submitted_for_none(place):
    with pytest.raises(WorkspaceRefused):
        claim(place, uuid.uuid4().hex, name="claimed", compute=Compute(new_cluster={"num_workers": "many"}))
