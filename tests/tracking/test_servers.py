"""Credentials, certificates and bad days: what stands between us and a tracking server."""

from __future__ import annotations

import base64
import logging
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from mlp.errors import TrackingDenied, TrackingError, TrackingUnavailable, UsageError
from mlp.tracking import RunRecord, connect, names
from mlp.tracking import connection as http
from mlp.tracking.connection import AT_FIRST, LATER
from mlp.tracking.retrying import Patience
from tests.servers.guarded_proxy import Mishap, guarding
from tests.tracking import certificates

PASSWORD = "pa:ss/w%rd@x"
BASIC = "Basic " + base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
IN_URI = "ada:pa%3Ass%2Fw%25rd%40x@"


@pytest.fixture
def guarded(proxy):
    proxy.authorization = BASIC
    return proxy


def works(uri=None):
    """Does the store let us in."""
    tracking = connect(uri)
    try:
        record = RunRecord.begin(tracking)
        return record.finish("FINISHED") == tracking.get_run(record.run_id).info.status
    finally:
        tracking.close()


def test_user_and_password_come_from_the_environment(guarded, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", guarded.url)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "not this")
    assert works()


def test_user_and_password_come_from_the_file_of_mlflow(guarded, home):
    (home / ".mlflow").mkdir()
    text = f"[mlflow]\nmlflow_tracking_username = ada\nmlflow_tracking_password = {PASSWORD}\n"
    (home / ".mlflow" / "credentials").write_text(text)
    assert works(guarded.url)


def test_a_file_of_mlflow_that_cannot_be_read_is_none(uri, home):
    (home / ".mlflow").mkdir()
    (home / ".mlflow" / "credentials").write_text("nothing that a parser likes")
    assert works(uri)


def test_a_token_comes_from_the_environment(proxy, monkeypatch):
    proxy.authorization = "Bearer t0k3n"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0k3n")
    assert works(proxy.url)


def test_the_files_of_netrc_are_asked_where_nothing_else_is_given(guarded, home):
    netrc = home / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login ada password {PASSWORD}\n")
    netrc.chmod(0o600)
    assert works(guarded.url)


def test_given_credentials_count_more_than_those_of_netrc(guarded, home, monkeypatch):
    netrc = home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login ada password wrong\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    assert works(guarded.url)


def test_credentials_in_the_uri_are_used_and_handed_on_but_never_shown(guarded, mlflow, experiment):
    tracking = connect(guarded.url.replace("://", f"://{IN_URI}"))
    record = RunRecord.begin(tracking, experiment_id=experiment)
    variables = record.environment()
    assert variables == {
        "MLFLOW_TRACKING_URI": guarded.url,
        "MLFLOW_TRACKING_USERNAME": "ada",
        "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        "MLFLOW_RUN_ID": record.run_id,
        "MLFLOW_EXPERIMENT_ID": experiment,
    }
    # MLflow's own client gets in with them.
    assert mlflow.run("answer = mlflow.start_run().info.run_id", variables=variables) == record.run_id
    assert record.finish("FAILED") == "FINISHED"
    assert "ada" not in repr(tracking) + tracking.uri + tracking.shown
    assert PASSWORD not in repr(tracking.access)
    tracking.close()


def test_a_user_in_the_uri_without_a_password_takes_that_of_the_environment(guarded, monkeypatch):
    address = guarded.url.replace("://", "://ada@")
    with pytest.raises(UsageError, match=r"names a user without a password: set MLFLOW_TRACKING_PASSWORD"):
        connect(address)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    assert works(address)


def test_a_server_that_wants_credentials_says_which(guarded):
    with pytest.raises(TrackingDenied, match=r"wants credentials \(401\): set MLFLOW_TRACKING_USERNAME and"):
        works(guarded.url)
    assert guarded.count("") == 1


def test_wrong_credentials_are_told_apart_and_not_shown(proxy, caplog):
    # A server that shows what it was sent.
    proxy.authorization = "Basic other"
    header = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
    proxy.always = None
    with guarding(proxy.url.removeprefix("http://")) as echo:
        echo.always = Mishap(status=403, text=f"no {PASSWORD}, {header}, {IN_URI}")
        for tracking in (
            connect(proxy.url.replace("://", f"://{IN_URI}")),
            connect(echo.url.replace("://", f"://{IN_URI}")),
        ):
            with pytest.raises(TrackingDenied, match=r"does not allow this with the credentials that it got") as denial:
                RunRecord.begin(tracking)
            for secret in (PASSWORD, header, "pa%3Ass"):
                assert secret not in str(denial.value) + caplog.text
            tracking.close()


def test_the_workspace_of_mlflow_is_named(proxy, monkeypatch):
    monkeypatch.setenv("MLFLOW_WORKSPACE", " team-a ")
    tracking = connect(proxy.url)
    assert tracking.access.headers == {"X-MLFLOW-WORKSPACE": "team-a"}


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("pki") / "own")


