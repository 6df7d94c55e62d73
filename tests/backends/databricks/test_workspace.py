"""The adapter to a workspace: what it asks, what answers and their absence mean, and that nothing takes for ever."""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import replace

import pytest

from mlp.backends.databricks.access import token_access
from mlp.backends.databricks.output import output_of
from mlp.backends.databricks.pacing import RATES, Kind, Pace, pace_of
from mlp.backends.databricks.replies import Meaning, Reply
from mlp.backends.databricks.states import Ending, Life, state_of
from mlp.backends.databricks.workspace import connect
from mlp.errors import (
    WorkspaceDenied,
    WorkspaceError,
    WorkspaceNotFound,
    WorkspaceRefused,
    WorkspaceUnavailable,
)
from mlp.tracking import Patience, Tls
from mlp.tracking.sockets import Sockets
from tests.backends.databricks.connected import BRISK, access_to, opened
from tests.backends.databricks.odd_servers import answer, nobody, serving
from tests.databricks_server import DatabricksServer
from tests.tracking.certificates import make

TOKEN = "dapi0123456789abcdef"
ONCE = replace(BRISK, patience=Patience(attempts=1, seconds=120))
HASTY = replace(ONCE, timeout=0.5)


@pytest.fixture
def place(workspace):
    """The workspace, with an adapter to it."""
    with opened(access_to(workspace)) as adapter:
        yield adapter


@pytest.fixture
def home(place):
    """A directory among the workspace's files that no other test has."""
    return f"/Workspace/Users/{place.user_name()}/.mlp-tests/{uuid.uuid4().hex}"


def a_run(workspace, file, *, name="test", **more):
    task = {
        "task_key": "main",
        "new_cluster": workspace.new_cluster,
        "spark_python_task": {"python_file": file, "parameters": ["a b", "ä", ""]},
    }
    return {"run_name": name, "idempotency_token": uuid.uuid4().hex, "tasks": [task], **more}


def until_ended(place, run_id):
    until = time.monotonic() + 1800
    while time.monotonic() < until:
        state = state_of(place.run(run_id))
        if state.life is Life.ENDED:
            return state
        time.sleep(0.1)
    raise AssertionError(f"{run_id} does not end")


def test_a_run_is_submitted_looked_at_and_read(workspace, place, home):
    place.put(f"{home}/main.py", b"import sys\nprint(sys.argv[1:])\n")
    run_id = place.submit(a_run(workspace, f"{home}/main.py"))
    state = until_ended(place, run_id)
    assert (state.ending, state.page_url is not None) == (Ending.SUCCEEDED, True)
    assert "['a b', 'ä', '']" in output_of(place.output(state.task_run_id)).log
    assert run_id not in {run["run_id"] for run in place.active_runs()}


def test_the_same_token_is_the_same_run(workspace, place, home):
    place.put(f"{home}/main.py", b"import time\ntime.sleep(600)\n")
    body = a_run(workspace, f"{home}/main.py")
    run_id = place.submit(body)
    assert place.submit(body) == run_id
    assert run_id in {run["run_id"] for run in place.active_runs()}
    place.cancel(run_id)
    assert until_ended(place, run_id).ending is Ending.CANCELLED
    place.cancel(run_id)
    assert place.submit(body) == run_id


def test_a_submission_without_a_token_is_a_mistake(workspace, place):
    with pytest.raises(ValueError, match="without an idempotency_token could be submitted twice"):
        place.submit(a_run(workspace, "/x") | {"idempotency_token": ""})


def test_what_a_workspace_does_not_like_is_refused(workspace, place):
    body = a_run(workspace, "/Workspace/x.py")
    del body["tasks"][0]["new_cluster"]
    with pytest.raises(WorkspaceRefused):
        place.submit(body)


def test_a_cluster_that_there_is_not_is_not_found(workspace, place):
    body = a_run(workspace, "/Workspace/x.py")
    del body["tasks"][0]["new_cluster"]
    body["tasks"][0]["existing_cluster_id"] = "0000-000000-nowhere0"
    with pytest.raises(WorkspaceNotFound, match="0000-000000-nowhere0"):
        place.submit(body)


