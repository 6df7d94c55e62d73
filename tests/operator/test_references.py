"""Parameters from Secrets and ConfigMaps: read when a run is resolved, waited for, and secrets nowhere to be seen."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from mlp_operator.machinery.cluster import ApiError
from mlp_operator.runs.outcome import Refused, Unavailable
from mlp_operator.runs.planning import Resolved
from tests.operator.resolving import Objects, at_work
from tests.servers.git_http import serving
from tests.source import repositories

pytestmark = pytest.mark.usefixtures("temporary")

MLPROJECT = """
name: wine
entry_points:
  main:
    parameters: {alpha: float, token: {type: string, default: none}, note: {type: string, default: none}}
    command: train {alpha} {token} {note}
"""
SECRET = "s3cr3t-0123456789"


@pytest.fixture
def server(tmp_path):
    made = repositories.create(tmp_path / "served" / "wine")
    made.commit({"MLproject": MLPROJECT})
    with serving(made.path.parent) as running:
        yield running


def secret(name, key="value", *, of="creds"):
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": of, "key": key}}}


def config(name, key="value", *, of="settings"):
    return {"name": name, "valueFrom": {"configMapKeyRef": {"name": of, "key": key}}}


def ask(desk, server, *parameters, name="a", **spec):
    return desk.ask_for(name, project={"uri": f"{server.url}/wine"}, parameters=list(parameters), **spec)


async def test_values_come_from_config_maps_and_secrets_each_read_once(server):
    objects = Objects(creds={"alpha": "0.25", "token": SECRET})
    objects.config_maps["settings"] = {"note": "old vines"}
    async with at_work(objects) as desk:
        key = ask(desk, server, secret("alpha", "alpha"), secret("token", "token"), config("note", "note"))
        found = await desk.answer(key)
    assert isinstance(found, Resolved), found
    values = {each.name: each.value for each in found.plan.project.parameters}
    assert values == {"alpha": None, "token": None, "note": "old vines"}
    assert "'old vines'" in found.plan.project.command
    assert sorted(objects.asked) == [("configmaps", "team-a", "settings"), ("secrets", "team-a", "creds")]


async def test_a_config_map_may_hold_a_text_as_bytes(server):
    objects = Objects()
    objects.config_maps["settings"] = {"alpha": "0.1", "note": "ältere Reben".encode()}
    async with at_work(objects) as desk:
        found = await desk.answer(ask(desk, server, config("alpha", "alpha"), config("note", "note")))
    assert "ältere Reben" in found.plan.project.command


def everything_kept(desk):
    """What outlives a look-up in the resolver, as text."""
    resolver = desk.resolver
    return repr(
        [
            resolver._outcomes,
            resolver._failures,
            resolver._tasks,
            resolver._snapshots._answers,
            resolver._snapshots._asking,
            resolver._repositories._refs._asking,
            [outcome.plan.to_json() for _, outcome in resolver._outcomes.values() if isinstance(outcome, Resolved)],
        ]
    )


async def test_a_secret_s_value_is_kept_nowhere(server, caplog):
    caplog.set_level(logging.DEBUG)
    objects = Objects(creds={"alpha": "0.5", "token": SECRET})
    async with at_work(objects) as desk:
        right = ask(desk, server, secret("alpha", "alpha"), secret("token", "token"), name="right")
        wrong = ask(desk, server, secret("alpha", "token"), name="wrong")
        missing = ask(desk, server, secret("token", "token"), secret("alpha", "none"), name="missing")
        found = await desk.answer(right, wrong, missing)
        kept = everything_kept(desk)
    assert [type(each) for each in found] == [Resolved, Refused, Unavailable]
    assert SECRET not in kept + caplog.text
    assert found[1].reason == "ParameterInvalid"
    assert "'alpha'" in found[1].message


async def test_a_secret_s_value_is_not_logged_where_the_look_up_itself_is_at_fault(server, monkeypatch, caplog):
    def broken(*_, secrets, **__):
        raise ValueError(f"could not use {secrets['token']}")

    monkeypatch.setattr("mlp_operator.runs.resolution.plan_run", broken)
    async with at_work(Objects(creds={"token": SECRET})) as desk:
        found = await desk.answer(ask(desk, server, secret("token", "token")))
        assert SECRET not in everything_kept(desk)
    assert isinstance(found, Unavailable)
    assert "ValueError" in found.message
    assert "in broken" in caplog.text
    assert SECRET not in caplog.text


# --- what is not there yet ------------------------------------------------------------------------------------------

ABSENT = {
    "no Secret": (secret("alpha", "k"), {}, ["'alpha'", "there is no Secret creds in namespace team-a", "key k"]),
    "no ConfigMap": (config("alpha", "k"), {}, ["there is no ConfigMap settings in namespace team-a"]),
    "no key in the Secret": (
        secret("alpha", "k"),
        {"creds": {"other": "1"}},
        ["the Secret creds in namespace team-a has no key k"],
    ),
    "no key in the ConfigMap": (
        config("alpha", "k"),
        {"settings": {"other": "1"}},
        ["the ConfigMap settings in namespace team-a has no key k"],
    ),
    "no right to the Secret": (
        secret("alpha", "k"),
        {"creds": ApiError(403, "Forbidden", "secrets is forbidden")},
        ["may not read the Secret creds", "needs the verb get for secrets"],
    ),
    "no right to the ConfigMap": (
        config("alpha", "k"),
        {"settings": ApiError(403, "Forbidden", "configmaps is forbidden")},
        ["may not read the ConfigMap settings", "needs the verb get for configmaps"],
    ),
}


def with_objects(objects, there):
    """Put what is there where it belongs."""
    for name, content in there.items():
        (objects.secrets if name == "creds" else objects.config_maps)[name] = content
    return objects


@pytest.mark.parametrize(("parameter", "there", "parts"), ABSENT.values(), ids=ABSENT)
async def test_a_value_that_is_not_there_yet_is_waited_for(server, parameter, there, parts):
    objects = with_objects(Objects(), there)
    async with at_work(objects) as desk:
        found = await desk.answer(ask(desk, server, parameter))
        assert isinstance(found, Unavailable)
        assert found.reason == "ParameterSourcePending"
        assert [part for part in parts if part not in found.message] == []
        assert server.requests == []  # Git is asked once everything else is there
        with_objects(objects, {"creds": {"k": "0.5"}, "settings": {"k": "0.5"}})
        assert isinstance(await desk.answer(ask(desk, server, parameter)), Resolved)


async def test_the_waiting_grows_to_a_minute_and_begins_anew_for_another_reason(server):
    objects = Objects()
    async with at_work(objects) as desk:
        waits = []
        for _ in range(7):
            before = datetime.now(UTC)
            found = await desk.answer(ask(desk, server, config("alpha")))
            waits.append((found.retry_at - datetime.now(UTC), found.retry_at - before))
        for (least, most), expected in zip(waits, (2, 4, 8, 16, 32, 60, 60), strict=True):
            assert least <= timedelta(seconds=expected) <= most
        objects.config_maps["settings"] = {"value": "0.5"}
        server.behaviour.status = 503
        found = await desk.answer(ask(desk, server, config("alpha")))
        assert found.reason == "SourceUnavailable"
        assert (found.retry_at - datetime.now(UTC)).total_seconds() <= 2


async def test_an_api_server_that_fails_is_asked_again(server):
    async with at_work(Objects(creds=ApiError(500, "InternalError", "etcd is away"))) as desk:
        found = await desk.answer(ask(desk, server, secret("alpha")))
    assert isinstance(found, Unavailable)
    assert "etcd is away" in found.message


# --- what cannot be used --------------------------------------------------------------------------------------------

UNUSABLE = {
    "no text in a Secret": (secret("note"), {"creds": {"value": b"\xff\xfe"}}),
    "no text in a ConfigMap": (config("note"), {"settings": {"value": b"\xff\xfe"}}),
    "a NUL character in a Secret": (secret("note"), {"creds": {"value": "pa55\0word"}}),
    "a NUL character in a ConfigMap": (config("note"), {"settings": {"value": "pa55\0word"}}),
    "another type in a Secret": (secret("alpha"), {"creds": {"value": "pa55word"}}),
    "too long for a program": (secret("note"), {"creds": {"value": "pa55word" * 20_000}}),
}


@pytest.mark.parametrize(("parameter", "there"), UNUSABLE.values(), ids=UNUSABLE)
async def test_a_value_that_cannot_be_used_is_refused_without_showing_it(server, parameter, there):
    given = [parameter] if parameter["name"] == "alpha" else [parameter, {"name": "alpha", "value": "0.5"}]
    async with at_work(with_objects(Objects(), there)) as desk:
        found = await desk.answer(ask(desk, server, *given))
    assert isinstance(found, Refused)
    assert found.reason == "ParameterInvalid"
    assert parameter["name"] in found.message
    assert "pa55" not in found.message


# --- the tracking server --------------------------------------------------------------------------------------------


async def test_a_plan_knows_its_tracking_server(server):
    alpha = {"name": "alpha", "value": "0.5"}
    async with at_work() as desk:
        own = await desk.answer(ask(desk, server, alpha, name="own", tracking={"uri": "https://mlflow.example.org"}))
        none = await desk.answer(ask(desk, server, alpha, name="none"))
    assert (own.plan.tracking_uri, none.plan.tracking_uri) == ("https://mlflow.example.org", None)
