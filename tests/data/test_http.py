from __future__ import annotations

import base64
import hashlib
import os
import re
import threading

import pytest

from mlp.data import download
from mlp.errors import DataAccessDenied, DataCorrupt, DataInvalid, DataNotFound, DataUnavailable, RunCancelled
from tests.data.names import everything
from tests.servers.files_http import File, files_server

CONTENT = os.urandom(3 << 20)


def digest(content: bytes, algorithm: str = "sha256") -> str:
    return base64.b64encode(hashlib.new(algorithm, content).digest()).decode()


def test_a_file_arrives_whole_under_the_name_that_its_url_ends_with(web, into):
    web.files["/d/a b.csv"] = File(CONTENT)

    arrived = download(f"{web.url}/d/a%20b.csv?version=3", into)

    assert arrived == into / "a b.csv"
    assert arrived.read_bytes() == CONTENT
    assert everything(into) == ["a b.csv"]


def test_an_empty_file_arrives(web, into):
    web.files["/empty"] = File(b"")

    assert download(f"{web.url}/empty", into).read_bytes() == b""


@pytest.mark.parametrize("how", ["chunked", "compressed"])
def test_a_file_without_a_length_arrives_whole(web, into, how):
    web.files["/a"] = File(CONTENT, **{how: True})

    assert download(f"{web.url}/a", into).read_bytes() == CONTENT


def test_a_broken_connection_is_taken_up_where_it_broke(web, flaky_web, into):
    web.files["/a"] = File(CONTENT)
    flaky_web.faults.cut_after, flaky_web.faults.cuts = 1_000_000, 2

    assert download(f"{flaky_web.url}/a", into).read_bytes() == CONTENT

    assert [request.status for request in web.requests] == [200, 206, 206]
    begins = [int(re.fullmatch(r"bytes=(\d+)-", request.range)[1]) for request in web.requests[1:]]
    assert 0 < begins[0] <= 1_000_000 < begins[1] <= 2_000_000
    assert {request.if_range for request in web.requests[1:]} == {web.files["/a"].validator}


@pytest.mark.parametrize(
    "file",
    [File(CONTENT, etag=""), File(CONTENT, ranges=False), File(CONTENT, etag='W/"weak"')],
    ids=["no validator", "no ranges", "weak"],
)
def test_a_broken_connection_without_a_way_to_go_on_begins_again(web, flaky_web, into, file):
    web.files["/a"] = file
    flaky_web.faults.cut_after, flaky_web.faults.cuts = 1_000_000, 1

    assert download(f"{flaky_web.url}/a", into).read_bytes() == CONTENT
    assert [request.status for request in web.requests] == [200, 200]


def test_the_time_of_change_is_enough_to_go_on(web, flaky_web, into):
    web.files["/a"] = File(CONTENT, etag="", headers={"Last-Modified": "Mon, 05 Jan 2026 10:00:00 GMT"})
    flaky_web.faults.cut_after, flaky_web.faults.cuts = 1_000_000, 1

    # The double ranges only where there is a validator; the time is one.
    assert download(f"{flaky_web.url}/a", into).read_bytes() == CONTENT
    assert web.requests[1].if_range == "Mon, 05 Jan 2026 10:00:00 GMT"


def test_a_file_that_is_replaced_after_a_break_is_never_mixed_with_the_new_one(web, flaky_web, into):
    web.files["/a"] = File(CONTENT)
    new = os.urandom(len(CONTENT))
    flaky_web.faults.cut_after, flaky_web.faults.cuts = 1_000_000, 1
    remember = flaky_web.remember

    def replace(seen):
        # The first connection is cut: what is asked for next is asked of a server that has another file.
        remember(seen)
        web.files["/a"] = File(new)

    flaky_web.remember = replace

    assert download(f"{flaky_web.url}/a", into).read_bytes() == new


def test_a_server_that_always_breaks_is_given_up(web, flaky_web, into):
    web.files["/a"] = File(CONTENT)
    flaky_web.faults.cut_after = 0

    with pytest.raises(DataUnavailable, match="The connection to the server of"):
        download(f"{flaky_web.url}/a", into)
    assert len(web.requests) == 6
    assert everything(into) == []


def test_a_server_that_breaks_often_but_brings_something_each_time_is_not_given_up(web, flaky_web, into):
    content = os.urandom(12 << 20)
    web.files["/a"] = File(content)
    flaky_web.faults.cut_after = (1 << 20) + (1 << 16)

    assert download(f"{flaky_web.url}/a", into).read_bytes() == content
    assert len(web.requests) > 10