@pytest.mark.parametrize("call", ["run", "cancel", "output"])
def test_a_run_that_there_is_not_is_not_found(place, call):
    with pytest.raises(WorkspaceNotFound, match="does not exist"):
        getattr(place, call)(987654321987)


def test_files_are_there_once_they_are_put(place, home):
    assert not place.exists(f"{home}/a file")
    place.put(f"{home}/a file", b"content")
    assert place.exists(f"{home}/a file")
    assert place.exists(f"{home}/a file", size=7)
    place.put(f"{home}/a file", b"other content")
    assert not place.exists(f"{home}/a file", size=7)


@pytest.mark.parametrize("directory", ["/Volumes/main/default/files", "dbfs:/Volumes/main/default/files", "dbfs:/tmp"])
@pytest.mark.parametrize("size", [0, 5, 2_000_000])
def test_files_go_to_volumes_and_to_dbfs_too(behind, place, directory, size):
    path, content = f"{directory}/{uuid.uuid4().hex}/ä b/file", b"x" * size
    assert not place.exists(path)
    place.put(path, content)
    assert place.exists(path, size=size)
    assert not place.exists(path, size=size + 1)
    assert behind.mistakes == []


def test_a_file_on_dbfs_that_was_broken_off_is_written_anew(behind, place):
    behind.faults.add("drop", "/dbfs/add-block", after=True, skip=1)
    behind.faults.add("drop", "/dbfs/close", after=True)
    path = f"dbfs:/tmp/{uuid.uuid4().hex}"
    place.put(path, b"x" * 2_000_000)
    assert place.exists(path, size=2_000_000)


@pytest.mark.parametrize(
    "path",
    [
        "/tmp/x",
        "relative",
        "/Workspace",
        "/Volumes/",
        "/Workspace/a/../b",
        "/Workspace//x",
        "dbfs:x",
        "/Workspace/a\nb",
    ],
)
def test_other_places_are_refused(place, path):
    with pytest.raises(WorkspaceRefused):
        place.put(path, b"")
    with pytest.raises(WorkspaceRefused):
        place.exists(path)


def test_the_user_is_asked_for_once(behind, place):
    assert [place.user_name(), place.user_name()] == [behind.user] * 2
    assert [request.path for request in behind.journal.requests()] == ["/api/2.0/preview/scim/v2/Me"]


def test_git_credentials_are_listed(behind, place):
    assert place.git_credentials() == []
    credential = {"credential_id": 1, "git_provider": "gitHub", "git_username": "ann"}
    behind.git_credentials[behind.user] = [credential]
    assert [one["git_provider"] for one in place.git_credentials()] == ["gitHub"]


def test_active_runs_come_in_pages(workspace, behind, place):
    behind.script(".", hold=True)
    submitted = {place.submit(a_run(workspace, "/Workspace/x.py")) for _ in range(30)}
    assert [len(page) for page in place.active_pages()] == [24, 6]
    assert {run["run_id"] for run in place.active_runs()} == submitted


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["drop", "429", "500", "503"])
@pytest.mark.parametrize("after", [False, True])
def test_a_submission_that_fails_on_its_way_is_one_run(workspace, behind, place, kind, after):
    behind.script(".", hold=True)
    behind.faults.add(kind, "/runs/submit", after=after, times=2)
    run_id = place.submit(a_run(workspace, "/Workspace/x.py"))
    assert [run["run_id"] for run in behind.runs()] == [run_id]
    assert len(behind.faults.done) == 2


def test_a_submission_that_is_not_answered_is_one_run(workspace, behind):
    behind.script(".", hold=True)
    behind.faults.add("hang", "/runs/submit", after=True)
    limits = replace(BRISK, timeout=5)
    with opened(access_to(workspace), limits) as place:
        run_id = place.submit(a_run(workspace, "/Workspace/x.py"))
    assert [run["run_id"] for run in behind.runs()] == [run_id]


@pytest.mark.parametrize("kind", ["drop", "429", "500", "503"])
def test_everything_else_is_asked_again_too(workspace, behind, place, kind):
    behind.script(".", hold=True)
    run_id = place.submit(a_run(workspace, "/Workspace/x.py"))
    calls = [
        place.user_name,
        lambda: place.run(run_id),
        lambda: list(place.active_runs()),
        lambda: place.cancel(run_id),
        lambda: place.put("/Workspace/Users/ann@example.com/x", b""),
        lambda: place.exists("/Workspace/Users/ann@example.com/x"),
        place.git_credentials,
    ]
    for call in calls:
        behind.faults.add(kind)
        call()
    assert len(behind.faults.done) == len(calls)


