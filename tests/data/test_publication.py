"""What stands at a destination, before, while and after something is downloaded to it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from mlp.data import download
from mlp.data.disk import disk_error
from mlp.errors import DataAccessDenied, DataInvalid, DataNotFound, DataUnavailable
from tests.data.names import everything, tree
from tests.servers.files_http import File


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "from" / "d"
    (path / "sub" / "empty").mkdir(parents=True)
    (path / "a").write_bytes(b"a")
    (path / "sub" / "b c").write_bytes(b"b" * 3_000_000)
    return path


def test_a_directory_of_this_machine_is_copied_with_all_below_it(directory, into):
    arrived = download(directory.as_uri(), into)

    assert arrived == into / "d"
    assert tree(arrived) == tree(directory)
    assert everything(arrived) == everything(directory)


def test_a_file_of_this_machine_is_copied(directory, into):
    assert download((directory / "sub" / "b c").as_uri(), into).read_bytes() == b"b" * 3_000_000


def test_a_missing_file_and_another_machine_s_are_told_apart(directory, into):
    with pytest.raises(DataNotFound, match="nothing"):
        download((directory / "nothing").as_uri(), into)
    with pytest.raises(DataInvalid, match="of the host 'elsewhere'"):
        download("file://elsewhere/a", into)


def test_what_links_lead_to_is_copied(directory, into, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c").write_bytes(b"c")
    (directory / "linked").symlink_to(tmp_path / "elsewhere")
    (directory / "file").symlink_to(tmp_path / "elsewhere" / "c")

    arrived = download(directory.as_uri(), into)

    assert tree(arrived) == tree(directory) | {"linked/c": b"c", "file": b"c"}
    assert not any(path.is_symlink() for path in arrived.rglob("*"))


def test_links_in_a_circle_and_pipes_are_refused(directory, into):
    (directory / "sub" / "up").symlink_to(directory)
    with pytest.raises(DataInvalid, match="leads back"):
        download(directory.as_uri(), into)
    (directory / "sub" / "up").unlink()
    os.mkfifo(directory / "pipe")
    with pytest.raises(DataInvalid, match="neither a file nor a directory"):
        download(directory.as_uri(), into)


@pytest.mark.parametrize("before", ["file", "directory", "link", "dangling link"])
@pytest.mark.parametrize("after", ["file", "directory"])
def test_what_stood_there_is_replaced(directory, into, tmp_path, before, after):
    source = directory if after == "directory" else directory / "a"
    into.mkdir()
    target = into / source.name
    other = tmp_path / "other"
    other.mkdir()
    (other / "kept").write_text("kept")
    match before:
        case "file":
            target.write_text("old")
        case "directory":
            target.mkdir()
            (target / "old").write_text("old")
        case "link":
            target.symlink_to(other)
        case "dangling link":
            target.symlink_to(tmp_path / "nowhere")

    assert download(source.as_uri(), into) == target

    assert not target.is_symlink()
    assert tree(target) == tree(directory) if after == "directory" else target.read_bytes() == b"a"
    assert list(into.iterdir()) == [target]
    assert (other / "kept").read_text() == "kept"


def test_what_stood_there_stays_when_the_download_fails(web, into):
    web.files["/a"] = File(b"new")
    download(f"{web.url}/a", into)
    web.files["/a"] = File(status=403)

    with pytest.raises(DataAccessDenied):
        download(f"{web.url}/a", into)
    assert tree(into) == {"a": b"new"}


def test_nothing_stands_at_the_destination_before_everything_is_there(web, into):
    web.files["/a"] = File(os.urandom(2_000_000))
    seen = []

    download(f"{web.url}/a", into, progress=lambda *_: seen.append((into / "a").exists()))

    assert seen
    assert not any(seen)


def test_files_get_the_rights_that_the_user_s_umask_leaves(directory, into):
    umask = os.umask(0o027)
    try:
        arrived = download(directory.as_uri(), into)
    finally:
        os.umask(umask)

    assert [oct(path.stat().st_mode & 0o777) for path in (arrived, arrived / "a")] == ["0o750", "0o640"]


def test_a_killed_download_leaves_nothing_that_a_reader_could_take_for_whole(web, flaky_web, into):
    web.files["/a"] = File(os.urandom(4 << 20), etag="")
    flaky_web.faults.cut_after = 3 << 20  # it never gets further, and begins again and again
    program = "import sys, pathlib, mlp.data; mlp.data.download(sys.argv[1], pathlib.Path(sys.argv[2]))"
    process = subprocess.Popen([sys.executable, "-c", program, f"{flaky_web.url}/a", str(into)])
    try:
        until = time.monotonic() + 60
        while not any(path.stat().st_size for path in into.rglob("new")):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (into / "a").exists()

    flaky_web.faults.cut_after = None
    assert download(f"{flaky_web.url}/a", into).read_bytes() == web.files["/a"].content


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DataUnavailable),
        (errno.EDQUOT, DataUnavailable),
        (errno.EACCES, DataAccessDenied),
        (errno.EROFS, DataAccessDenied),
        (errno.ENAMETOOLONG, DataInvalid),
        (errno.EIO, DataUnavailable),
    ],
)
def test_errors_of_the_disk_say_what_they_are(number, kind):
    error = disk_error(OSError(number, os.strerror(number), "/data/a"), "s3://bucket/a")

    assert type(error) is kind
    assert "s3://bucket/a" in str(error)
    assert os.strerror(number) in str(error)


def test_a_disk_that_is_full_is_said_to_be(web, tmp_path):
    """RLIMIT_FSIZE stands for a disk that takes no more: the write fails in the same place."""
    web.files["/a"] = File(os.urandom(2 << 20))
    program = (
        "import resource, signal, sys, pathlib, mlp.data, mlp.errors\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try: mlp.data.download(sys.argv[1], pathlib.Path(sys.argv[2]))\n"
        "except mlp.errors.DataInvalid as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, f"{web.url}/a", str(tmp_path / "into")],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "File too large" in done.stdout
    assert everything(tmp_path / "into") == []
