"""The records of runs in a real MLflow server: true, one each, and never anybody else's business."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import requests

from mlp.resources.plan import PlannedParameter
from mlp.tracking import connect
from mlp_operator.machinery.cluster import ApiError, ClusterUnreachable
from mlp_operator.machinery.metrics import Metrics
from mlp_operator.machinery.queue import WorkQueue
from mlp_operator.runs import errands, tracking, tracking_access
from mlp_operator.runs.actions import Wanted
from mlp_operator.runs.outcome import Working
from mlp_operator.runs.recording import TrackedRun, TrackingServer, annotation_of, facts_of
from mlp_operator.runs.tracking import Tracker
from mlp_operator.settings import Settings
from tests.operator.build import plan, project_run
from tests.servers.guarded_proxy import Mishap, guarding
from tests.servers.mlflow_client import SETTINGS
from tests.tracking import certificates

NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PATIENCE = 120
"""Seconds, for a machine that has other things to do."""
BASIC = "Basic " + base64.b64encode(b"ada:s3cret").decode()
ADA = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "s3cret"}


class Secrets:
    """The part of a cluster that a record needs: Secrets by name. `gate` holds the answers back."""

    def __init__(self, **secrets):
        self.secrets = secrets
        self.gate = asyncio.Event()
        self.gate.set()

    async def get(self, _resource, namespace, name):
        await self.gate.wait()
        found = self.secrets.get(name)
        if isinstance(found, Exception):
            raise found
        if found is None or namespace != "team-a":
            raise ApiError(404, "NotFound", f"secrets {name!r} not found")
        data = {key: base64.b64encode(value.encode()).decode() for key, value in found.items()}
        return {"metadata": {"name": name, "namespace": namespace}, "data": data}


class Desk:
    """A tracker at work, on runs of one experiment."""

    def __init__(self, experiment, secrets=None, **settings):
        self.experiment = experiment
        self.queue = WorkQueue()
        self.metrics = Metrics()
        self.cluster = secrets or Secrets()
        self.tracker = Tracker(self.cluster, self.queue, Settings(**{"tracking_timeout": 60, **settings}), self.metrics)

    def run(self, name="wine", **experiment):
        return project_run(
            experiment={"name": self.experiment, **experiment}, metadata={"name": name, "uid": f"uid-{name}"}
        )

    def start(self, server, run=None, now=None, **parts):
        run = run or self.run()
        self.tracker.begin(("team-a", run.name), run, server, facts_of(run, plan(**parts)), now or datetime.now(UTC))
        return run

    async def begin(self, server, run=None, **parts):
        return await self.answer(self.start(server, run, **parts))

    async def write(self, server, tracked, state, tags=None, *, run=None, ended=None, now=None, **options):
        run = run or self.run()
        self.tracker.write(
            ("team-a", run.name),
            run,
            server,
            tracked,
            Wanted(state, tags or {}, ended, **options),
            now or datetime.now(UTC),
        )
        return await self.answer(run)

    def outcome(self, run):
        return self.tracker.outcome(("team-a", run.name), run.uid)

    async def answer(self, run):
        """Wait for an outcome, which brings the run's key on the queue."""
        async with asyncio.timeout(PATIENCE):
            while isinstance(self.outcome(run), Working):
                self.queue.done(await self.queue.get(), ok=True)
        return self.outcome(run)

    async def abandon(self, pod):
        """Wait until a pod may go."""
        self.tracker.abandon(("team-a", "wine"), pod, datetime.now(UTC))
        async with asyncio.timeout(PATIENCE):
            while not self.tracker.released(pod["metadata"]["uid"]):
                self.queue.done(await self.queue.get(), ok=True)

    async def asked(self, servers):
        """Wait until so many errands are under way."""
        async with asyncio.timeout(PATIENCE):
            while len(self.tracker._errands._open) < servers:  # noqa: ASYNC110 -- a thread tells nobody
                await asyncio.sleep(0.01)

    async def close(self):
        """Wait until no thread is at work any more, too."""
        await self.tracker.close()
        async with asyncio.timeout(PATIENCE):
            while any(thread.is_alive() for thread in self.tracker._errands._threads._threads):  # noqa: ASYNC110 -- a thread tells nobody
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def at_work(*arguments, **options):
    desk = Desk(*arguments, **options)
    try:
        yield desk
    finally:
        await desk.close()


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """What the machine's user has configured must not decide a test; nothing may be left in temporary files."""
    for name in list(os.environ):
        if name.startswith(SETTINGS) or name.upper() in NETWORK:
            monkeypatch.delenv(name)
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    yield home
    assert list(temporary.iterdir()) == []


@pytest.fixture
def store(mlflow_server):
    """The store itself, past everything that is tested."""
    with contextlib.closing(connect(mlflow_server.uri)) as store:
        yield store


@pytest.fixture
def experiment():
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def server(mlflow_server):
    return TrackingServer(mlflow_server.uri)


@pytest.fixture
def proxy(mlflow_server):
    with guarding(mlflow_server.uri) as proxy:
        yield proxy