def test_patience_ends(workspace, behind):
    behind.faults.add("500", times=None)
    with opened(access_to(workspace)) as place, pytest.raises(WorkspaceUnavailable, match=r"fails \(500\)"):
        place.run(1)
    assert len(behind.journal.requests()) == BRISK.patience.attempts


def test_a_workspace_that_wants_to_be_left_alone_longer_than_we_wait_is_not_asked_again(workspace, behind):
    behind.faults.add("429", seconds=500)
    with opened(access_to(workspace)) as place:
        for _ in range(2):
            with pytest.raises(WorkspaceUnavailable) as told:
                place.run(1)
            assert 400 < told.value.after <= 500
        # Each kind of request has a limit of its own.
        assert place.user_name() == behind.user
    assert len(behind.journal.requests()) == 2


def test_requests_are_counted(workspace, behind):
    counted = []
    with connect(access_to(workspace), limits=BRISK, counted=lambda *one: counted.append(one)) as place:
        behind.faults.add("drop", "/Me")
        place.user_name()
        with pytest.raises(WorkspaceNotFound):
            place.run(1)
    assert counted == [(Kind.OTHER, 0), (Kind.OTHER, 200), (Kind.GET, 400)]


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (answer("401 Unauthorized", b'{"error_code": "UNAUTHENTICATED", "message": "who?"}'), WorkspaceDenied, "who"),
        (answer("403 Forbidden", b"<html>no</html>", kind="text/html"), WorkspaceDenied, "in the workspace's place"),
        (
            answer("403 Forbidden", b'{"error_code": "PERMISSION_DENIED", "message": "Public DBFS root is disabled."}'),
            WorkspaceDenied,
            "Upload to a volume",
        ),
        (answer("413 Payload Too Large", b"", kind="text/html"), WorkspaceRefused, "of that size"),
        (
            answer("422 Unprocessable", b'{"error_code": "MALFORMED_REQUEST", "message": "bad"}'),
            WorkspaceRefused,
            "bad",
        ),
        (answer("404 Not Found", b"404 page not found", kind="text/plain"), WorkspaceError, "no Databricks workspace"),
        (answer("404 Not Found", b'{"detail": "Not Found"}'), WorkspaceError, "no Databricks workspace"),
        (answer("404 Not Found", b'{"error_code": "ENDPOINT_NOT_FOUND"}'), WorkspaceError, "lacks an interface"),
        (answer("409 Conflict", b'{"error_code": "ABORTED", "message": "busy"}'), WorkspaceUnavailable, "busy"),
        (
            answer("400 Bad Request", b'{"error_code": "COULD_NOT_ACQUIRE_LOCK", "message": "later"}'),
            WorkspaceUnavailable,
            "later",
        ),
        (
            answer("200 OK", b"<html>Log in</html>", kind="text/html"),
            WorkspaceError,
            "not as Databricks does .*text/html",
        ),
        (answer("200 OK", b"[1]"), WorkspaceError, "not as Databricks does"),
        (answer("200 OK", b"[" * 100_000), WorkspaceError, "not as Databricks does"),
        (answer("200 OK", b'{"x": "' + b"x" * 2_000_000 + b'"}'), WorkspaceError, "more than 1,048,576 bytes"),
        (answer("501 Not Implemented", b'{"error_code": "NOT_IMPLEMENTED"}'), WorkspaceError, "501"),
    ],
)
def test_what_comes_back_is_understood(act, error, words):
    with (
        serving(act) as host,
        opened(token_access(host, TOKEN), ONCE) as place,
        pytest.raises(WorkspaceError, match=words) as told,
    ):
        place.run(1)
    assert type(told.value) is error


@pytest.mark.parametrize("status", [403, 404, 503])
def test_little_is_told_of_what_is_no_workspace(status):
    meaning = Meaning("w")
    page = b"<html>" + b"intern " * 100
    assert len(str(meaning.failure(Reply(status, {}, page), "/x", ()))) < 400
    body = json.dumps({"error_code": "BAD", "message": "detail " * 100}).encode()
    assert len(str(meaning.failure(Reply(status, {}, body), "/x", ()))) > 600


