"""Runs on a workspace that executes nothing and keeps its word: one run a submission, followed, cancelled, read."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import os
import re
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from mlp.backends.databricks.states import Ending, Life, RunState
from mlp.resources import ProjectRun, names
from mlp.resources.plan import PlannedBundle, PlannedSource
from mlp_operator.machinery.cluster import CONFIGMAPS, SECRETS, ApiError, ClusterUnreachable
from mlp_operator.machinery.metrics import Metrics
from mlp_operator.machinery.queue import WorkQueue
from mlp_operator.runs import pauses, remote_outputs
from mlp_operator.runs.delegate import Delegate
from mlp_operator.runs.handing_over import task_of
from mlp_operator.runs.outcome import Refused, Unavailable, Working
from mlp_operator.settings import Settings
from tests.databricks_server import DatabricksServer, FederationPolicy
from tests.operator.build import plan, resolved, run_body
from tests.operator.resolving import Objects

PATIENCE = 120
"""Seconds, for a machine that has other things to do."""
PROJECT = b"\x1f\x8b packed"
SHA = hashlib.sha256(PROJECT).hexdigest()
SETTINGS = Settings(
    databricks_plain_http=True, databricks_poll_period=0.2, databricks_timeout=20, delegates=8, shutdown_timeout=30
)
SUBMIT = "/jobs/runs/submit"
ENDED = RunState(life=Life.ENDED, ending=Ending.SUCCEEDED)


class Cluster(Objects):
    """The part of a cluster that the delegate needs: Secrets, ConfigMaps that are written, tokens of accounts."""

    def __init__(self, **secrets):
        super().__init__(**secrets)
        self.versions = {}
        self.kept = {}
        self.troubles = []
        self.accounts = {}
        self.config_maps["sent"] = {names.BUNDLE_KEY: PROJECT}

    def rotate(self, name, **keys):
        self.secrets[name] = keys
        self.versions[name] = self.versions.get(name, 1) + 1

    async def get(self, resource, namespace, name):
        if resource is CONFIGMAPS and (namespace, name) in self.kept:
            return self.kept[namespace, name]
        found = await super().get(resource, namespace, name)
        if resource is SECRETS:
            found["metadata"]["resourceVersion"] = str(self.versions.get(name, 1))
        return found

    async def create(self, resource, namespace, body):
        assert resource is CONFIGMAPS
        if self.troubles:
            raise self.troubles.pop(0)
        place = namespace, body["metadata"]["name"]
        if place in self.kept:
            raise ApiError(409, "AlreadyExists", "it exists")
        self.kept[place] = body
        return body

    async def patch(self, resource, namespace, name, body):
        assert resource is CONFIGMAPS
        self.kept[namespace, name]["data"] |= body["data"]

    async def token(self, namespace, service_account, *, audience, seconds):
        assert seconds == 600
        if (namespace, service_account) not in self.accounts:
            raise ApiError(404, "NotFound", "no such ServiceAccount")
        return self.accounts[namespace, service_account](audience)


class Desk:
    """A delegate at work on runs, and what the loop would do for it."""

    def __init__(self, cluster, host, settings=SETTINGS):
        self.queue = WorkQueue()
        self.metrics = Metrics()
        self.cluster = cluster
        self.host = host
        self.delegate = Delegate(cluster, self.queue, settings, self.metrics)

    def run(self, name="wine", *, token="uid-{}-1", project=None, **backend):
        fields = {"host": self.host, "secretRef": {"name": "dbx"}, **backend}
        body = run_body(
            metadata={"name": name, "uid": f"uid-{name}"},
            status={"databricks": {"token": token.format(name), "attempt": 1}},
            project=project or {"bundle": {"configMapName": "sent", "sha256": SHA}},
            backend={
                "type": "Databricks",
                "databricks": {
                    "cluster": {"newCluster": {"spark_version": "16.4.x", "node_type_id": "i3", "num_workers": 1}},
                    **{key: value for key, value in fields.items() if value is not None},
                },
            },
        )
        return ProjectRun.parse(body)

    def submit(self, run, *, source=None):
        made = resolved()
        source = source or PlannedSource(bundle=PlannedBundle(sha256=SHA))
        made = replace(made, plan=replace(plan(), source=source))
        task = task_of(run, run.spec.backend.databricks, made, token=self.token(run), tracked=None, tracking_uri=None)
        if self.remote(run) is None:
            self.delegate.announce(task.token)  # the one who has written it
        self.delegate.submit(self.key(run), run, task, made, datetime.now(UTC))
        return run

    @staticmethod
    def key(run):
        return run.namespace, run.name

    @staticmethod
    def token(run):
        return run.status.databricks.token

    def remote(self, run):
        return self.delegate.remote(self.key(run), run.uid, self.token(run))

    async def until(self, run, fits):
        """Wait until what is known of a run fits; each change brings its key on the queue."""
        async with asyncio.timeout(PATIENCE):
            while not fits(self.remote(run)):
                self.queue.done(await self.queue.get(), ok=True)
        return self.remote(run)

    async def submitted(self, run):
        """Submit, and again when it is time, as the loop does."""
        while True:
            self.submit(run)
            found = await self.until(run, lambda remote: not isinstance(remote.submission, Working))
            if not isinstance(found.submission, Unavailable):
                return found
            await asyncio.sleep(max(0.0, (found.submission.retry_at - datetime.now(UTC)).total_seconds()))

    async def once(self, run):
        """Submit once, and say how that went."""
        self.submit(run)
        return await self.until(run, lambda remote: not isinstance(remote.submission, Working))

    async def ended(self, run):
        return await self.until(run, lambda remote: remote.state is not None and remote.state.life is Life.ENDED)

    async def gone(self):
        """Wait until nothing of it is at work any more."""
        async with asyncio.timeout(PATIENCE):
            while any(re.fullmatch(r"(databricks|archive)_\d+|mlp-databricks-poller", name) for name in _threads()):  # noqa: ASYNC110 -- a thread tells nobody
                await asyncio.sleep(0.01)


def _threads():
    return [each.name for each in threading.enumerate()]


@contextlib.asynccontextmanager
async def at_work(*arguments, **options):
    desk = Desk(*arguments, **options)
    try:
        yield desk
    finally:
        await desk.delegate.close()
        await desk.gone()


@pytest.fixture(autouse=True)
def nothing_ambient(monkeypatch, temporary):  # noqa: ARG001 -- its end looks for what was left
    """The operator's own variables must not count, and nothing may be left in temporary files."""
    for name in list(os.environ):
        if name.startswith(("DATABRICKS_", "MLFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_HOST", "https://operators-own.example.org")
    monkeypatch.setenv("DATABRICKS_TOKEN", "operators-own")


@pytest.fixture
def double(tmp_path):
    with DatabricksServer(tmp_path / "databricks", python=Path(sys.executable)) as server:
        server.script("", hold=True)
        yield server
        server.faults.clear()
    assert server.mistakes == []


@pytest.fixture
def objects(double):
    return Cluster(dbx={"token": double.token})


def made(double):
    """The runs that there are, by their tokens."""
    return [run["body"]["idempotency_token"] for run in double.runs()]


# --- handing over -----------------------------------------------------------------------------------------------------


async def test_a_run_is_handed_over_followed_to_its_end_and_let_go(double, objects):
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        assert desk.remote(run) is None
        found = await desk.submitted(run)
        assert found.run_id == str(double.runs()[0]["run_id"])
        found = await desk.until(run, lambda remote: remote.state is not None and remote.state.life is Life.RUNNING)
        assert (found.trouble, found.unreadable_since, found.gone) == ("", None, False)
        double.release(int(found.run_id))
        found = await desk.ended(run)
        assert found.state.ending is Ending.SUCCEEDED
        desk.delegate.forget(desk.key(run))
        assert desk.remote(run) is None
    assert made(double) == ["uid-wine-1"]


async def test_calling_again_while_it_is_handed_over_changes_nothing(double, objects):
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        for _ in range(3):
            desk.submit(run)
        assert isinstance(desk.remote(run).submission, Working)
        await desk.until(run, lambda remote: remote.run_id is not None)
        desk.submit(run)
        assert desk.remote(run).submission is None
    assert len(double.submissions) == 1


@pytest.mark.parametrize("kind", ["drop", "500", "503"])
async def test_a_lost_answer_makes_no_second_run(double, objects, kind):
    double.faults.add(kind, SUBMIT, after=True, times=2)
    async with at_work(objects, double.url) as desk:
        found = await desk.submitted(desk.run())
        assert found.run_id is not None
    assert made(double) == ["uid-wine-1"]


async def test_a_process_that_follows_one_that_was_killed_finds_the_same_run(double, objects):
    async with at_work(objects, double.url) as desk:
        first = await desk.submitted(desk.run())
    async with at_work(objects, double.url) as desk:
        again = await desk.submitted(desk.run())
    assert again.run_id == first.run_id
    assert made(double) == ["uid-wine-1"]


async def test_a_run_of_an_earlier_process_is_taken_up_and_followed(double, objects):
    async with at_work(objects, double.url) as desk:
        first = await desk.submitted(desk.run())
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        for _ in range(2):
            desk.delegate.take_up(desk.key(run), run, token=desk.token(run), run_id=first.run_id)
        double.release(int(first.run_id))
        found = await desk.ended(run)
        assert (found.run_id, found.submission) == (first.run_id, None)
    assert made(double) == ["uid-wine-1"]


async def test_another_attempt_is_another_run(double, objects):
    async with at_work(objects, double.url) as desk:
        await desk.submitted(desk.run())
        second = desk.run(token="uid-{}-2")
        await desk.submitted(second)
        assert desk.remote(desk.run()) is None
    assert made(double) == ["uid-wine-1", "uid-wine-2"]


async def test_a_workspace_that_is_away_is_tried_again_later_each_time(double, objects, monkeypatch):
    monkeypatch.setattr(pauses, "FIRST", 0.2)
    double.stop()
    async with at_work(objects, double.url, replace(SETTINGS, databricks_timeout=1.0)) as desk:
        run = desk.run()
        waits = []
        for _ in range(3):
            before = datetime.now(UTC)
            found = (await desk.once(run)).submission
            assert isinstance(found, Unavailable)
            assert found.reason == "WorkspaceUnavailable"
            assert double.url in found.message
            waits.append((found.retry_at - before).total_seconds())
        assert waits[2] > 0.8
        double.start()
        assert (await desk.submitted(run)).run_id is not None
    assert made(double) == ["uid-wine-1"]


async def test_what_a_workspace_refuses_is_final_and_its_words_are_told(double, objects):
    async with at_work(objects, double.url) as desk:
        found = await desk.once(desk.run(cluster={"existingClusterId": "no-such-cluster"}))
        assert isinstance(found.submission, Refused)
        assert found.submission.reason == "WorkspaceRefused"
        assert "no-such-cluster" in found.submission.message


async def test_credentials_that_are_not_taken_are_final_and_stay_secret(double, objects):
    objects.secrets["dbx"] = {"token": "dapi-not-taken"}
    async with at_work(objects, double.url) as desk:
        found = await desk.once(desk.run())
        assert isinstance(found.submission, Refused)
        assert found.submission.reason == "WorkspaceDenied"
        assert "dapi-not-taken" not in found.submission.message
    assert made(double) == []


async def test_missing_rights_end_no_run_that_may_have_been_handed_over(double, objects):
    double.faults.add("drop", SUBMIT, after=True, times=None)
    async with at_work(objects, double.url, replace(SETTINGS, databricks_timeout=2.0)) as desk:
        run = desk.run()
        assert isinstance((await desk.once(run)).submission, Unavailable)
        double.faults.clear()
        objects.rotate("dbx", token="dapi-not-taken")
        desk.delegate._workspaces._doors[next(iter(desk.delegate._workspaces._doors))]._read_at = -1e9
        assert isinstance((await desk.once(run)).submission, Unavailable)
        objects.rotate("dbx", token=double.token)
        assert (await desk.submitted(run)).run_id is not None
    assert made(double) == ["uid-wine-1"]


async def test_a_secret_that_is_missing_is_waited_for(double, objects, monkeypatch):
    monkeypatch.setattr(pauses, "FIRST", 0.1)
    keys = objects.secrets.pop("dbx")
    async with at_work(objects, double.url) as desk:
        found = await desk.once(desk.run())
        assert isinstance(found.submission, Unavailable)
        assert "there is no Secret dbx in namespace team-a" in found.submission.message
        objects.secrets["dbx"] = keys
        assert (await desk.submitted(desk.run())).run_id is not None


@pytest.mark.parametrize("error", [ApiError(403, "Forbidden", "no rights"), ClusterUnreachable("away")], ids=str)
async def test_a_secret_that_cannot_be_read_is_asked_for_again(double, objects, error, monkeypatch):
    monkeypatch.setattr(pauses, "FIRST", 0.1)
    keys, objects.secrets["dbx"] = objects.secrets["dbx"], error
    async with at_work(objects, double.url) as desk:
        found = await desk.once(desk.run())
        assert isinstance(found.submission, Unavailable)
        assert "The Secret dbx could not be read" in found.submission.message
        objects.secrets["dbx"] = keys
        assert (await desk.submitted(desk.run())).run_id is not None


async def test_a_secret_that_says_nothing_is_refused_by_its_name(double, objects):
    objects.secrets["dbx"] = {"password": "x"}
    async with at_work(objects, double.url) as desk:
        found = await desk.once(desk.run())
        assert isinstance(found.submission, Refused)
        assert "The Secret dbx" in found.submission.message


async def test_plain_http_is_refused_unless_it_is_allowed(double, objects):
    async with at_work(objects, double.url, replace(SETTINGS, databricks_plain_http=False)) as desk:
        found = await desk.once(desk.run())
        assert isinstance(found.submission, Refused)
        assert "MLP_DATABRICKS_PLAIN_HTTP" in found.submission.message
    assert double.journal.requests() == []


async def test_a_project_that_is_not_there_yet_is_waited_for(double, objects, monkeypatch):
    monkeypatch.setattr(pauses, "FIRST", 0.1)
    sent = objects.config_maps.pop("sent")
    async with at_work(objects, double.url) as desk:
        found = await desk.once(desk.run())
        assert isinstance(found.submission, Unavailable)
        assert "there is no ConfigMap sent" in found.submission.message
        objects.config_maps["sent"] = sent
        assert (await desk.submitted(desk.run())).run_id is not None


async def test_of_many_runs_of_one_project_one_brings_it(double, objects):
    async with at_work(objects, double.url) as desk:
        runs = [desk.submit(desk.run(f"wine-{number}")) for number in range(12)]
        for run in runs:
            await desk.until(run, lambda remote: remote.run_id is not None)
    assert objects.asked.count(("configmaps", "team-a", "sent")) == 1
    assert len(set(made(double))) == len(made(double)) == 12


# --- who asks ---------------------------------------------------------------------------------------------------------


async def test_a_service_principal_asks_with_its_secret(tmp_path):
    with DatabricksServer(
        tmp_path / "m2m", tokens={}, principals={"app": "s3cret"}, python=Path(sys.executable)
    ) as double:
        double.script("", hold=True)
        objects = Cluster(dbx={"clientId": "app", "clientSecret": "s3cret", "host": double.url})
        async with at_work(objects, None) as desk:
            assert (await desk.submitted(desk.run())).run_id is not None
        assert double.submissions[0]["identity"] == "app"
    assert double.mistakes == []


async def test_the_account_of_a_run_asks_with_a_token_that_is_made_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(pauses, "FIRST", 0.1)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {
        "kid": "1",
        "alg": "RS256",
        "use": "sig",
    }
    subject = "system:serviceaccount:team-a:trainer"

    def signed(audience):
        now = int(time.time())
        claims = {"iss": "https://cluster", "sub": subject, "aud": [audience], "iat": now, "exp": now + 600}
        return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "1"})

    policy = FederationPolicy("https://cluster", ("dbx",), {"keys": [jwk]}, subject=subject, client_id="app")
    with DatabricksServer(
        tmp_path / "oidc", tokens={}, principals={"app": "none"}, policies=[policy], python=Path(sys.executable)
    ) as double:
        double.script("", hold=True)
        objects = Cluster()
        who = {"auth": "WorkloadIdentity", "serviceAccountName": "trainer", "clientId": "app", "audience": "dbx"}
        async with at_work(objects, double.url) as desk:
            run = desk.run(secretRef=None, **who)
            found = await desk.once(run)
            assert isinstance(found.submission, Unavailable)
            assert "there is no ServiceAccount trainer in namespace team-a" in found.submission.message
            objects.accounts["team-a", "trainer"] = signed
            assert (await desk.submitted(run)).run_id is not None
            # What the workspace gave for it is renewed with another one.
            double.revoke_issued_tokens()
            double.release(double.runs()[0]["run_id"])
            await desk.ended(run)
        assert {each["identity"] for each in double.submissions} == {"app"}
    assert double.mistakes == []


