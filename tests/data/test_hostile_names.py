"""Keys that are no file names: nothing is written for them, nowhere."""

from __future__ import annotations

import contextlib
import threading

import pytest

from mlp.data import download
from mlp.data.names import refuse_unholdable
from mlp.errors import DataInvalid
from tests.data.names import everything, tree
from tests.servers.s3_listing import s3_listing

HOSTILE = {
    "dots": ["p/a", "p/../../escaped"],
    "dots at the end": ["p/a", "p/b/.."],
    "dots alone": ["p/.."],
    "a dot": ["p/./a"],
    "absolute": ["p//etc/escaped"],
    "nothing between slashes": ["p/a//b"],
    "nothing behind a slash": ["p/a/"],
    "NUL": ["p/a\0b"],
    "a long name": ["p/" + "n" * 256],
    "a long name in bytes": ["p/" + "ü" * 128 + "/a"],
    "a file beside what is below it": ["p/x", "p/x/y"],
    "a file far beside what is below it": ["p/x", "p/x/y/z/1", "p/x0"],
}


@pytest.fixture
def listing(monkeypatch):
    """Serves any keys as an S3 of the environment's own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anybody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")

    with contextlib.ExitStack() as stack:

        def serve(keys):
            server = stack.enter_context(s3_listing(dict.fromkeys(keys, b"body")))
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)

        yield serve


@pytest.mark.parametrize("keys", HOSTILE.values(), ids=HOSTILE)
def test_a_key_that_no_file_can_have_refuses_the_download_before_anything_is_written(listing, tmp_path, keys):
    listing(keys)
    into = tmp_path / "deep" / "into"

    with pytest.raises(DataInvalid, match="s3://bucket/p"):
        download("s3://bucket/p", into)

    assert [name for name in everything(tmp_path) if "deep" not in name] == []
    assert not into.exists()


def test_names_that_only_look_dangerous_are_files(listing, into):
    keys = [
        "p/..a",
        "p/...",
        "p/a..",
        "p/.a/..b",
        "p/~",
        "p/$HOME",
        "p/-rf",
        "p/a\\b",
        "p/a\nb",
        "p/\x01",
        "p/x",
        "p/x0/y",
    ]
    listing(keys)

    assert tree(download("s3://bucket/p", into)) == {key[2:]: b"body" for key in keys}


def test_a_deep_path_that_the_system_cannot_hold_is_refused_clearly(listing, into):
    listing(["p/" + "/".join(["d" * 200] * 30)])

    with pytest.raises(DataInvalid, match="cannot hold"):
        download("s3://bucket/p", into)
    assert everything(into) == []


def test_names_that_are_one_to_the_file_system_are_refused_there():
    with pytest.raises(DataInvalid, match="twice"):
        refuse_unholdable(["a", "a"], [], of="s3://bucket")


def test_a_link_below_the_target_is_not_followed(listing, into, tmp_path):
    """What stands at the destination is replaced, not written through."""
    outside = tmp_path / "outside"
    outside.mkdir()
    into.mkdir()
    (into / "p").symlink_to(outside)
    listing(["p/a"])

    assert tree(download("s3://bucket/p", into)) == {"a": b"body"}
    assert not (into / "p").is_symlink()
    assert everything(outside) == []


def test_no_thread_stays_behind(listing, into):
    listing(["p/a", "p/b"])
    download("s3://bucket/p", into)

    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("mlp-data")] == []
