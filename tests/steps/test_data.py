"""The step ``data``, from real servers, with credentials as pods have them."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
import requests

from mlp.data import patience
from mlp.errors import DataNotFound
from mlp.resources.plan import Plan
from mlp.steps import run_steps
from mlp.steps.data import data
from tests.servers.files_http import File, files_server
from tests.steps.pods import SOURCE, mount

WORDS = b"words\n" * 1000


@pytest.fixture
def web():
    with files_server() as server:
        yield server


@pytest.fixture
def objects(s3):
    """Objects in the session's store, below a prefix of the test's own."""
    prefix = uuid.uuid4().hex
    with contextlib.closing(s3.client()) as client:
        for name, body in {"table.csv": WORDS, "many/a": b"a", "many/sub/b": b"b"}.items():
            client.put_object(Bucket=s3.bucket, Key=f"{prefix}/{name}", Body=body)
    return f"s3://{s3.bucket}/{prefix}"


def bring(pod, **downloads):
    pod.plan(downloads=downloads, **SOURCE)
    return pod.run("data")


def test_each_parameters_data_lies_where_the_command_looks_for_it(pod, web):
    web.files = {"/one/t.csv": File(WORDS), "/two/t.csv": File(b"2")}
    done = bring(pod, table=(f"{web.url}/one/t.csv", "t.csv"), other=(f"{web.url}/two/t.csv", "t.csv"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (pod.layout.data / "table" / "t.csv").read_bytes() == WORDS
    assert (pod.layout.data / "other" / "t.csv").read_bytes() == b"2"
    assert pod.report["message"] == "Downloaded the data of table, other"
    assert "Downloaded data for parameter table" in done.stdout


def test_objects_come_with_the_credentials_of_the_secret(pod, s3, objects):
    mount(pod.layout.data_credentials, **s3.environment)
    done = bring(pod, table=(f"{objects}/table.csv", "table.csv"), many=(f"{objects}/many", "many"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (pod.layout.data / "table" / "table.csv").read_bytes() == WORDS
    assert (pod.layout.data / "many/many/sub/b").read_bytes() == b"b"
    said = done.stdout + done.stderr + pod.layout.termination_log.read_text()
    assert s3.secret_key not in said


def test_without_them_the_step_says_that_they_are_wanted(pod, s3, objects):
    settings = {name: value for name, value in s3.environment.items() if "KEY" not in name}
    mount(pod.layout.data_credentials, **settings)
    assert bring(pod, table=(f"{objects}/table.csv", "table.csv")).returncode == 67
    assert pod.report["reason"] == "DataAccessDenied"
    assert [(step["name"], step["state"]) for step in pod.report["steps"]] == [("data", "Failed")]


def test_what_an_earlier_attempt_left_is_replaced_and_others_of_the_group_may_write(pod, web):
    web.files = {"/t.csv": File(WORDS)}
    left = pod.layout.data / "table"
    (left / "t.csv").mkdir(parents=True)
    (left / ".mlp-half").write_text("half")
    assert bring(pod, table=(f"{web.url}/t.csv", "t.csv")).returncode == 0
    assert sorted(path.name for path in left.iterdir()) == ["t.csv"]
    assert (left / "t.csv").read_bytes() == WORDS
    for path in (left, left / "t.csv"):
        assert path.stat().st_mode & stat.S_IWGRP, path


def test_what_there_is_not_ends_the_step_and_all_other_downloads(pod, web):
    web.files = {"/there": File(WORDS)}
    done = bring(pod, gone=(f"{web.url}/gone", "gone"), there=(f"{web.url}/there", "there"))
    assert done.returncode == 68
    assert pod.report["reason"] == "DataNotFound"
    assert f"{web.url}/gone" in pod.report["message"]
    assert not (pod.layout.data / "gone" / "gone").exists()


def test_a_server_that_fails_ends_with_the_code_that_is_tried_again(pod, web, monkeypatch):
    monkeypatch.setattr(patience, "_PAUSES", (0.0,) * len(patience._PAUSES))
    web.files = {"/t.csv": File(status=503)}
    pod.plan(downloads={"table": (f"{web.url}/t.csv", "t.csv")}, **SOURCE)
    assert run_steps(["data"], pod.layout) == 75
    assert pod.report["reason"] == "DataUnavailable"


def test_a_plan_of_another_version_that_wants_data_elsewhere_is_refused(pod, web):
    web.files = {"/t.csv": File(WORDS)}
    assert bring(pod, table=(f"{web.url}/t.csv", "elsewhere.csv")).returncode == 64
    assert "different versions" in pod.report["message"]
    assert not web.requests


def test_credentials_are_in_this_process_for_as_long_as_it_downloads(pod, web):
    mount(pod.layout.data_credentials, AWS_SECRET_ACCESS_KEY="hunter2")
    pod.plan(downloads={"x": (f"{web.url}/gone", "gone")}, **SOURCE)
    with pytest.raises(DataNotFound):
        data(Plan.from_json(pod.layout.plan.read_text()), pod.layout, threading.Event())
    assert "AWS_SECRET_ACCESS_KEY" not in os.environ


class TestTracking:
    @pytest.fixture
    def artifact(self, mlflow_server):
        """The URI of a run's artifact."""

        def ask(path, **body):
            answer = requests.post(f"{mlflow_server.uri}/api/2.0/mlflow/{path}", json=body, timeout=60)
            answer.raise_for_status()
            return answer.json()

        experiment = ask("experiments/create", name=f"steps-{uuid.uuid4()}")["experiment_id"]
        info = ask("runs/create", experiment_id=experiment, start_time=1)["run"]["info"]
        base = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
        url = f"{mlflow_server.uri}/api/2.0/mlflow-artifacts/artifacts/{base}/plot.png"
        requests.put(url, data=b"plot", timeout=60).raise_for_status()
        return f"runs:/{info['run_id']}/plot.png"

    def test_artifacts_come_from_the_planned_server(self, pod, mlflow_server, artifact):
        pod.plan(downloads={"plot": (artifact, "plot.png")}, tracking_uri=mlflow_server.uri, **SOURCE)
        done = pod.run("data")
        assert done.returncode == 0, done.stdout + done.stderr
        assert (pod.layout.data / "plot" / "plot.png").read_bytes() == b"plot"

    def test_only_downloads_from_the_tracking_server_get_its_credentials(self, pod, web, recorded):
        """And they get them first, before those for data."""
        web.files = {"/t.csv": File(WORDS)}
        mount(pod.layout.tracking_credentials, MLFLOW_TRACKING_USERNAME="bob", MLFLOW_TRACKING_PASSWORD="0f-tracking")
        mount(pod.layout.data_credentials, MLFLOW_TRACKING_PASSWORD="0f-data")
        downloads = {"t": (f"{web.url}/t.csv", "t.csv"), "a": ("mlflow-artifacts:/x/plot.png", "plot.png")}
        pod.plan(downloads=downloads, tracking_uri=recorded.url, **SOURCE)
        done = pod.run("data")
        assert done.returncode != 0  # the server knows nothing
        assert recorded.authorizations == {requests.auth._basic_auth_str("bob", "0f-tracking")}
        assert {request.authorization for request in web.requests} == {None}
        assert "0f-tracking" not in done.stdout + done.stderr + pod.layout.termination_log.read_text()