async def test_a_secret_that_was_changed_is_read_anew(double, objects):
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        found = await desk.submitted(run)
        other = "dapi-other"
        double.tokens[other] = double.tokens.pop(double.token)
        double.stop()
        double.start()
        found = await desk.until(run, lambda remote: remote.trouble != "")
        assert found.unreadable_since is not None
        objects.rotate("dbx", token=other)
        found = await desk.until(run, lambda remote: remote.trouble == "")
        assert found.unreadable_since is None
        double.release(int(found.run_id))
        await desk.ended(run)


async def test_a_secret_that_goes_first_keeps_nobody_from_cancelling(double, objects):
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        found = await desk.submitted(run)
        del objects.secrets["dbx"]
        next(iter(desk.delegate._workspaces._doors.values()))._read_at = -1e9
        desk.delegate.cancel(desk.key(run), run, found.run_id, datetime.now(UTC))
        found = await desk.ended(run)
        assert found.state.ending is Ending.CANCELLED


async def test_runs_of_one_namespace_and_secret_share_what_was_opened(double, objects):
    async with at_work(objects, double.url) as desk:
        runs = [desk.run(f"wine-{number}") for number in range(5)]
        for run in runs:
            await desk.submitted(run)
        assert len(desk.delegate._workspaces._doors) == 1
        assert sum(each.name == "mlp-databricks-poller" for each in threading.enumerate()) == 1
        for run in runs:
            desk.delegate.forget(desk.key(run))
        async with asyncio.timeout(PATIENCE):
            while desk.delegate._workspaces._doors or "mlp-databricks-poller" in _threads():  # noqa: ASYNC110 -- a thread tells nobody
                await asyncio.sleep(0.01)