def test_only_what_a_run_wrote_may_be_large():
    act = answer("200 OK", b'{"logs": "' + b"x" * (9 << 20) + b'"}')
    limits = replace(ONCE, largest=64 << 20)
    with serving(act) as host, opened(token_access(host, TOKEN), limits) as place:
        assert len(place.output(1)["logs"]) == 9 << 20
        with pytest.raises(WorkspaceError, match="more than 8,388,608 bytes"):
            place.run(1)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_no_redirection_is_followed(status):
    asked = []
    with serving(lambda _, head: asked.append(head)) as elsewhere:
        act = answer(status, b"", headers=f"Location: {elsewhere}/login?{TOKEN}\r\n")
        with serving(act) as host, opened(token_access(host, TOKEN), ONCE) as place:
            with pytest.raises(WorkspaceError, match=f"redirects to {elsewhere}/login, where credentials are not sent"):
                place.run(1)
            with pytest.raises(WorkspaceError, match="redirects"):
                place.submit({"idempotency_token": "t"})
    assert asked == []


def test_a_secret_that_comes_back_is_not_shown():
    def echo(connection, head):
        authorization = next(line for line in head.decode().split("\r\n") if line.startswith("Authorization"))
        answer("400 Bad Request", json.dumps({"error_code": "BAD", "message": authorization}).encode())(
            connection, head
        )

    with serving(echo) as host, opened(token_access(host, TOKEN), ONCE) as place:
        with pytest.raises(WorkspaceRefused, match=r"Bearer \*\*\*") as told:
            place.run(1)
        assert TOKEN not in f"{told.value}{told.value.__cause__}{place!r}{token_access(host, TOKEN)!r}"


def test_a_host_at_which_nobody_listens_is_unavailable():
    silent = pytest.raises(WorkspaceUnavailable, match=r"does not answer: Connection refused\. Check the host")
    with nobody() as host, opened(token_access(host, TOKEN)) as place, silent:
        place.run(1)


def test_a_name_that_nobody_has_is_unavailable():
    silent = pytest.raises(WorkspaceUnavailable, match="does not answer")
    with opened(token_access("nobody.invalid", TOKEN), ONCE) as place, silent:
        place.run(1)


def test_a_server_that_says_nothing_is_given_up():
    over = threading.Event()
    with serving(lambda *_: over.wait(600)) as host, opened(token_access(host, TOKEN), HASTY) as place:
        try:
            with pytest.raises(WorkspaceUnavailable, match=r"nothing came within 0\.5 seconds"):
                place.run(1)
        finally:
            over.set()


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"]
)
def test_a_server_that_sends_a_byte_at_a_time_is_given_up(start):
    over = threading.Event()

    def drip(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + start)
        while not over.wait(0.02):
            connection.sendall(b"x")

    with serving(drip) as host, opened(token_access(host, TOKEN), replace(ONCE, timeout=2)) as place:
        try:
            with pytest.raises(WorkspaceUnavailable, match="answers too slowly: no end of it after 4 seconds"):
                place.run(1)
        finally:
            over.set()


def test_an_answer_that_is_broken_off_is_none():
    def half(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}")

    silent = pytest.raises(WorkspaceUnavailable, match="does not answer")
    with serving(half) as host, opened(token_access(host, TOKEN), ONCE) as place, silent:
        place.run(1)


def test_what_is_under_way_ends_when_the_workspace_is_aborted():
    asked, over, outcomes = threading.Event(), threading.Event(), []

    def hang(*_):
        asked.set()
        over.wait(600)

    def ask(place):
        try:
            place.run(1)
        except WorkspaceUnavailable as error:
            outcomes.append(str(error))

    with serving(hang) as host, opened(token_access(host, TOKEN), replace(BRISK, timeout=500)) as place:
        thread = threading.Thread(target=ask, args=(place,))
        thread.start()
        try:
            assert asked.wait(120)
            place.abort()
            thread.join(120)
            assert not thread.is_alive()
            ask(place)
        finally:
            over.set()
    assert len(outcomes) == 2
    assert all("was given up" in outcome for outcome in outcomes)


