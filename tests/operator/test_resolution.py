"""The look-up of projects against real Git servers: shared, bounded, and never across credentials."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mlp.resources import SourceStatus
from mlp_operator.machinery.cluster import ApiError, ClusterUnreachable
from mlp_operator.runs.outcome import Refused, Unavailable, Working
from mlp_operator.runs.planning import Resolved
from mlp_operator.runs.resolution import forget_old_credentials
from tests.operator.resolving import SETTINGS, Desk, Objects, at_work
from tests.servers.git_http import Accounts, serving
from tests.source import repositories

MLPROJECT = "name: wine\nentry_points:\n  main:\n    parameters: {alpha: float}\n    command: train {alpha}\n"


pytestmark = pytest.mark.usefixtures("temporary")


@pytest.fixture
def repository(tmp_path):
    made = repositories.create(tmp_path / "served" / "wine")
    made.commit({"MLproject": MLPROJECT, "train.py": ""})
    return made


@pytest.fixture
def server(repository):
    with serving(repository.path.parent) as running:
        yield running


def looked_up(server):
    """How often the server was asked for its refs."""
    return sum("service=git-upload-pack" in request.path for request in server.requests)


async def test_a_run_becomes_a_plan(repository, server):
    async with at_work() as desk:
        found = await desk.answer(desk.ask("a", f"{server.url}/wine", version="main"))
    assert isinstance(found, Resolved)
    assert found.plan.source.commit == repository.git("rev-parse", "HEAD")
    assert (found.plan.source.ref, found.plan.source.version) == ("refs/heads/main", "main")
    assert (found.plan.project.command, found.plan.source.protocols) == ("train 0.5", ("http",))


async def test_a_burst_of_runs_asks_the_server_twice(server):
    async with at_work() as desk:
        await desk.answer(desk.ask("alone", f"{server.url}/wine", version="main"))
        for_one = looked_up(server)
    server.requests.clear()
    async with at_work() as desk:
        first = desk.ask("first", f"{server.url}/wine", version="main")
        await asyncio.sleep(0.01)
        keys = [desk.ask(f"run-{n}", f"{server.url}/wine", version="main", alpha=str(n)) for n in range(99)]
        found = await desk.answer(first, *keys)
    assert [each.plan.project.command for each in found] == ["train 0.5", *(f"train {n}" for n in range(99))]
    assert looked_up(server) == for_one + 1


async def test_a_run_that_comes_after_a_push_gets_what_was_pushed(repository, server):
    server.behaviour.delay = 0.1
    async with at_work() as desk:
        before = desk.ask("before", f"{server.url}/wine", version="main")
        await asyncio.sleep(0.2)  # its look-up is under way
        pushed = repository.commit({"new.py": ""})
        after = desk.ask("after", f"{server.url}/wine", version="main")
        _, found = await desk.answer(before, after)
    assert found.plan.source.commit == pushed


async def test_a_commit_that_is_pinned_is_not_looked_up_again(repository, server):
    pinned = repository.git("rev-parse", "HEAD")
    repository.commit({"new.py": ""})
    async with at_work() as desk:
        key = desk.ask("a", f"{server.url}/wine", version="main")
        await desk.answer(key)
        run = desk.runs[key]
        status = run.status.model_copy(update={"source": SourceStatus(commit=pinned)})
        desk.resolver.forget(key)
        desk.resolver.start(key, run.model_copy(update={"status": status}), datetime.now(UTC))
        found = await desk.answer(key)
    assert found.plan.source.commit == pinned


MISTAKES = {
    "no such repository": ({"uri": "/none"}, "SourceNotFound"),
    "no such branch": ({"uri": "/wine", "version": "none"}, "SourceNotFound"),
    "no such directory": ({"uri": "/wine", "subdirectory": "none"}, "SourceNotFound"),
    "no such entry point": ({"uri": "/wine", "entryPoint": "none"}, "EntryPointNotFound"),
    "another type": ({"uri": "/wine", "alpha": "much"}, "ParameterInvalid"),
    "a forbidden transport": ({"uri": "https://git.invalid/wine"}, "SourceInvalid"),
}


@pytest.mark.parametrize(("asked", "reason"), MISTAKES.values(), ids=MISTAKES)
async def test_a_mistake_is_refused_for_good(server, asked, reason):
    asked = dict(asked)
    uri = asked.pop("uri")
    async with at_work() as desk:
        found = await desk.answer(desk.ask("a", uri if "://" in uri else server.url + uri, **asked))
    assert isinstance(found, Refused)
    assert found.reason == reason


@pytest.mark.parametrize(
    "text",
    ["\xff", "entry_points: [", "entry_points: {main: {command: x}}\nname: " + "n" * 2000],
    ids=["bytes", "yaml", "long"],
)
async def test_a_project_that_cannot_be_read_is_refused_for_good(repository, server, text):
    repository.commit({"MLproject": text.encode("latin-1")})
    async with at_work() as desk:
        found = await desk.answer(desk.ask("a", f"{server.url}/wine"))
    assert isinstance(found, Refused)
    assert found.reason == "ProjectInvalid"


async def test_a_failing_server_is_tried_later_each_time(server):
    server.behaviour.status = 503
    async with at_work() as desk:
        waits = []
        for _ in range(3):
            before = datetime.now(UTC)
            found = await desk.answer(desk.ask("a", f"{server.url}/wine"))
            assert isinstance(found, Unavailable)
            waits.append((found.retry_at - datetime.now(UTC), found.retry_at - before))
        for (least, most), expected in zip(waits, (2, 4, 8), strict=True):
            assert least <= timedelta(seconds=expected) <= most
        server.behaviour.status = None
        assert isinstance(await desk.answer(desk.ask("a", f"{server.url}/wine")), Resolved)


async def test_a_failure_is_not_kept_as_an_answer(repository, server):
    async with at_work() as desk:
        key = desk.ask("a", f"{server.url}/wine", version="soon")
        assert isinstance(await desk.answer(key), Refused)
        repository.git("branch", "soon")
        assert isinstance(await desk.answer(desk.ask("b", f"{server.url}/wine", version="soon")), Resolved)


# --- credentials ----------------------------------------------------------------------------------------------------


async def test_credentials_are_never_shared_between_secrets(repository):
    accounts = Accounts({"ann": "good"})
    secrets = Objects(right={"username": "ann", "password": "good"}, wrong={"username": "ann", "password": "bad"})
    with serving(repository.path.parent, accounts=accounts) as server:
        async with at_work(secrets) as desk:
            uri = f"{server.url}/wine"
            keys = [desk.ask("right", uri, secret="right"), desk.ask("wrong", uri, secret="wrong"), desk.ask("no", uri)]
            right, wrong, none = await desk.answer(*keys)
            assert isinstance(right, Resolved)
            assert right.plan.source.credentials
            assert "good" not in right.plan.to_json()
            again = [desk.ask("wrong2", uri, secret="wrong"), desk.ask("no2", uri)]
            for found in (wrong, none, *await desk.answer(*again)):
                assert isinstance(found, Refused)
                assert found.reason == "AuthenticationFailed"
                assert "bad" not in found.message


UNREADABLE = {
    "not there yet": (None, "there is no Secret creds in namespace team-a"),
    "forbidden": (ApiError(403, "Forbidden", "no rights"), "no rights"),
    "no API server": (ClusterUnreachable("no answer in 20 s"), "could not be read: no answer in 20 s"),
}


@pytest.mark.parametrize(("secret", "part"), UNREADABLE.values(), ids=UNREADABLE)
async def test_a_secret_that_cannot_be_read_is_waited_for(server, secret, part, caplog):
    secrets = Objects(**({} if secret is None else {"creds": secret}))
    async with at_work(secrets) as desk:
        found = await desk.answer(desk.ask("a", f"{server.url}/wine", secret="creds"))
        assert isinstance(found, Unavailable)
        assert part in found.message
        assert caplog.records == []
        secrets.secrets["creds"] = {"username": "ann", "password": "x"}
        assert isinstance(await desk.answer(desk.ask("a", f"{server.url}/wine", secret="creds")), Resolved)


async def test_while_git_works_nobody_else_can_read_the_credentials(repository, temporary):
    secrets = Objects(creds={"username": "ann", "password": "good"})
    with serving(repository.path.parent, accounts=Accounts({"ann": "good"})) as server:
        server.behaviour.delay = 0.1
        async with at_work(secrets) as desk:
            key = desk.ask("a", f"{server.url}/wine", secret="creds")
            async with asyncio.timeout(10):
                while not (found := list(temporary.glob("mlp-git-*/password"))):  # noqa: ASYNC110 -- a file tells nobody
                    await asyncio.sleep(0.01)
            modes = {path.stat().st_mode & 0o077 for path in (found[0], found[0].parent)}
            assert isinstance(await desk.answer(key), Resolved)
    assert modes == {0}


# --- one run and its look-up ----------------------------------------------------------------------------------------


async def test_a_run_is_looked_up_once_however_often_it_is_asked_for(server):
    async with at_work() as desk:
        for _ in range(5):
            key = desk.ask("a", f"{server.url}/wine")
        await desk.answer(key)
        assert len(desk.queue) == 0


async def test_what_is_known_of_a_run_is_not_known_of_its_successor(server):
    async with at_work() as desk:
        key = desk.ask("a", f"{server.url}/wine")
        await desk.answer(key)
        assert desk.resolver.outcome(key, "another uid") is None


async def test_a_run_that_is_forgotten_leaves_nothing_behind(server):
    server.behaviour.status = 503
    async with at_work() as desk:
        key = desk.ask("a", f"{server.url}/wine")
        desk.resolver.forget(key)
        assert await desk.queue.get() == key  # the controller will find the run gone, and forget it again
        desk.resolver.forget(key)
        assert (desk.outcome(key), desk.resolver._outcomes, desk.resolver._failures) == (None, {}, {})


async def test_a_server_that_hangs_does_not_keep_runs_from_the_others(tmp_path, server):
    with serving(tmp_path) as hanging:
        hanging.behaviour.delay = 60
        async with at_work(settings=replace(SETTINGS, resolve_timeout=40)) as desk:
            stuck = [desk.ask(f"stuck-{n}", f"{hanging.url}/repository-{n}") for n in range(10)]
            await asyncio.sleep(0.2)
            started = time.perf_counter()
            found = await desk.answer(desk.ask("quick", f"{server.url}/wine"))
            assert isinstance(found, Resolved)
            assert time.perf_counter() - started < 20
            assert all(isinstance(desk.outcome(key), Working) for key in stuck)
            assert len({request.path for request in hanging.requests}) <= 2
            hanging.halt()
    # Whoever closes a resolver leaves no task behind that would complain about it.
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closing_ends_what_is_under_way(server):
    server.behaviour.delay = 60
    desk = Desk(settings=replace(SETTINGS, resolve_timeout=40))
    desk.ask("a", f"{server.url}/wine")
    await asyncio.sleep(0.1)
    started = time.perf_counter()
    await desk.resolver.close()
    assert time.perf_counter() - started < 15
    server.halt()
    await desk.gone()


def test_what_a_killed_operator_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    place = tmp_path / "of-this-test"
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    for name in ("mlp-git-abc", "mlp-bundle-abc", "somebody-else"):
        (place / name).mkdir(parents=True)
        (place / name / "password").write_text("pw")
    forget_old_credentials()
    assert [path.name for path in place.iterdir()] == ["somebody-else"]