# --- following --------------------------------------------------------------------------------------------------------


async def test_an_outage_is_told_and_ends_nothing(double, objects):
    async with at_work(objects, double.url, replace(SETTINGS, databricks_timeout=1.0)) as desk:
        run = desk.run()
        found = await desk.submitted(run)
        await desk.until(run, lambda remote: remote.state is not None)
        double.stop()
        found = await desk.until(run, lambda remote: remote.unreadable_since is not None)
        assert (found.gone, found.state.life) == (False, Life.RUNNING)
        assert found.trouble
        double.start()
        found = await desk.until(run, lambda remote: remote.unreadable_since is None)
        assert found.trouble == ""
        double.release(int(found.run_id))
        await desk.ended(run)


async def test_a_run_that_is_forgotten_there_is_gone(double, objects):
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        found = await desk.submitted(run)
        double.forget(int(found.run_id))
        found = await desk.until(run, lambda remote: remote.gone)
        assert found.unreadable_since is None


async def test_many_runs_share_one_poller_and_stay_below_the_limits(double, objects):
    double.script("", instant=1.0)
    async with at_work(objects, double.url) as desk:
        runs = [desk.submit(desk.run(f"wine-{number}")) for number in range(60)]
        for run in runs:
            await desk.ended(run)
        assert sum(each.name == "mlp-databricks-poller" for each in threading.enumerate()) <= 4
        text = desk.metrics.text().decode()
        assert 'mlp_databricks_runs{state="Ended"} 60.0' in text
        assert 'mlp_databricks_requests_total{operation="submit",result="200"} 60.0' in text
    assert len(double.submissions) == 60
    assert double.journal.most_in_a_second(path=SUBMIT) <= 35
    assert double.journal.most_in_a_second(path="/jobs/runs/get") <= 100
    assert double.journal.most_in_a_second(path="/jobs/runs/list") <= 30


