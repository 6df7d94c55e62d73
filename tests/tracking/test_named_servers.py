"""Servers that somebody else has named: explicit credentials, limits, and nothing of this machine."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading

import pytest

from mlp.errors import TrackingDenied, TrackingError, TrackingUnavailable, UsageError
from mlp.tracking import Advice, Credentials, Limits, Patience, Tls, connect_to
from tests.servers.guarded_proxy import Mishap

LIMITS = Limits(timeout=60, patience=Patience(attempts=3, seconds=60, pause=0.05), largest=100_000)
ADA = Credentials("ada", "s3cret")
BASIC = "Basic " + base64.b64encode(b"ada:s3cret").decode()


@pytest.fixture
def named():
    """Open servers, and close them in the end."""
    with contextlib.ExitStack() as stack:

        def named(uri, credentials=ADA, limits=LIMITS, **options):
            tracking = connect_to(uri, credentials=credentials, tls=Tls(), limits=limits, **options)
            stack.callback(tracking.close)
            return tracking

        yield named


def test_a_server_gets_the_credentials_that_were_given(proxy, named, experiment):
    proxy.authorization = BASIC
    assert named(proxy.url).search_runs([experiment]) == []


def test_nothing_is_taken_from_this_machine(proxy, named, experiment, home, monkeypatch):
    proxy.authorization = BASIC
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")
    monkeypatch.setenv("MLFLOW_WORKSPACE", "elsewhere")
    (home / ".netrc").write_text("machine 127.0.0.1 login ada password s3cret\n")
    (home / ".netrc").chmod(0o600)
    nobody = named(proxy.url, Credentials(), advice=Advice(credentials="ask Grace"))
    with pytest.raises(TrackingDenied, match=r"wants credentials \(401\): ask Grace\."):
        nobody.search_runs([experiment])
    assert [asked.credentials for asked in proxy.asked] == [False]
    assert nobody.access.headers == {}
    assert nobody.environment() == {"MLFLOW_TRACKING_URI": proxy.url}


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("http://ada:s3cret@host", "has credentials in it"),
        ("http://", "is none that can be used here"),
        ("http://host/any/page?", "has a query or a fragment"),
        ("http://host/any/page#", "has a query or a fragment"),
        ("http://host:port", "malformed"),
        ("http://[::1", "malformed"),
        ("sqlite:///mlflow.db", "is none that can be used here"),
        ("databricks://profile", "Profiles and files"),
        ("databricks", "DATABRICKS_HOST and DATABRICKS_TOKEN"),
    ],
)
def test_what_is_no_server_is_refused(named, uri, complaint):
    with pytest.raises(UsageError, match=complaint) as refused:
        named(uri)
    assert "s3cret" not in str(refused.value)


def test_databricks_is_the_given_workspace(proxy, named, experiment):
    proxy.authorization = "Bearer dapi1"
    workspace = named("databricks", Credentials(token="dapi1"), host=proxy.url)
    assert workspace.search_runs([experiment]) == []
    assert workspace.default_experiment is None


def test_failing_requests_are_repeated_as_often_as_was_said(proxy, named, experiment):
    proxy.always = Mishap(status=503)
    with pytest.raises(TrackingUnavailable):
        named(proxy.url).search_runs([experiment])
    assert len(proxy.asked) == 3


def test_a_connection_is_used_again(mlflow_server, named, experiment):
    opened = []
    tracking = named(mlflow_server.uri)
    sockets = tracking._connection._sockets
    sockets.add = opened.append
    for _ in range(3):
        tracking.search_runs([experiment])
    assert len(opened) == 1


@pytest.mark.parametrize(("padding", "fits"), [(99_000, True), (101_000, False)])
def test_answers_have_a_largest_size(proxy, named, experiment, padding, fits):
    proxy.always = Mishap(status=200, text=json.dumps({"padding": "x" * padding}))
    tracking = named(proxy.url)
    if fits:
        assert tracking.search_runs([experiment]) == []
        return
    with pytest.raises(TrackingError, match="its answer has more than 100,000 bytes"):
        tracking.search_runs([experiment])


def test_an_answer_may_be_broken_off_in_the_middle(named):
    def answer(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")

    with serving(answer) as uri, pytest.raises(TrackingUnavailable, match="does not answer"):
        named(uri, limits=Limits(60, Patience(1, 60), 100_000)).get_run("x")


def test_what_is_under_way_ends_from_outside_though_the_server_goes_on(named):
    over, asked = threading.Event(), threading.Event()

    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        asked.set()
        while not over.wait(0.02):
            connection.sendall(b"x")

    def ask():
        try:
            tracking.get_run("x")
        except TrackingUnavailable as error:
            outcome.append(str(error))

    outcome = []
    with serving(drip) as uri:
        tracking = named(uri)
        thread = threading.Thread(target=ask)
        thread.start()
        assert asked.wait(120)
        tracking.abort()
        thread.join(120)
        over.set()
    assert len(outcome) == 1
    with pytest.raises(TrackingUnavailable, match="was given up"):
        tracking.get_run("x")


@contextlib.contextmanager
def serving(answer):
    """A server that answers every connection as it is told, one after the other."""
    ended = threading.Event()

    def serve():
        while not ended.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                connection.settimeout(60)
                with connection:
                    answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


def test_a_tag_can_be_removed_twice_but_not_from_a_run_that_is_not_there(tracking, experiment, proxy, named):
    run = tracking.create_run(experiment, run_name=None, tags={"mine": "1", "other": "2"}, start_time=1)
    proxy.mishaps.append(Mishap(on="runs/delete-tag", done=True))
    named(proxy.url, Credentials()).delete_tag(run.info.run_id, "mine")
    tags = tracking.get_run(run.info.run_id).data.tags
    assert ("mine" in tags, tags["other"]) == (False, "2")
    with pytest.raises(TrackingError, match="not found"):
        tracking.delete_tag("0123456789abcdef0123456789abcdef", "mine")


def test_a_run_is_found_by_whichever_tag_is_unique(tracking, experiment):
    def create(tag):
        return tracking.create_run(experiment, run_name="x", tags={"mine": tag}, start_time=1, unique="mine")

    first, again, other = create("1"), create("1"), create("2")
    assert first.info.run_id == again.info.run_id != other.info.run_id
    assert "mlp.uid" not in first.data.tags


def test_a_run_that_goes_on_has_no_end(tracking, experiment):
    run_id = tracking.create_run(experiment, run_name=None, tags={}, start_time=1).info.run_id
    tracking.update_run(run_id, status="FAILED", end_time=2)
    tracking.update_run(run_id, status="RUNNING", end_time=0)
    info = tracking.get_run(run_id).info
    assert (info.status, info.end_time) == ("RUNNING", None)