class Recorded(ThreadingHTTPServer):
    """A server that answers everything alike, and remembers who asked for what."""

    daemon_threads = True

    def __init__(self, answer=(404, "text/plain", b"")):
        self.answer = answer
        self.authorizations = set()
        self.forms = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.authorizations.add(self.headers.get("Authorization"))
        self.server.forms.append({name: values[0] for name, values in parse_qs(body.decode()).items()})
        status, kind, content = self.server.answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_POST = do_GET  # noqa: N815 -- the base class's names

    def log_message(self, *_):
        """Silence."""


@pytest.fixture
def recorded():
    with Recorded() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


STS = """\
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser>
    <Credentials>
      <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>role's-secret</SecretAccessKey>
      <SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>
"""


class TestWebIdentity:
    ROLE = "arn:aws:iam::1:role/reader"

    @pytest.fixture
    def token(self, pod):
        pod.layout.aws_token.parent.mkdir(parents=True)
        pod.layout.aws_token.write_text("the pod's own token")

    @pytest.fixture
    def sts(self, recorded):
        """A security token service, which gives everybody keys."""
        recorded.answer = (200, "text/xml", STS.encode())
        return recorded

    def settings(self, s3, sts):
        kept = {name: value for name, value in s3.environment.items() if "KEY" not in name}
        return {**kept, "AWS_ROLE_ARN": self.ROLE, "AWS_ENDPOINT_URL_STS": sts.url}

    @pytest.mark.usefixtures("token")
    def test_a_role_is_taken_on_by_the_pods_service_account(self, pod, s3, sts, objects):
        mount(pod.layout.data_credentials, **self.settings(s3, sts))
        done = bring(pod, table=(f"{objects}/table.csv", "table.csv"))
        shown = {(form["RoleArn"], form["WebIdentityToken"]) for form in sts.forms}
        assert shown == {(self.ROLE, "the pod's own token")}
        # The store has been asked in the role's name; it knows no role of this service.
        assert done.returncode == 67
        assert "InvalidAccessKeyId" in pod.report["message"]
        assert "s-secret" not in done.stdout + done.stderr + pod.layout.termination_log.read_text()

    @pytest.mark.usefixtures("token")
    def test_a_token_that_somebody_else_has_named_wins(self, pod, s3, sts, objects, tmp_path):
        (tmp_path / "token").write_text("the webhook's token")
        variables = {**self.settings(s3, sts), "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
        pod.plan(downloads={"table": (f"{objects}/table.csv", "table.csv")}, **SOURCE)
        pod.run("data", **variables)
        assert {form["WebIdentityToken"] for form in sts.forms} == {"the webhook's token"}