async def test_a_host_that_hangs_holds_up_nobody_elses_runs(double, objects, tmp_path):
    with DatabricksServer(tmp_path / "other", python=Path(sys.executable)) as other:
        other.script("", hold=True)
        objects.secrets["other"] = {"token": other.token}
        double.faults.add("hang", times=None)
        async with at_work(objects, double.url) as desk:
            for number in range(10):
                desk.submit(desk.run(f"stuck-{number}"))
            async with asyncio.timeout(PATIENCE):
                while double.journal.count() < 4:  # noqa: ASYNC110 -- a thread tells nobody
                    await asyncio.sleep(0.01)
            found = await desk.submitted(desk.run("free", host=other.url, secretRef={"name": "other"}))
            assert found.run_id is not None
            assert isinstance(desk.remote(desk.run("stuck-0")).submission, Working)


# --- cancelling -------------------------------------------------------------------------------------------------------


async def test_a_run_is_cancelled_though_the_workspace_is_away_for_a_while(double, objects, monkeypatch):
    monkeypatch.setattr(pauses, "FIRST", 0.1)
    async with at_work(objects, double.url, replace(SETTINGS, databricks_timeout=1.0)) as desk:
        run = desk.run()
        found = await desk.submitted(run)
        double.stop()
        for _ in range(2):
            desk.delegate.cancel(desk.key(run), run, found.run_id, datetime.now(UTC))
        found = await desk.until(run, lambda remote: remote.trouble != "")
        assert (found.asking, found.cancelled_at) == (True, None)
        double.start()
        found = await desk.until(run, lambda remote: remote.cancelled_at is not None)
        found = await desk.ended(run)
        assert found.state.ending is Ending.CANCELLED
        assert (await desk.until(run, lambda remote: not remote.asking)).trouble == ""
    assert len(double.cancels) == 1