@pytest.fixture
def guarded(mlflow_server):
    """A server that wants Ada's credentials."""
    with guarding(mlflow_server.uri, authorization=BASIC) as proxy:
        yield proxy


@pytest.fixture
def nowhere():
    """The address of a server that is not there: the port is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield TrackingServer(f"http://127.0.0.1:{taken.getsockname()[1]}")


@contextlib.contextmanager
def answering(answer):
    """A server that gives every connection to a function, in a thread of its own, until the block ends."""
    over = threading.Event()
    threads = []

    def serve(connection):
        with connection, contextlib.suppress(OSError):
            answer(connection, over)

    def accept():
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                threads.append(threading.Thread(target=serve, args=(listener.accept()[0],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield TrackingServer(f"http://127.0.0.1:{listener.getsockname()[1]}", own=True)
        finally:
            over.set()
            for thread in (acceptor, *threads):
                thread.join()


def hang(_connection, over):
    over.wait()


def drip(connection, over):
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not over.wait(0.02):
        connection.sendall(b"x")


def runs_of(store, experiment):
    return store.search_runs([store.experiment(name=experiment)])


def milliseconds(moment):
    return int(moment.timestamp() * 1000)


def pod(server, tracked, *, phase="Running", namespace="team-a", **annotations):
    given = {"mlp.dev/mlflow-run": annotation_of(server, tracked), **annotations}
    return {
        "metadata": {"name": "wine-x", "namespace": namespace, "uid": f"pod-{phase}", "annotations": given},
        "status": {"phase": phase},
    }


def ended_and_deleted(pod, *, ended, deleted):
    """A pod whose command has ended well at one moment and that was deleted at another, both of them seconds."""
    state = {"terminated": {"exitCode": 0, "finishedAt": f"2026-03-01T12:00:{ended:02}Z"}}
    deletion = {"deletionTimestamp": f"2026-03-01T12:00:{deleted + 30:02}Z", "deletionGracePeriodSeconds": 30}
    status = {"phase": "Succeeded", "containerStatuses": [{"name": "main", "state": state}]}
    return {**pod, "metadata": {**pod["metadata"], **deletion}, "status": status}


# --- a run's life ---------------------------------------------------------------------------------------------------


async def test_a_run_begins_scheduled_and_says_whose_it_is(server, store, experiment):
    async with at_work(experiment) as desk:
        found = await desk.begin(server, desk.run(tags=[{"name": "team", "value": "red"}]))
    run = store.get_run(found.run_id)
    assert found == TrackedRun(server.uri, run.info.experiment_id, run.info.run_id, "SCHEDULED")
    assert (run.info.status, run.info.run_name, run.info.end_time) == ("SCHEDULED", "wine", None)
    assert run.data.params == {"alpha": "0.5"}
    expected = {
        "team": "red",
        "mlflow.source.type": "PROJECT",
        "mlflow.project.backend": "kubernetes",
        "mlp.projectrun.uid": "uid-wine",
        "mlp.projectrun.name": "wine",
        "mlp.projectrun.namespace": "team-a",
    }
    assert expected.items() <= run.data.tags.items()


async def test_a_run_without_an_experiment_goes_to_the_default_one(server, store):
    async with at_work(None) as desk:
        run = project_run(metadata={"name": "plain", "uid": uuid.uuid4().hex})
        found = await desk.begin(server, run)
    assert found.experiment_id == store.get_run(found.run_id).info.experiment_id == "0"


async def test_a_run_is_followed_to_its_end_and_reopened_on_a_retry(server, store, experiment):
    ended = datetime.now(UTC) - timedelta(seconds=30)
    async with at_work(experiment) as desk:
        found = await desk.begin(server)
        found = await desk.write(server, found, "RUNNING")
        assert (found.state, store.get_run(found.run_id).info.status) == ("RUNNING", "RUNNING")
        tags = {"mlp.reason": "OOMKilled", "mlp.message": "é" * 9000}
        found = await desk.write(server, found, "FAILED", tags, ended=ended)
        run = store.get_run(found.run_id)
        assert (found.state, run.info.status, run.info.end_time) == ("FAILED", "FAILED", milliseconds(ended))
        assert run.data.tags["mlp.reason"] == "OOMKilled"
        assert run.data.tags["mlp.message"].endswith("[cut: 9,000 characters]")
        found = await desk.write(server, found, "RUNNING")
        run = store.get_run(found.run_id)
        assert (found.state, run.info.status, run.info.end_time) == ("RUNNING", "RUNNING", None)
        assert not {"mlp.reason", "mlp.message"} & set(run.data.tags)
        found = await desk.write(server, found, "FINISHED")
        run = store.get_run(found.run_id)
        assert (found.state, run.info.status, run.info.end_time is not None) == ("FINISHED", "FINISHED", True)


async def test_the_projects_code_takes_the_run_up_and_its_verdict_is_kept(server, store, experiment, mlflow):
    code = "with mlflow.start_run() as run:\n    mlflow.log_metric('m', 1)\nanswer = run.info.run_id"
    async with at_work(experiment) as desk:
        found = await desk.begin(server)
        found = await desk.write(server, found, "RUNNING")
        variables = {"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_RUN_ID": found.run_id}
        assert mlflow.run(code, variables=variables) == found.run_id
        found = await desk.write(server, found, "FAILED", {"mlp.reason": "EntryPointFailed"})
    run = store.get_run(found.run_id)
    assert (found.state, run.info.status) == ("FINISHED", "FINISHED")
    assert (run.data.metrics, run.data.tags["mlp.reason"]) == ({"m": 1}, "EntryPointFailed")


EARLIER, START, LATER = (datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (11, 12, 13))


@pytest.mark.parametrize(
    ("found", "told", "wanted", "options", "becomes"),
    [
        ("FINISHED", "RUNNING", "FAILED", {}, "FINISHED"),
        ("FAILED", "RUNNING", "FINISHED", {}, "FAILED"),
        ("FAILED", "RUNNING", "KILLED", {}, "KILLED"),
        ("FINISHED", "RUNNING", "KILLED", {}, "FINISHED"),
        ("FINISHED", "RUNNING", "KILLED", {"told_to_end": EARLIER}, "KILLED"),
        ("FINISHED", "RUNNING", "KILLED", {"told_to_end": LATER}, "FINISHED"),
        ("FAILED", "RUNNING", "FINISHED", {"since": EARLIER}, "FAILED"),
        ("FAILED", "RUNNING", "FINISHED", {"since": LATER}, "FINISHED"),
        ("FAILED", "SCHEDULED", "RUNNING", {}, "FAILED"),
        ("FAILED", "RUNNING", "RUNNING", {}, "RUNNING"),
        ("FAILED", "RUNNING", "RUNNING", {"since": LATER}, "RUNNING"),
        ("FAILED", "RUNNING", "RUNNING", {"since": EARLIER}, "FAILED"),
        ("FAILED", "RUNNING", "SCHEDULED", {}, "SCHEDULED"),
    ],
)
async def test_a_state_that_code_has_set_counts_where_it_is_a_verdict(
    server, store, experiment, found, told, wanted, options, becomes
):
    async with at_work(experiment) as desk:
        begun = await desk.begin(server)
        store.update_run(begun.run_id, status=found, end_time=milliseconds(START))
        outcome = await desk.write(server, replace(begun, state=told), wanted, **options)
    info = store.get_run(begun.run_id).info
    assert info.status == becomes
    assert (info.end_time is not None) == (becomes in {"FINISHED", "FAILED", "KILLED"})
    # What goes on is not written again and again because the code has said its last word.
    assert outcome.state == (wanted if wanted == "RUNNING" else becomes)


async def test_of_what_waits_to_be_written_the_newest_is(server, store, experiment):
    async with at_work(experiment, Secrets(mine={})) as desk:
        server = replace(server, secret="mine")
        found, run, now = await desk.begin(server), desk.run(), datetime.now(UTC)
        key, asked = ("team-a", run.name), []
        desk.cluster.gate.clear()
        for seconds, state in ((1, "RUNNING"), (3, "FINISHED"), (2, "RUNNING")):
            moment = now + timedelta(seconds=seconds)
            desk.tracker.write(key, run, server, found, Wanted(state), moment)
            asked.append(desk.outcome(run))
        assert asked == [Working(now + timedelta(seconds=1))] * 3
        desk.cluster.gate.set()
        assert (await desk.answer(run)).state == "FINISHED"
        desk.tracker.write(key, run, server, found, Wanted("RUNNING"), now + timedelta(seconds=2))
        assert desk.outcome(run).state == "FINISHED"
    assert store.get_run(found.run_id).info.status == "FINISHED"


async def test_what_was_to_be_written_is_written_though_nobody_asks_any_more(server, store, experiment):
    async with at_work(experiment, Secrets(mine={})) as desk:
        server = replace(server, secret="mine")
        found, run = await desk.begin(server), desk.run()
        desk.cluster.gate.clear()
        desk.tracker.write(("team-a", run.name), run, server, found, Wanted("FINISHED"), datetime.now(UTC))
        desk.tracker.forget(("team-a", run.name))
        assert desk.outcome(run) is None
        desk.cluster.gate.set()
        async with asyncio.timeout(PATIENCE):
            while store.get_run(found.run_id).info.status != "FINISHED":  # noqa: ASYNC110 -- nobody tells
                await asyncio.sleep(0.05)


async def test_another_run_of_the_same_name_is_another(server, store, experiment):
    async with at_work(experiment) as desk:
        first = await desk.begin(server)
        again = project_run(experiment={"name": experiment}, metadata={"name": "wine", "uid": "uid-again"})
        assert desk.outcome(again) is None
        second = await desk.begin(server, again)
    assert first.run_id != second.run_id
    assert len(runs_of(store, experiment)) == 2


# --- exactly one ----------------------------------------------------------------------------------------------------


async def test_an_operator_that_knows_nothing_finds_the_run_that_is_there(server, store, experiment):
    async with at_work(experiment) as desk:
        first = await desk.begin(server)
    async with at_work(experiment) as desk:
        assert await desk.begin(server) == first
    assert len(runs_of(store, experiment)) == 1


async def test_a_run_whose_creation_was_answered_by_a_broken_line_is_found(proxy, store, experiment):
    proxy.mishaps.append(Mishap(on="runs/create", done=True))
    async with at_work(experiment) as desk:
        found = await desk.begin(TrackingServer(proxy.url))
    assert [run.info.run_id for run in runs_of(store, experiment)] == [found.run_id]


async def test_an_operator_that_is_killed_after_the_creation_leaves_one_run(proxy, store, experiment):
    def vanish():
        proxy.always = Mishap()

    proxy.mishaps.append(Mishap(on="runs/create", done=True, first=vanish))
    async with at_work(experiment) as desk:
        lost = await desk.begin(TrackingServer(proxy.url))
    assert (lost.reason, lost.run) == ("TrackingUnavailable", None)
    proxy.always = None
    async with at_work(experiment) as desk:
        found = await desk.begin(TrackingServer(proxy.url))
    assert [run.info.run_id for run in runs_of(store, experiment)] == [found.run_id]
    assert store.get_run(found.run_id).info.status == "SCHEDULED"
    assert store.get_run(found.run_id).data.params == {"alpha": "0.5"}


# --- what MLflow does not take --------------------------------------------------------------------------------------


async def test_tags_and_parameters_that_mlflow_refuses_cost_only_themselves(proxy, store, experiment, caplog):
    # MLflow's own server looks at tags' names later than others do.
    refusal = {"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid tag name"}
    proxy.mishaps.append(Mishap(on="runs/create", status=400, text=json.dumps(refusal)))
    parameters = {"parameters": tuple(parameter("../odd", "1") + parameter("alpha", "0.5"))}
    async with at_work(experiment) as desk:
        run = desk.run(tags=[{"name": "../odd", "value": "1"}, {"name": "good", "value": "2"}])
        found = await desk.begin(TrackingServer(proxy.url), run, **parameters)
    seen = store.get_run(found.run_id)
    assert seen.data.params == {"alpha": "0.5"}
    assert {"good": "2", "mlp.projectrun.uid": "uid-wine"}.items() <= seen.data.tags.items()
    assert "mlflow.source.name" in seen.data.tags
    assert "the tag ../odd is not recorded" in caplog.text
    assert "the parameter ../odd is not recorded" in caplog.text


def parameter(name, value):
    return [PlannedParameter(name=name, type="string", value=value, source="Spec")]


async def test_a_deleted_experiment_is_named_for_good(server, store, experiment):
    experiment_id = store.experiment(name=experiment)
    ask(server, "experiments/delete", experiment_id=experiment_id)
    async with at_work(experiment) as desk:
        failed = await desk.begin(server)
    assert (failed.reason, failed.final) == ("TrackingNotFound", True)
    assert f"The experiment '{experiment}' (id {experiment_id}) is deleted" in failed.message


async def test_a_run_that_was_deleted_in_mlflow_stays_as_it_is(server, experiment):
    async with at_work(experiment) as desk:
        found = await desk.begin(server)
        ask(server, "runs/delete", run_id=found.run_id)
        failed = await desk.write(server, found, "RUNNING")
    assert (failed.reason, failed.final, failed.run) == ("TrackingNotFound", True, found)
    assert f"mlflow runs restore --run-id {found.run_id}" in failed.message


def ask(server, path, **body):
    with requests.Session() as session:
        session.trust_env = False
        session.post(f"{server.uri}/api/2.0/mlflow/{path}", json=body, timeout=PATIENCE).raise_for_status()


# --- credentials ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "secret"),
    [
        (BASIC, ADA | {"MLFLOW_TRACKING_TOKEN": "other"}),
        (BASIC, {key: f"{value}\n" for key, value in ADA.items()}),
        ("Bearer t0ken", {"MLFLOW_TRACKING_TOKEN": "t0ken"}),
    ],
)
async def test_a_server_gets_the_credentials_of_the_runs_secret(guarded, experiment, authorization, secret):
    guarded.authorization = authorization
    async with at_work(experiment, Secrets(mine=secret)) as desk:
        found = await desk.begin(TrackingServer(guarded.url, "mine", own=True))
    assert isinstance(found, TrackedRun)


async def test_the_operators_own_credentials_are_for_its_own_server_alone(guarded, experiment, monkeypatch):
    for name, value in ADA.items():
        monkeypatch.setenv(name, value)
    async with at_work(experiment, tracking_uri=guarded.url) as desk:
        assert isinstance(await desk.begin(TrackingServer(guarded.url)), TrackedRun)
        guarded.asked.clear()
        failed = await desk.begin(TrackingServer(guarded.url, own=True), desk.run("other"))
    assert (failed.reason, failed.final) == ("TrackingDenied", True)
    assert "wants credentials (401): name a Secret with MLFLOW_TRACKING_USERNAME" in failed.message
    assert "spec.tracking.secretRef" in failed.message
    assert guarded.asked
    assert not any(asked.credentials for asked in guarded.asked)


async def test_nothing_of_the_machine_reaches_a_server_that_a_run_names(guarded, experiment, monkeypatch, home):
    for name, value in ADA.items():
        monkeypatch.setenv(name, value)
    (home / ".netrc").write_text("machine 127.0.0.1 login ada password s3cret\n")
    (home / ".netrc").chmod(0o600)
    (home / ".mlflow").mkdir()
    (home / ".mlflow" / "credentials").write_text(
        "[mlflow]\nmlflow_tracking_username = ada\nmlflow_tracking_password = s3cret\n"
    )
    async with at_work(experiment, Secrets(empty={})) as desk:
        for secret in (None, "empty"):
            failed = await desk.begin(TrackingServer(guarded.url, secret, own=True), desk.run(f"run-{secret}".lower()))
            assert failed.reason == "TrackingDenied"
        # A Secret stands for itself at the operator's server too.
        failed = await desk.begin(TrackingServer(guarded.url, "empty"), desk.run("own"))
        assert failed.reason == "TrackingDenied"
    assert len(guarded.asked) >= 3
    assert not any(asked.credentials for asked in guarded.asked)


async def test_refused_credentials_are_named_by_their_secret_and_never_shown(guarded, experiment):
    wrong = ADA | {"MLFLOW_TRACKING_PASSWORD": "wr0ng"}
    guarded.mishaps.append(Mishap(status=401, text="wr0ng is not the password of ada"))
    async with at_work(experiment, Secrets(mine=wrong)) as desk:
        failed = await desk.begin(TrackingServer(guarded.url, "mine", own=True))
    assert (failed.reason, failed.final) == ("TrackingDenied", True)
    assert "(401): *** is not the password of ada Check the Secret mine." in failed.message
    assert "wr0ng" not in failed.message


async def test_a_secret_that_is_not_there_yet_is_waited_for(guarded, experiment):
    secrets = Secrets()
    async with at_work(experiment, secrets) as desk:
        server = TrackingServer(guarded.url, "mine", own=True)
        failed = await desk.begin(server)
        assert (failed.reason, failed.final) == ("TrackingUnavailable", False)
        assert "There is no Secret mine in namespace team-a" in failed.message
        secrets.secrets["mine"] = ADA
        assert isinstance(await desk.begin(server), TrackedRun)


async def test_a_secret_that_cannot_be_read_is_waited_for(server, experiment):
    secrets = Secrets(mine=ClusterUnreachable("the API server is away"), theirs=ApiError(403, "Forbidden", "no"))
    async with at_work(experiment, secrets) as desk:
        for name in ("mine", "theirs"):
            failed = await desk.begin(replace(server, secret=name), desk.run(name))
            assert (failed.reason, failed.final) == ("TrackingUnavailable", False)
            assert failed.message.startswith(f"The Secret {name} could not be read: ")


async def test_credentials_do_not_follow_a_redirection_to_another_host(guarded, proxy, experiment):
    guarded.always = Mishap(status=307, headers={"Location": f"{proxy.url}/api/2.0/mlflow/runs/search"})
    async with at_work(experiment, Secrets(mine=ADA)) as desk:
        failed = await desk.begin(TrackingServer(guarded.url, "mine", own=True))
    assert (failed.reason, proxy.asked) == ("TrackingUnavailable", [])
    assert f"redirects to {proxy.url}/" in failed.message
    assert "name it in spec.tracking.uri" in failed.message


async def test_a_secret_says_whom_to_believe(mlflow_server, experiment, tmp_path):
    made = certificates.make(tmp_path / "certificates")
    authority = (made / "ca.pem").read_text()
    secrets = Secrets(none={}, known={"ca.crt": authority}, careless={"MLFLOW_TRACKING_INSECURE_TLS": "true"})
    context = certificates.serving_context(made)
    with guarding(mlflow_server.uri, authorization=None, tls=context) as proxy:
        async with at_work(experiment, secrets) as desk:
            failed = await desk.begin(TrackingServer(proxy.url, "none", own=True))
            assert (failed.reason, failed.final) == ("TrackingUnavailable", False)
            assert "is not trusted" in failed.message
            assert "into the Secret of spec.tracking.secretRef, as ca.crt" in failed.message
            known = await desk.begin(TrackingServer(proxy.url, "known", own=True))
            assert isinstance(known, TrackedRun)
            with pytest.warns(match="Unverified HTTPS request"):
                careless = await desk.begin(TrackingServer(proxy.url, "careless", own=True))
            assert careless == known


async def test_databricks_is_reached_by_host_and_token_of_the_secret(guarded, experiment):
    guarded.authorization = "Bearer dapi1"
    secrets = Secrets(mine={"DATABRICKS_HOST": guarded.url, "DATABRICKS_TOKEN": "dapi1"}, empty={})
    async with at_work(experiment, secrets) as desk:
        found = await desk.begin(TrackingServer("databricks", "mine", own=True))
        assert (found.uri, found.state) == ("databricks", "SCHEDULED")
        nameless = project_run(metadata={"name": "nameless", "uid": "n"})
        failed = await desk.begin(TrackingServer("databricks", "mine", own=True), nameless)
        assert (failed.reason, failed.final) == ("TrackingNotFound", True)
        assert "spec.experiment.name" in failed.message
        for uri, words in (("databricks", "DATABRICKS_HOST"), ("databricks://prod", "Profiles and files")):
            failed = await desk.begin(TrackingServer(uri, "empty", own=True), desk.run(f"bad-{len(uri)}"))
            assert (failed.reason, failed.final) == ("TrackingDenied", True)
            assert words in failed.message


# --- servers that are away, or worse --------------------------------------------------------------------------------


async def test_a_server_that_is_away_is_tried_again_and_made_good(proxy, store, experiment):
    async with at_work(experiment) as desk:
        server = TrackingServer(proxy.url)
        found = await desk.begin(server)
        for away in (Mishap(), Mishap(status=503), Mishap(status=429, headers={"Retry-After": "77"})):
            proxy.always = away
            before = datetime.now(UTC)
            failed = await desk.write(server, found, "RUNNING")
            assert (failed.reason, failed.final, failed.run) == ("TrackingUnavailable", False, found)
            assert failed.retry_at >= before + timedelta(seconds=77 if away.status == 429 else 2)
        proxy.always = None
        assert (await desk.write(server, found, "RUNNING")).state == "RUNNING"
    assert store.get_run(found.run_id).info.status == "RUNNING"


async def test_a_server_is_left_alone_for_longer_each_time(experiment):
    async with at_work(experiment) as desk:
        server = TrackingServer("http://mlflow.example.org", "missing")
        for seconds in (2, 4, 8, 16, 32, 64, 120, 120):
            before = datetime.now(UTC)
            failed = await desk.begin(server)
            least, most = timedelta(seconds=seconds), timedelta(seconds=seconds)
            assert before + least <= failed.retry_at <= datetime.now(UTC) + most


async def test_a_server_that_is_not_there_is_named_with_what_to_check(nowhere, experiment):
    async with at_work(experiment) as desk:
        failed = await desk.begin(replace(nowhere, own=True))
    assert (failed.reason, failed.final) == ("TrackingUnavailable", False)
    assert f"The tracking server {nowhere.uri} does not answer: Connection refused." in failed.message
    assert "spec.tracking.uri" in failed.message
    assert "MLFLOW_TRACKING_URI" not in failed.message


async def test_the_check_of_host_names_is_explained(proxy, experiment):
    proxy.host = "mlflow.example.org"
    async with at_work(experiment) as desk:
        failed = await desk.begin(TrackingServer(proxy.url))
    assert (failed.reason, failed.final) == ("TrackingDenied", True)
    assert "Start the server with --allowed-hosts" in failed.message


async def test_an_answer_of_something_else_may_pass(proxy, experiment):
    proxy.always = Mishap(status=404, text="default backend - 404")
    async with at_work(experiment) as desk:
        failed = await desk.begin(TrackingServer(proxy.url))
    assert (failed.reason, failed.final) == ("TrackingUnavailable", False)
    assert "is no MLflow server, or has another prefix" in failed.message


async def test_an_answer_that_is_too_large_is_not_taken(proxy, experiment, monkeypatch):
    monkeypatch.setattr(tracking_access, "_LARGEST", 10_000)
    proxy.always = Mishap(status=200, text=json.dumps({"runs": [], "padding": "x" * 20_000}))
    async with at_work(experiment) as desk:
        failed = await desk.begin(TrackingServer(proxy.url))
    assert (failed.reason, failed.final) == ("TrackingUnavailable", False)
    assert "its answer has more than 10,000 bytes" in failed.message


async def test_one_server_that_hangs_keeps_no_run_of_another_waiting(server, experiment):
    with answering(hang) as hanging:
        async with at_work(experiment, trackers=4, tracking_timeout=600) as desk:
            stuck = [desk.start(hanging, desk.run(f"stuck-{n}")) for n in range(8)]
            await desk.asked(2)
            found = await desk.begin(server)
            assert isinstance(found, TrackedRun)
            assert all(isinstance(desk.outcome(run), Working) for run in stuck)
            # The end of the block waits for all threads: what hangs is cut off.


@pytest.mark.parametrize(("answer", "words"), [(hang, ""), (drip, "was given up: its answers take too long.")])
async def test_no_server_can_stretch_the_time_limit(experiment, answer, words):
    with answering(answer) as slow:
        async with at_work(experiment, tracking_timeout=0.5) as desk:
            failed = await desk.begin(slow)
    assert (failed.reason, failed.final) == ("TrackingUnavailable", False)
    assert words in failed.message


async def test_something_unexpected_is_logged_and_tried_again(server, experiment, monkeypatch, caplog):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(errands, "access_to", broken)
    async with at_work(experiment) as desk:
        failed = await desk.begin(server)
    assert (failed.reason, failed.final) == ("TrackingUnavailable", False)
    assert "ZeroDivisionError" in failed.message
    assert "Traceback" in caplog.text


async def test_what_servers_were_told_is_counted(server, nowhere, experiment):
    async with at_work(experiment) as desk:
        found = await desk.begin(server)
        await desk.write(server, found, "RUNNING")
        await desk.begin(nowhere, desk.run("other"))
        text = desk.metrics.text().decode()
    assert 'mlp_tracking_requests_total{operation="begin",result="Recorded"} 1.0' in text
    assert 'mlp_tracking_requests_total{operation="write",result="Recorded"} 1.0' in text
    assert 'mlp_tracking_requests_total{operation="begin",result="TrackingUnavailable"} 1.0' in text


# --- pods whose ProjectRun is gone ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("phase", "state"), [("Running", "KILLED"), ("Failed", "KILLED"), ("Succeeded", "FINISHED")])
async def test_the_run_of_an_abandoned_pod_is_ended(guarded, store, experiment, phase, state):
    async with at_work(experiment, Secrets(mine=ADA)) as desk:
        server = TrackingServer(guarded.url, "mine", own=True)
        found = await desk.begin(server)
        await desk.abandon(pod(server, found, phase=phase))
        asked = len(guarded.asked)
        await desk.abandon(pod(server, found, phase=phase))
        assert len(guarded.asked) == asked
    info = store.get_run(found.run_id).info
    assert (info.status, info.end_time is not None) == (state, True)


@pytest.mark.parametrize(("ended", "deleted", "state"), [(5, 9, "FINISHED"), (9, 5, "KILLED")])
async def test_a_command_that_ends_well_because_it_was_told_to_end_was_killed(
    server, store, experiment, ended, deleted, state
):
    async with at_work(experiment) as desk:
        found = await desk.begin(server)
        await desk.abandon(ended_and_deleted(pod(server, found), ended=ended, deleted=deleted))
    assert store.get_run(found.run_id).info.status == state


async def test_the_run_of_an_abandoned_pod_that_has_ended_stays_as_it_is(server, store, experiment):
    async with at_work(experiment) as desk:
        found = await desk.write(server, await desk.begin(server), "FAILED")
        await desk.abandon(pod(server, found))
    assert store.get_run(found.run_id).info.status == "FAILED"


async def test_what_is_being_written_is_not_written_over_the_end_of_an_abandoned_pod(server, store, experiment):
    async with at_work(experiment, Secrets(mine={})) as desk:
        server = replace(server, secret="mine")
        found, run, now = await desk.begin(server), desk.run(), datetime.now(UTC)
        desk.cluster.gate.clear()
        for state in ("SCHEDULED", "RUNNING"):
            desk.tracker.write(("team-a", run.name), run, server, found, Wanted(state), now)
        abandoned = asyncio.create_task(desk.abandon(pod(server, found)))
        desk.cluster.gate.set()
        await abandoned
        await desk.answer(run)
    assert store.get_run(found.run_id).info.status == "KILLED"


async def test_a_pod_cannot_end_the_run_of_another_namespace(server, store, experiment, caplog):
    async with at_work(experiment) as desk:
        found = await desk.begin(server)
        await desk.abandon(pod(server, found, namespace="team-b"))
    assert store.get_run(found.run_id).info.status == "SCHEDULED"
    assert "is none of namespace team-b" in caplog.text


@pytest.mark.parametrize("secret", [None, "gone"])
async def test_a_pod_does_not_wait_for_ever_for_a_server_or_a_secret(nowhere, experiment, monkeypatch, caplog, secret):
    monkeypatch.setattr(tracking, "_ABANDONED", 3.0)
    async with at_work(experiment) as desk:
        found = TrackedRun(nowhere.uri, "1", "0123", "RUNNING")
        await desk.abandon(pod(replace(nowhere, secret=secret), found))
    assert desk.metrics.text().decode().count('operation="abandon",result="TrackingUnavailable"') >= 1
    assert "its run 0123 in MLflow could not be ended" in caplog.text


async def test_a_pod_does_not_wait_for_ever_for_its_turn(server, experiment, monkeypatch, caplog):
    monkeypatch.setattr(tracking, "_ABANDONED", 0.2)
    async with at_work(experiment, Secrets(mine={})) as desk:
        desk.cluster.gate.clear()
        found = TrackedRun(server.uri, "1", "0123", "RUNNING")
        await desk.abandon(pod(replace(server, secret="mine"), found))
    assert "its run 0123 in MLflow could not be ended: that was not done within 0.2 seconds" in caplog.text


@pytest.mark.parametrize("said", ["", "{", "[" * 5000, "[]", "{}", '{"uri": 5, "runId": "x"}', '{"uri": "http://a"}'])
async def test_a_pod_that_says_nothing_of_its_run_may_go(server, experiment, said):
    async with at_work(experiment) as desk:
        found = TrackedRun(server.uri, "1", "x", "RUNNING")
        await desk.abandon(pod(server, found, **{"mlp.dev/mlflow-run": said}))


async def test_the_operators_credentials_are_no_business_of_a_pods_annotation(guarded, experiment, monkeypatch):
    for name, value in ADA.items():
        monkeypatch.setenv(name, value)
    async with at_work(experiment, tracking_uri="http://mlflow.example.org") as desk:
        found = TrackedRun(guarded.url, "1", "x", "RUNNING")
        await desk.abandon(pod(TrackingServer(guarded.url), found))
    assert guarded.asked
    assert not any(asked.credentials for asked in guarded.asked)


async def test_a_tracker_that_is_closed_leaves_nothing_behind(experiment):
    with answering(hang) as hanging:
        desk = Desk(experiment, tracking_timeout=600)
        desk.start(hanging)
        found = TrackedRun(hanging.uri, "1", "x", "RUNNING")
        desk.tracker.abandon(("team-a", "other"), pod(hanging, found), datetime.now(UTC))
        await desk.asked(2)
        await desk.close()
        await asyncio.sleep(0)  # what the threads have told the loop
    assert desk.tracker._errands._open == {}
    assert desk.metrics.text().decode().count("mlp_tracking_requests_total{") == 0


async def test_a_run_that_is_deleted_before_it_has_a_pod_is_ended(server, store, experiment):
    async with at_work(experiment) as desk:
        found, run = await desk.begin(server), desk.run()
        desk.tracker.leave(("team-a", run.name), datetime.now(UTC))
        assert desk.outcome(run) is None
        async with asyncio.timeout(PATIENCE):
            while store.get_run(found.run_id).info.status != "KILLED":  # noqa: ASYNC110 -- nobody is told
                await asyncio.sleep(0.05)


async def test_a_run_that_is_deleted_while_it_is_being_recorded_is_ended(server, store, experiment):
    async with at_work(experiment) as desk:
        run = desk.start(server)
        desk.tracker.leave(("team-a", run.name), datetime.now(UTC))
        async with asyncio.timeout(PATIENCE):
            while [each.info.status for each in runs_of(store, experiment)] != ["KILLED"]:  # noqa: ASYNC110 -- the same
                await asyncio.sleep(0.05)


async def test_a_run_that_had_ended_keeps_its_state_when_it_is_deleted(server, store, experiment):
    async with at_work(experiment) as desk:
        found, run = await desk.begin(server), desk.run()
        await desk.write(server, found, "FINISHED")
        desk.tracker.leave(("team-a", run.name), datetime.now(UTC))
        async with asyncio.timeout(PATIENCE):
            while desk.tracker._abandoned:  # noqa: ASYNC110 -- nobody is told
                await asyncio.sleep(0.01)
        assert store.get_run(found.run_id).info.status == "FINISHED"


async def left(desk, run, **options):
    """Leave a run, and wait until that is over."""
    desk.tracker.leave(("team-a", run.name), datetime.now(UTC), **options)
    async with asyncio.timeout(PATIENCE):
        while desk.tracker._abandoned:  # noqa: ASYNC110 -- nobody is told
            await asyncio.sleep(0.01)


async def test_a_run_that_an_earlier_process_has_begun_is_ended_when_it_is_deleted(server, store, experiment):
    async with at_work(experiment) as desk:
        found, run = await desk.begin(server), desk.run()
    async with at_work(experiment) as later:
        later.tracker.take_up(("team-a", run.name), run, server, found, datetime.now(UTC))
        assert later.outcome(run) == found
        await left(later, run)
    assert store.get_run(found.run_id).info.status == "KILLED"


async def test_a_run_that_has_the_name_now_goes_on(server, store, experiment):
    key = ("team-a", "wine")
    async with at_work(experiment) as desk:
        states = {}
        for uid in ("earlier", "present"):
            run = project_run(experiment={"name": experiment}, metadata={"uid": uid})
            states[uid] = await desk.begin(server, run)
        await left(desk, run, present="present")
        assert desk.tracker.outcome(key, "present") == states["present"]
        assert desk.tracker.outcome(key, "earlier") is None
    found = {uid: store.get_run(each.run_id).info.status for uid, each in states.items()}
    assert found == {"earlier": "KILLED", "present": "SCHEDULED"}


async def test_what_a_pod_will_tell_is_left_to_it(server, store, experiment):
    async with at_work(experiment) as desk:
        found, run = await desk.begin(server), desk.run()
        await left(desk, run, told_by_pods={found.run_id})
    assert store.get_run(found.run_id).info.status == "SCHEDULED"


async def test_a_run_whose_end_could_not_be_written_is_not_killed_by_its_deletion(proxy, store, experiment):
    server = TrackingServer(proxy.url)
    async with at_work(experiment) as desk:
        found, run = await desk.begin(server), desk.run()
        proxy.always = Mishap(status=503)
        assert (await desk.write(server, found, "FINISHED")).reason == "TrackingUnavailable"
        proxy.always = None
        await left(desk, run)
    assert store.get_run(found.run_id).info.status == "FINISHED"