@pytest.fixture
def secure(mlflow_server, pki):
    with guarding(mlflow_server.uri, tls=certificates.serving_context(pki)) as proxy:
        yield proxy


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE"])
def test_an_authority_of_ones_own_is_believed_where_it_is_named(secure, pki, monkeypatch, variable):
    monkeypatch.setenv(variable, str(pki / "ca.pem"))
    assert works(secure.url)


def test_a_certificate_of_nobody_is_refused_at_once_with_the_way_out(secure):
    with pytest.raises(TrackingError, match=r"not trusted: .* Name a file .* MLFLOW_TRACKING_SERVER_CERT_PATH") as told:
        works(secure.url)
    assert not told.value.temporary


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificates_are_ignored_where_the_user_says_so(secure, pki, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    # It would count more than what a session of requests was told.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pki / "client.crt"))
    assert works(secure.url)


def test_our_own_certificate_is_shown_to_a_server_that_asks(mlflow_server, pki, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(pki / "ca.pem"))
    with guarding(mlflow_server.uri, tls=certificates.serving_context(pki, clients=True)) as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_CLIENT_CERT_PATH", str(pki / "client.pem"))
        assert works(proxy.url)


def test_settings_that_cannot_be_are_named(monkeypatch, tmp_path, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(tmp_path / "ca.pem"))
    with pytest.raises(UsageError, match=r"MLFLOW_TRACKING_SERVER_CERT_PATH names .*ca.pem, and there is no such file"):
        connect(uri)
    (tmp_path / "ca.pem").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    with pytest.raises(UsageError, match=r"contradict each other"):
        connect(uri)
    monkeypatch.delenv("MLFLOW_TRACKING_INSECURE_TLS")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon")
    with pytest.raises(UsageError, match=r"MLFLOW_HTTP_REQUEST_TIMEOUT is 'soon', which is no number of seconds"):
        connect(uri)


def test_a_server_that_fails_for_a_moment_is_asked_again(proxy, mlflow, uri, experiment):
    tracking = connect(proxy.url)
    for path in ("runs/create", "log-batch", "runs/get", "runs/update"):
        proxy.mishaps += [Mishap(on=path, status=503), Mishap(on=path)]
    record = RunRecord.begin(tracking, experiment_id=experiment, parameters={"a": "1"})
    assert record.finish("FINISHED") == "FINISHED"
    assert not proxy.mishaps
    run = mlflow.seen(uri, record.run_id)
    assert run["info"]["status"] == "FINISHED"
    assert run["data"]["params"] == {"a": "1"}
    assert len(tracking.search_runs([experiment])) == 1
    tracking.close()


def test_a_run_whose_creation_was_answered_by_a_broken_line_is_not_made_twice(proxy, experiment):
    proxy.mishaps += [Mishap(on="runs/create", done=True), Mishap(on="runs/search")]
    tracking = connect(proxy.url)
    record = RunRecord.begin(tracking, experiment_id=experiment)
    assert not proxy.mishaps
    assert proxy.count("runs/create") == 1
    assert [run.info.run_id for run in tracking.search_runs([experiment])] == [record.run_id]
    record.finish("FINISHED")
    tracking.close()


def test_a_run_with_a_uid_of_the_callers_is_made_once(tracking, experiment):
    first = RunRecord.begin(tracking, experiment_id=experiment, tags={names.UID: "run-1/1"})
    again = RunRecord.begin(tracking, experiment_id=experiment, tags={names.UID: "run-1/1"})
    other = RunRecord.begin(tracking, experiment_id=experiment, tags={names.UID: "run-1/2"})
    assert first.run_id == again.run_id != other.run_id


def test_an_experiment_whose_creation_was_answered_by_a_broken_line_is_found(proxy, tmp_path):
    proxy.mishaps += [Mishap(on="experiments/create", done=True)]
    tracking = connect(proxy.url)
    name = f"broken-{tmp_path}"
    assert tracking.experiment(name=name) == connect(proxy.url).experiment(name=name)
    tracking.close()


def test_a_run_whose_creation_is_interrupted_is_killed(proxy, mlflow, uri, experiment):
    """Ctrl-C while the server is making the run: the answer never came, and nobody else knows of it."""
    made, gone = threading.Event(), threading.Event()
    proxy.mishaps += [Mishap(on="runs/create", done=True, first=lambda: (made.set(), gone.wait(60)))]
    code = (
        "import signal, sys; from mlp.tracking import *\n"
        # Whatever started the tests may have SIGINT ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "RunRecord.begin(connect(sys.argv[1]), experiment_id=sys.argv[2])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, proxy.url, experiment], stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            assert made.wait(60)
            program.send_signal(signal.SIGINT)
            said = program.communicate(timeout=60)[1]
        finally:
            gone.set()
            program.kill()
    assert said.rstrip().endswith("KeyboardInterrupt")
    [run] = connect(uri).search_runs([experiment])
    assert mlflow.seen(uri, run.info.run_id)["info"]["status"] == "KILLED"


def test_a_busy_server_is_left_alone_for_as_long_as_it_wants(proxy):
    tracking = connect(proxy.url)
    proxy.mishaps += [Mishap(on="experiments/get", status=429, headers={"Retry-After": "1"})]
    assert tracking.experiment(experiment_id="0") == "0"
    assert [asked.status for asked in proxy.asked] == [429, 200]
    tracking.close()


def test_a_server_that_wants_to_be_left_alone_for_too_long_is_given_up(proxy):
    tracking = connect(proxy.url)
    proxy.always = Mishap(status=429, headers={"Retry-After": "3600"}, text="quota")
    with pytest.raises(TrackingUnavailable, match=r"fails \(429\): quota"):
        tracking.experiment(experiment_id="0")
    assert proxy.count("") == 1
    tracking.close()


def closed_port():
    """A port that nobody serves, and that nobody else can take while it is held."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken


def test_a_server_that_is_not_there_is_reported_with_what_to_check():
    with closed_port() as taken:
        tracking = connect(f"http://ada:{IN_URI[4:-1]}@127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(
            TrackingUnavailable, match=r"does not answer: Connection refused. Check that it runs"
        ) as told:
            RunRecord.begin(tracking)
    assert told.value.temporary
    assert "MLP_TRACKING=off" in str(told.value)
    assert "ada" not in str(told.value)
    assert "pa%3A" not in str(told.value)


def test_a_name_that_nobody_knows_is_said_to_be_one():
    # In the resolver's own words, which depend on whether it reaches a server.
    with pytest.raises(
        TrackingUnavailable, match=r"//tracking\.invalid:5000 does not answer: .*(not known|resolution)"
    ):
        connect("http://tracking.invalid:5000").get_run("0")


def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "0.2")
    with socket.create_server(("127.0.0.1", 0), backlog=20) as silent:
        tracking = connect(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(TrackingUnavailable, match=r"no answer within 0\.2 seconds \(MLFLOW_HTTP_REQUEST_TIMEOUT\)"):
            tracking.get_run("0")
        tracking.close()


def test_a_proxy_that_is_not_there_is_named_as_such(monkeypatch):
    with closed_port() as taken:
        monkeypatch.setenv("HTTP_PROXY", f"http://ada:s3cr3t@127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(
            TrackingUnavailable, match=r"The proxy to http://tracking.example.com does not answer"
        ) as told:
            connect("http://tracking.example.com").get_run("0")
    assert "s3cr3t" not in str(told.value)


def test_a_proxy_is_used(mlflow_server, monkeypatch):
    with guarding(mlflow_server.uri) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        proxy.always = Mishap(status=404, text="no such host here")
        with pytest.raises(TrackingError):
            connect("http://tracking.example.com").get_run("0")
        assert proxy.asked[0].path.startswith("http://tracking.example.com/api/2.0/mlflow/runs/get")


def test_a_server_that_does_not_know_its_own_name_is_explained(proxy):
    proxy.host = "mlflow.team-a.svc.cluster.local"
    with pytest.raises(TrackingDenied, match=r"Invalid Host header.*--allowed-hosts .*MLFLOW_SERVER_ALLOWED_HOSTS"):
        connect(proxy.url).get_run("0")


def test_what_is_no_mlflow_server_is_said_to_be_none(proxy):
    tracking = connect(proxy.url)
    proxy.mishaps += [
        Mishap(status=200, text="<html>Log in</html>", headers={"Content-Type": "text/html"}),
        Mishap(status=404, text="<html>nginx</html>"),
    ]
    with pytest.raises(TrackingError, match=r"answers, but not as an MLflow server does .*gave text/html"):
        tracking.get_run("0")
    with pytest.raises(
        TrackingError, match=r"is no MLflow server, or has another prefix: .*runs/get gave 404 \(<html>"
    ):
        tracking.get_run("0")
    tracking.close()


def test_an_answer_without_what_was_asked_for_is_no_answer(proxy):
    tracking = connect(proxy.url)
    proxy.always = Mishap(status=200, text="{}")
    for ask in (
        lambda: tracking.get_run("0"),
        lambda: tracking.experiment(name="a"),
        lambda: RunRecord.begin(tracking),
    ):
        with pytest.raises(TrackingError, match=r"not as an MLflow server does \(.* gave no (run|experiment)\)"):
            ask()
    tracking.close()


def test_requests_that_are_too_large_for_a_proxy_are_made_smaller(proxy, mlflow, uri, experiment):
    proxy.mishaps += [Mishap(on="log-batch", status=413)] * 3
    tracking = connect(proxy.url)
    given = {f"parameter{number}": str(number) for number in range(10)}
    record = RunRecord.begin(tracking, experiment_id=experiment, parameters=given)
    assert proxy.count("log-batch") == 7
    assert mlflow.seen(uri, record.run_id)["data"]["params"] == given
    record.finish("FINISHED")
    tracking.close()


def test_artifacts_that_the_server_cannot_list_are_no_reason_to_wait_long(proxy):
    tracking = connect(proxy.url)
    proxy.always = Mishap(on="artifacts/list", status=500, text="no credentials for the bucket")
    with pytest.raises(TrackingUnavailable, match=r"fails \(500\): no credentials for the bucket"):
        tracking.list_artifacts("0")
    assert proxy.count("artifacts/list") == 3
    tracking.close()


def test_a_redirection_that_keeps_the_request_is_followed(proxy, experiment):
    tracking = connect(proxy.url)
    for path in ("runs/create", "runs/get"):
        proxy.mishaps += [Mishap(on=path, status=308, headers={"Location": f"/api/2.0/mlflow/{path}?run_id=0"})]
    record = RunRecord.begin(tracking, experiment_id=experiment)
    assert tracking.search_runs([experiment])[0].info.run_id == record.run_id
    tracking.close()


@pytest.mark.parametrize(
    ("status", "location"),
    [(302, "/login?secret=1"), (308, "http://other.example.com/x"), (308, "ftp://127.0.0.1/x")],
)
def test_a_redirection_elsewhere_is_not_followed(guarded, status, location):
    tracking = connect(guarded.url.replace("://", f"://{IN_URI}"))
    guarded.always = Mishap(status=status, headers={"Location": location})
    with pytest.raises(TrackingError, match=r"redirects to .* wants credentials that mlp was not given") as told:
        RunRecord.begin(tracking)
    assert guarded.count("") == 1
    assert "secret" not in str(told.value)
    tracking.close()


def test_a_circle_of_redirections_ends(proxy):
    tracking = connect(proxy.url)
    proxy.always = Mishap(status=307, headers={"Location": "/api/2.0/mlflow/runs/get"})
    with pytest.raises(TrackingError, match=r"redirects without end"):
        tracking.get_run("0")
    tracking.close()


def test_the_end_outlives_an_outage(proxy, mlflow, uri, experiment):
    tracking = connect(proxy.url)
    record = RunRecord.begin(tracking, experiment_id=experiment)
    proxy.mishaps += [Mishap(on="runs/get", status=502), Mishap(), Mishap(), Mishap(on="update", done=True), Mishap()]
    assert record.finish("KILLED") == "KILLED"
    assert not proxy.mishaps
    assert mlflow.seen(uri, record.run_id)["info"]["status"] == "KILLED"
    tracking.close()


def test_an_end_that_cannot_be_written_is_reported_with_the_run(proxy, experiment, caplog, monkeypatch):
    monkeypatch.setattr(http, "LATER", Patience(attempts=3, seconds=60.0, pause=0.01))
    tracking = connect(proxy.url)
    record = RunRecord.begin(tracking, experiment_id=experiment)
    proxy.always = Mishap()
    assert record.finish("FAILED") == "FAILED"
    [entry] = caplog.records
    assert entry.levelno == logging.ERROR
    assert f"The end of run {record.run_id} (FAILED) could not be written" in entry.getMessage()
    tracking.close()


def test_nobody_waits_long_for_an_address_that_is_probably_wrong():
    assert AT_FIRST.attempts * http.CONNECT_TIMEOUT <= 30
    assert AT_FIRST.seconds <= 10 < LATER.seconds <= 30


def test_nothing_heavy_is_loaded_before_it_is_needed(uri):
    code = (
        "import sys; import mlp.tracking as tracking\n"
        "assert not {'requests', 'mlflow', 'databricks'} & set(sys.modules), 'import'\n"
        f"store = tracking.connect({uri!r})\n"
        "assert not {'requests', 'mlflow', 'databricks'} & set(sys.modules), 'connect'\n"
        "store.experiment(experiment_id='0')\n"
        "assert not {'mlflow', 'databricks'} & set(sys.modules), 'use'\n"
    )
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=variables)