async def test_cancelling_what_has_ended_or_is_not_known_is_no_trouble(double, objects):
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        found = await desk.submitted(run)
        double.forget(int(found.run_id))
        desk.delegate.cancel(desk.key(run), run, found.run_id, datetime.now(UTC))
        found = await desk.until(run, lambda remote: remote.gone and not remote.asking)
        assert found.trouble == ""
        desk.delegate.cancel(desk.key(run), run, found.run_id, datetime.now(UTC))
        assert not desk.remote(run).asking


async def test_a_run_of_an_earlier_process_is_cancelled(double, objects):
    async with at_work(objects, double.url) as desk:
        first = await desk.submitted(desk.run())
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        desk.delegate.cancel(desk.key(run), run, first.run_id, datetime.now(UTC))
        assert (await desk.ended(run)).state.ending is Ending.CANCELLED


async def test_what_was_handed_over_without_anybodys_knowledge_is_found_by_its_token(double, objects):
    async with at_work(objects, double.url) as desk:
        first = await desk.submitted(desk.run())
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        desk.delegate.find(desk.key(run), run, desk.token(run), datetime.now(UTC))
        found = await desk.until(run, lambda remote: not isinstance(remote.submission, Working))
        assert (found.run_id, found.submission) == (first.run_id, None)
    assert made(double) == ["uid-wine-1"]