def test_an_authority_of_ones_own_can_be_named(tmp_path, databricks_python, databricks_driver, monkeypatch):
    files = make(tmp_path / "certificates")
    with DatabricksServer(
        tmp_path / "double",
        python=databricks_python,
        driver=databricks_driver,
        certificate=(files / "server.pem", files / "server.pem"),
    ) as server:
        trusting = token_access(server.url, server.token, tls=Tls(verify=str(files / "ca.pem")))
        with opened(trusting, ONCE) as place:
            assert place.user_name() == server.user
        with opened(token_access(server.url, server.token), ONCE) as place:
            with pytest.raises(WorkspaceError, match=r"certificate of .* is not trusted") as told:
                place.user_name()
            assert not told.value.temporary
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files / "ca.pem"))
            assert place.user_name() == server.user


def test_a_connection_is_used_again(workspace, monkeypatch):
    opened_sockets = []
    add = Sockets.add
    monkeypatch.setattr(Sockets, "add", lambda self, one: (opened_sockets.append(one), add(self, one)))
    with opened(access_to(workspace)) as place:
        for _ in range(3):
            place.git_credentials()
    assert len(opened_sockets) == 1


def test_nothing_of_this_machine_is_sent(tmp_path, monkeypatch):
    heads = []

    def note(connection, head):
        heads.append(head.decode())
        answer("200 OK", b'{"userName": "ann"}')(connection, head)

    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ada password s3cret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("DATABRICKS_TOKEN", "another")
    with serving(note) as host, opened(token_access(host, TOKEN)) as place:
        assert place.user_name() == "ann"
    (head,) = heads
    assert f"Authorization: Bearer {TOKEN}\r\n" in head
    assert "User-Agent: mlp/" in head


# -- pace --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "published"), [(Kind.SUBMIT, 35), (Kind.GET, 100), (Kind.IMPORT, 30), (Kind.DBFS, 30)]
)
def test_no_second_has_more_than_half_of_what_is_allowed(kind, published):
    now = [0.0]
    pace = Pace("w", clock=lambda: now[0])
    sent = sorted(pace.turn(kind, 1000.0) for _ in range(500))
    now[0] = 1000.0
    sent += sorted(1000.0 + pace.turn(kind, 1000.0) for _ in range(500))
    for start in sent:
        assert sum(start <= at < start + 1 for at in sent) <= published / 2
    assert RATES[kind].per_second * 2 <= published


def test_a_turn_that_is_too_far_away_is_not_taken():
    pace = Pace("Databricks (w)", clock=lambda: 0.0)
    waits = [pace.turn(Kind.LIST, 0.0) for _ in range(3)]
    assert waits == [0.0, 0.0, 0.0]
    for _ in range(2):
        with pytest.raises(WorkspaceUnavailable, match=r"Databricks \(w\) has been asked too often") as told:
            pace.turn(Kind.LIST, 0.01)
        assert told.value.after == pytest.approx(1 / 12)


def test_all_who_ask_one_host_share_its_pace():
    assert pace_of("https://one") is pace_of("https://one")
    pace = pace_of("https://one")
    assert pace_of("https://one") is pace
    assert pace_of("https://two") is not pace


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "after"),
    [("3", 3.0), ("0", 0.0), ("99999999", 600.0), ("9" * 400, 600.0), ("soon", 0.0), ("-1", 0.0), ("²", 0.0)],
)
def test_a_pause_that_is_asked_for_is_kept_within_reason(text, after):
    assert Reply(429, {"retry-after": text}, b"").after == after


def test_a_proxys_page_is_no_word_about_a_run():
    assert not Reply(404, {}, b"Run 1 does not exist.").is_absence
    assert not Reply(404, {}, b'{"message": "Run 1 does not exist."}').is_absence
    assert not Reply(500, {}, b'{"error_code": "INTERNAL_ERROR", "message": "Run 1 does not exist."}').is_absence
    assert Reply(400, {}, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "Run 1 does not exist."}').is_absence


def test_messages_are_short_and_of_one_line():
    body = json.dumps({"error_code": "BAD", "message": "x\r\n\x1b[31m" + "y" * 5000}).encode()
    said = str(Meaning("w").failure(Reply(400, {}, body), "/x", ()))
    assert said.isprintable()
    assert len(said) < 1200
