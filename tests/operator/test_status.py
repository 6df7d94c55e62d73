"""Statuses: what is sent so that they become what is wanted, and what stays as it was."""

from __future__ import annotations

import json

import pytest

from mlp.resources import Phase, ProjectRunStatus, Reason
from mlp_operator.runs.situation import Situation
from mlp_operator.runs.status import before_job, merge_patch, with_job
from tests.operator.build import NOW, at, failed, job, merged, plan, pod, project_run, reading, running, succeeded

EMPTY = ProjectRunStatus(observed_generation=-1)

# RFC 7386: stored, wanted, the patch that makes the one from the other.
PATCHES = {
    "nothing to say": ({"a": 1}, {"a": 1}, {}),
    "both empty": ({}, {}, {}),
    "a new key": ({}, {"a": 1}, {"a": 1}),
    "another value": ({"a": 1}, {"a": 2}, {"a": 2}),
    "a key that goes": ({"a": 1, "b": 2}, {"a": 1}, {"b": None}),
    "a null that goes": ({"a": None}, {}, {"a": None}),
    "inside an object": ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}),
    "a key that goes from an object": ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": None}}),
    "the last key of an object": ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": None}}),
    "a whole object": ({"a": {"b": 1}}, {}, {"a": None}),
    "an object for a value": ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    "a value for an object": ({"a": {"b": 1}}, {"a": 1}, {"a": 1}),
    "a list is replaced whole": ({"a": [1, 2]}, {"a": [1, 2, 3]}, {"a": [1, 2, 3]}),
    "the same list": ({"a": [{"b": 1}]}, {"a": [{"b": 1}]}, {}),
    "an empty list": ({"a": [1]}, {"a": []}, {"a": []}),
    "falsy is not gone": ({"a": 1}, {"a": 0, "b": "", "c": False}, {"a": 0, "b": "", "c": False}),
}


@pytest.mark.parametrize(("stored", "wanted", "patch"), PATCHES.values(), ids=PATCHES)
def test_a_patch_says_what_changes_and_nothing_else(stored, wanted, patch):
    assert merge_patch(stored, wanted) == patch


@pytest.mark.parametrize(("stored", "wanted", "patch"), PATCHES.values(), ids=PATCHES)
def test_a_patch_makes_what_is_wanted(stored, wanted, patch):
    assert merged(stored, merge_patch(stored, wanted)) == wanted, patch


def status_of(*pods, stored=EMPTY, now=NOW, backoff_limit=0, **of_job):
    return with_job(
        stored,
        reading(*pods, backoff_limit=backoff_limit, **of_job),
        job=job(**of_job),
        plan=plan(),
        generation=1,
        now=now,
    )


STATUSES = {
    "refused": before_job(EMPTY, Situation(Phase.FAILED, Reason.SOURCE_NOT_FOUND, "no"), generation=1, now=NOW),
    "refused with a plan": before_job(
        EMPTY, Situation(Phase.PENDING, Reason.JOB_REFUSED, "no"), generation=1, now=NOW, plan=plan()
    ),
    "submitted": status_of(),
    "fetching": status_of(pod(init=running())),
    "succeeded": status_of(succeeded()),
    "failed": status_of(failed(3, "log\nü 🍷")),
    "without parameters": with_job(
        EMPTY, reading(succeeded()), job=job(), plan=plan(parameters=(), name="ü"), generation=2**40, now=NOW
    ),
    "between two seconds": with_job(
        EMPTY, reading(pod("Failed")), job=job(), plan=plan(), generation=1, now=NOW.replace(microsecond=987_654)
    ),
}


@pytest.mark.parametrize("status", STATUSES.values(), ids=STATUSES)
def test_a_status_is_equal_to_itself_after_its_way_through_the_api_server(status):
    stored = json.loads(json.dumps(status.to_dict()))
    assert ProjectRunStatus.model_validate(stored) == status
    assert merge_patch(stored, status.to_dict()) == {}


@pytest.mark.parametrize("status", STATUSES.values(), ids=STATUSES)
def test_every_status_is_one_that_the_api_takes(status):
    assert project_run(status=status.to_dict()).status == status


def test_a_condition_of_each_type_stands_there_once():
    for status in STATUSES.values():
        types = [each.type for each in status.conditions]
        assert len(types) == len(set(types))


def test_the_whole_story_is_told_once_and_its_first_line_elsewhere():
    status = status_of(failed(3, "first\nsecond"))
    messages = {each.type: each.message for each in status.conditions}
    assert messages["Succeeded"].splitlines() == [
        "The command ended with exit code 3.",
        "The end of its log:",
        "first",
        "second",
    ]
    assert messages["Ready"] == messages["Stalled"] == "The command ended with exit code 3."


def test_what_is_known_of_the_project_stays_when_there_is_no_job_any_more():
    known = status_of(succeeded())
    later = before_job(known, Situation(Phase.FAILED, Reason.JOB_DELETED, "x"), generation=2, now=at(9))
    assert (later.project, later.source, later.kubernetes) == (known.project, known.source, known.kubernetes)
    assert later.completion_time == known.completion_time


def test_steps_that_a_run_leaves_behind_have_ended():
    known = status_of(pod(init=running()))
    later = before_job(known, Situation(Phase.CANCELLED, Reason.CANCELLED, "x"), generation=2, now=at(9))
    assert [(step.name, step.state, step.reason, step.completion_time) for step in later.steps] == [
        ("clone", "Failed", "Cancelled", at(9)),
        ("main", "Skipped", None, None),
    ]


def test_a_finished_run_has_an_end_even_if_no_container_tells_one():
    assert status_of(pod("Failed", reason="Evicted"), now=at(7)).completion_time == at(7)


def test_a_run_that_is_tried_again_has_no_end():
    assert status_of(failed(3), backoff_limit=1).completion_time is None