@pytest.mark.parametrize(
    "headers",
    [
        {"Repr-Digest": f"sha-256=:{digest(CONTENT)}:"},
        {"Repr-Digest": f"unknown=:AAAA:, sha-512=:{digest(CONTENT, 'sha512')}:"},
        {"Content-Digest": f"sha-256=:{digest(CONTENT)}:"},
        {"Digest": f"sha-256={digest(CONTENT)}"},
        {"Content-MD5": digest(CONTENT, "md5")},
    ],
    ids="-".join,
)
def test_a_digest_of_the_servers_notices_a_flipped_byte(web, flaky_web, into, headers):
    web.files["/a"] = File(CONTENT, headers=headers)
    flaky_web.faults.flip = {1_234_567}

    with pytest.raises(DataCorrupt, match=next(iter(headers))):
        download(f"{flaky_web.url}/a", into)
    assert everything(into) == []
    assert len(web.requests) == 3

    flaky_web.faults.flips = 1
    assert download(f"{flaky_web.url}/a", into).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, DataAccessDenied), (403, DataAccessDenied), (404, DataNotFound), (410, DataNotFound), (400, DataInvalid),
        (429, DataUnavailable), (500, DataUnavailable), (503, DataUnavailable),
    ],
)  # fmt: skip
def test_each_status_says_what_it_means(web, into, status, error):
    web.files["/a"] = File(status=status)

    with pytest.raises(error, match=f"HTTP {status}") as caught:
        download(f"{web.url}/a", into)
    assert f"{web.url}/a" in str(caught.value)
    assert len(web.requests) == (6 if caught.value.temporary else 1)


def test_a_busy_server_is_asked_again(web, flaky_web, into):
    web.files["/a"] = File(CONTENT)
    flaky_web.faults.status, flaky_web.faults.refusals = 503, 2

    assert download(f"{flaky_web.url}/a", into).read_bytes() == CONTENT


def test_credentials_of_the_url_are_used_and_never_shown(web, into):
    web.files["/a"] = File(CONTENT, password="me:s3cret-w0rd")
    address = web.url.removeprefix("http://")

    assert download(f"http://me:s3cret-w0rd@{address}/a", into).read_bytes() == CONTENT
    with pytest.raises(DataAccessDenied) as caught:
        download(f"http://me:wr0ng-w0rd@{address}/a?token=t0ken", into)
    assert "wr0ng-w0rd" not in str(caught.value)
    assert "t0ken" not in str(caught.value)


def test_credentials_of_the_user_s_netrc_are_used(web, into, tmp_path, monkeypatch):
    web.files["/a"] = File(CONTENT, password="me:s3cret-w0rd")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret-w0rd\n")
    monkeypatch.setenv("NETRC", str(netrc))

    assert download(f"{web.url}/a", into).read_bytes() == CONTENT


def test_a_redirection_is_followed_and_gets_no_credentials_of_another_host(web, into):
    with files_server() as other:
        other.files["/b"] = File(CONTENT)
        web.files["/a"] = File(status=302, location=f"{other.url}/b", password="me:s3cret-w0rd")

        arrived = download(f"http://me:s3cret-w0rd@{web.url.removeprefix('http://')}/a", into)

    assert arrived.read_bytes() == CONTENT
    assert arrived.name == "a"
    assert [request.authorization for request in other.requests] == [None]


def test_a_redirection_that_never_ends_or_leads_elsewhere_is_refused(web, into):
    web.files["/round"] = File(status=302, location="/round")
    web.files["/file"] = File(status=302, location="file:///etc/passwd")

    for name in ("round", "file"):
        with pytest.raises(DataInvalid, match="leads nowhere"):
            download(f"{web.url}/{name}", into)


def test_a_server_that_is_not_there_is_unavailable(into):
    with pytest.raises(DataUnavailable, match="Connection refused"):
        download("http://127.0.0.1:1/a", into)


def test_a_cancelled_download_leaves_nothing(web, into):
    web.files["/a"] = File(CONTENT)
    cancelled = threading.Event()
    cancelled.set()

    with pytest.raises(RunCancelled, match=r"/a was cancelled"):
        download(f"{web.url}/a", into, cancelled=cancelled)
    assert everything(into) == []


def test_a_server_that_falls_silent_does_not_keep_a_cancelled_download(web, into):
    """The stream hangs for good; the event is set when its first bytes have come."""
    halt, cancelled = threading.Event(), threading.Event()

    class Hanging(bytes):
        def __getitem__(self, key):
            cancelled.set()
            halt.wait()
            return super().__getitem__(key)

    web.files["/a"] = File(Hanging(CONTENT), etag='"one"')
    try:
        with pytest.raises(RunCancelled):
            download(f"{web.url}/a", into, cancelled=cancelled)
    finally:
        halt.set()
    assert everything(into) == []


def test_progress_is_told_in_the_thread_that_asked_and_ends_with_everything(web, into):
    web.files["/a"] = File(CONTENT)
    told = []

    download(f"{web.url}/a", into, progress=lambda *values: told.append((*values, threading.current_thread())))

    assert told[-1] == (len(CONTENT), len(CONTENT), f"{web.url}/a", threading.current_thread())
    assert [each[0] for each in told] == sorted(each[0] for each in told)