async def test_where_nothing_has_the_token_yet_what_arrives_later_meets_the_run_that_is_found(double, objects):
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        desk.delegate.find(desk.key(run), run, desk.token(run), datetime.now(UTC))
        found = await desk.until(run, lambda remote: remote.run_id is not None)
        desk.delegate.cancel(desk.key(run), run, found.run_id, datetime.now(UTC))
        await desk.ended(run)
    async with at_work(objects, double.url) as late:
        assert (await late.submitted(late.run())).run_id == found.run_id
    assert made(double) == ["uid-wine-1"]


async def test_what_cannot_be_looked_for_is_not_said_to_be_missing(double, objects):
    objects.secrets["dbx"] = {"token": "dapi-not-taken"}
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        desk.delegate.find(desk.key(run), run, desk.token(run), datetime.now(UTC))
        found = await desk.until(run, lambda remote: not isinstance(remote.submission, Working))
        assert isinstance(found.submission, Unavailable)


async def test_a_run_that_is_let_go_while_it_is_handed_over_does_not_go_on_there(double, objects):
    double.faults.add("hang", SUBMIT, after=True)
    async with at_work(objects, double.url) as desk:
        run = desk.submit(desk.run())
        async with asyncio.timeout(PATIENCE):
            while not double.submissions:  # noqa: ASYNC110 -- a thread tells nobody
                await asyncio.sleep(0.01)
        desk.delegate.forget(desk.key(run))
        assert desk.remote(run) is None
        double.faults.clear()
        async with asyncio.timeout(PATIENCE):
            while not double.cancels or desk.delegate._workspaces._doors:  # noqa: ASYNC110 -- likewise
                await asyncio.sleep(0.01)
    assert made(double) == ["uid-wine-1"]


async def test_what_cannot_be_sent_for_want_of_credentials_is_known_to_be_unsent(double, objects):
    del objects.secrets["dbx"]
    async with at_work(objects, double.url) as desk:
        found = await desk.once(desk.run())
        assert isinstance(found.submission, Unavailable)
        assert found.unsent
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        desk.delegate.take_up(desk.key(run), run, token=desk.token(run), run_id=None)
        assert not desk.remote(run).unsent, "another process has written the token"


@pytest.mark.parametrize("after", [False, True])
async def test_what_was_sent_without_an_answer_may_be_there(double, objects, after):
    double.faults.add("drop", SUBMIT, times=None, after=after)
    async with at_work(objects, double.url, replace(SETTINGS, databricks_timeout=2)) as desk:
        found = await desk.once(desk.run())
        assert isinstance(found.submission, Unavailable)
        assert not found.unsent


async def test_a_run_that_may_have_been_sent_is_found_though_its_project_is_lost(double, objects):
    async with at_work(objects, double.url) as desk:
        first = await desk.submitted(desk.run())
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        desk.delegate.take_up(desk.key(run), run, token=desk.token(run), run_id=None)
        # The workspace does not have the archive any more, and the ConfigMap holds another one by now.
        desk.submit(run, source=PlannedSource(bundle=PlannedBundle(sha256="0" * 64)))
        found = await desk.until(run, lambda remote: not isinstance(remote.submission, Working))
        assert (found.run_id, found.submission) == (first.run_id, None)
    assert made(double) == ["uid-wine-1"]


async def test_an_id_that_another_process_has_written_is_followed(double, objects):
    async with at_work(objects, double.url) as desk:
        first = await desk.submitted(desk.run())
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        desk.delegate.take_up(desk.key(run), run, token=desk.token(run), run_id=None)
        desk.delegate.take_up(desk.key(run), run, token=desk.token(run), run_id=first.run_id)
        assert (await desk.until(run, lambda remote: remote.state is not None)).run_id == first.run_id


async def test_the_end_of_a_run_does_not_wait_for_the_next_attempt_to_cancel_it(double, objects, monkeypatch):
    monkeypatch.setattr(pauses, "FIRST", 1000.0)
    monkeypatch.setattr(pauses, "LAST", 1000.0)
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        found = await desk.submitted(run)
        double.faults.add("503", "/jobs/runs/cancel", times=None)
        desk.delegate.cancel(desk.key(run), run, found.run_id, datetime.now(UTC))
        await desk.until(run, lambda remote: remote.trouble)
        double.release(int(found.run_id))
        await desk.ended(run)
        await desk.until(run, lambda remote: not remote.asking)


async def test_a_project_that_is_lost_before_it_was_sent_is_refused(double, objects):
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        desk.submit(run, source=PlannedSource(bundle=PlannedBundle(sha256="0" * 64)))
        found = await desk.until(run, lambda remote: not isinstance(remote.submission, Working))
        assert isinstance(found.submission, Refused)
    assert made(double) == []


# --- what it left behind ----------------------------------------------------------------------------------------------


async def with_output(desk, run=None):
    run = run or desk.run()
    await desk.submitted(run)
    found = await desk.ended(run)
    desk.delegate.fetch(desk.key(run), run, desk.token(run), found.state, datetime.now(UTC))
    return (await desk.until(run, lambda remote: remote.output is not None and not remote.asking)).output


async def test_what_a_run_wrote_is_kept_with_the_run(double, objects):
    double.script("", instant=0.0, logs="first\nlast\n", ending="FAILED")
    async with at_work(objects, double.url) as desk:
        output = await with_output(desk)
    assert output.log.endswith("last\n")
    assert "as the script says" in output.error
    assert output.config_map == "wine-log-1"
    kept = objects.kept["team-a", "wine-log-1"]
    assert kept["data"]["log"].startswith("first\nlast\nError: ")
    assert kept["metadata"]["labels"] == {"mlp.dev/projectrun": "wine"}
    (owner,) = kept["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("ProjectRun", "wine", "uid-wine")


async def test_a_long_log_is_kept_as_its_end(double, objects):
    double.script("", instant=0.0, logs="".join(f"line {number:06} ä\n" for number in range(60_000)))
    async with at_work(objects, double.url) as desk:
        output = await with_output(desk)
    log = objects.kept["team-a", "wine-log-1"]["data"]["log"]
    assert 500 << 10 < len(log.encode()) <= 512 << 10
    assert log.startswith("line ")
    assert len(output.log.encode()) <= 4 << 10
    assert "line 059999 ä" in output.log


async def test_a_log_is_written_once_more_in_its_own_place_and_never_in_anothers(double, objects):
    double.script("", instant=0.0, logs="new\n")
    async with at_work(objects, double.url) as desk:
        owner = {"kind": "ProjectRun", "name": "wine", "uid": "uid-wine"}
        objects.kept["team-a", "wine-log-1"] = {"metadata": {"ownerReferences": [owner]}, "data": {"log": "old"}}
        objects.kept["team-a", "rice-log-1"] = {"metadata": {}, "data": {"log": "somebody's"}}
        assert (await with_output(desk)).config_map == "wine-log-1"
        assert (await with_output(desk, desk.run("rice"))).config_map is None
    assert objects.kept["team-a", "wine-log-1"]["data"]["log"].startswith("new\n")
    assert objects.kept["team-a", "rice-log-1"]["data"] == {"log": "somebody's"}


@pytest.mark.parametrize(
    ("trouble", "kept"),
    [
        (ApiError(403, "Forbidden", "no rights"), None),
        (ApiError(413, "RequestEntityTooLarge", "too large"), None),
        (ApiError(500, "InternalError", "later"), "wine-log-1"),
        (ClusterUnreachable("later"), "wine-log-1"),
    ],
    ids=str,
)
async def test_a_log_that_cannot_be_kept_does_not_hurt_the_run(double, objects, trouble, kept, monkeypatch):
    monkeypatch.setattr(pauses, "FIRST", 0.1)
    objects.troubles.append(trouble)
    double.script("", instant=0.0, logs="it ran\n")
    async with at_work(objects, double.url) as desk:
        output = await with_output(desk)
    assert (output.log, output.config_map) == ("it ran\n", kept)


async def test_an_output_that_cannot_be_had_is_given_up(double, objects, monkeypatch):
    monkeypatch.setattr(remote_outputs, "PATIENCE", 0.5)
    double.script("", instant=0.0, logs="it ran\n")
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        await desk.submitted(run)
        found = await desk.ended(run)
        double.faults.add("hang", "get-output", times=None)
        desk.delegate.fetch(desk.key(run), run, desk.token(run), found.state, datetime.now(UTC))
        found = await desk.until(run, lambda remote: remote.output is not None)
        assert (found.output.log, found.output.config_map) == ("", None)


async def test_a_run_that_was_never_started_has_no_output(double, objects):
    async with at_work(objects, double.url) as desk:
        run = desk.run()
        desk.delegate.fetch(desk.key(run), run, desk.token(run), ENDED, datetime.now(UTC))
        found = await desk.until(run, lambda remote: remote.output is not None)
        assert found.output.config_map is None
    assert objects.kept == {}


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_a_server_that_hangs_does_not_keep_the_operator(double, objects):
    double.faults.add("hang", times=None)
    desk = Desk(objects, double.url, replace(SETTINGS, databricks_timeout=1000.0))
    run = desk.submit(desk.run())
    desk.delegate.take_up(("team-a", "rice"), desk.run("rice"), token="uid-rice-1", run_id="1")
    desk.delegate.cancel(("team-a", "rice"), desk.run("rice"), "1", datetime.now(UTC))
    async with asyncio.timeout(PATIENCE):
        while double.journal.count() < 3:  # noqa: ASYNC110 -- a thread tells nobody
            await asyncio.sleep(0.01)
    async with asyncio.timeout(PATIENCE):
        await desk.delegate.close()
        await desk.gone()
    assert isinstance(desk.remote(run).submission, Working)
    gc.collect()  # a socket that was left open would be told now
