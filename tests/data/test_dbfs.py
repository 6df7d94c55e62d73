"""Downloads from a Databricks workspace: a double of ours, held against databricks-sdk."""

from __future__ import annotations

import os
import random

import pytest

from mlp.data import download
from mlp.data.web import Web
from mlp.errors import DataAccessDenied, DataInvalid, DataNotFound
from tests.data.names import everything, tree
from tests.servers.dbfs import workspace

TOKEN = "dapi-s3cret-t0ken"
LARGE = random.Random(2).randbytes(40 << 20)


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "workspace"
    for below in ("FileStore/d", "Volumes/c/s/v/d"):
        directory = path / below
        (directory / "sub" / "empty").mkdir(parents=True)
        (directory / "a b+%.txt").write_bytes(b"a")
        (directory / "empty").write_bytes(b"")
        for number in range(8):
            (directory / "sub" / f"{number}").write_bytes(f"{number}".encode() * 100_000)
    return path


@pytest.fixture
def databricks(root, monkeypatch):
    with workspace(root, token=TOKEN) as server:
        monkeypatch.setenv("DATABRICKS_HOST", server.url)
        monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
        yield server


@pytest.mark.parametrize("base", ["dbfs:/FileStore", "dbfs:///FileStore", "dbfs://FileStore", "dbfs:/Volumes/c/s/v"])
@pytest.mark.usefixtures("databricks")
def test_files_and_directories_arrive_whole(root, into, base):
    local = root / base.removeprefix("dbfs:").strip("/") / "d"

    assert tree(download(f"{base}/d", into)) == tree(local)
    assert everything(into / "d") == everything(local)
    assert download(f"{base}/d/a b+%.txt", into).read_bytes() == b"a"
    assert download(f"{base}/d/empty", into).read_bytes() == b""


@pytest.mark.parametrize("base", ["FileStore", "Volumes/c/s/v"])
def test_a_large_file_comes_in_ranges(databricks, root, into, base):
    (root / base / "large").write_bytes(LARGE)

    assert download(f"dbfs:/{base}/large", into).read_bytes() == LARGE

    if base == "FileStore":
        assert sum("/read" in path for _, path, _ in databricks.requests) == len(LARGE) >> 20
    else:
        assert sum(range_ is not None for _, _, range_ in databricks.requests) == 5


@pytest.mark.parametrize("base", ["FileStore", "Volumes/c/s/v"])
def test_a_busy_workspace_is_asked_again(databricks, into, base):
    databricks.refusals += [429, 503, 500]

    assert download(f"dbfs:/{base}/d/sub/3", into).read_bytes() == b"3" * 100_000


@pytest.mark.parametrize("base", ["FileStore", "Volumes/c/s/v"])
def test_a_file_that_is_replaced_meanwhile_is_never_a_mixture(databricks, root, into, base):
    path = root / base / "replaced"
    path.write_bytes(LARGE)
    new = LARGE[::-1]
    remember = databricks.remember
    asked = []

    def replace(method, url, range_):
        if ("/read" in url or range_) and "replaced" in url:
            asked.append(url)
            if len(asked) == 3:
                newer = root / "newer"
                newer.write_bytes(new)
                os.utime(newer, (2_000_000_000, 2_000_000_000))
                newer.rename(path)
        return remember(method, url, range_)

    databricks.remember = replace

    assert download(f"dbfs:/{base}/replaced", into).read_bytes() == new


@pytest.mark.parametrize("base", ["FileStore", "Volumes/c/s/v"])
@pytest.mark.usefixtures("databricks")
def test_what_is_not_there_and_what_is_not_allowed_are_told_apart(into, monkeypatch, base):
    with pytest.raises(DataNotFound, match=f"dbfs:/{base}/missing"):
        download(f"dbfs:/{base}/missing", into)
    monkeypatch.setenv("DATABRICKS_TOKEN", "wr0ng-t0ken")
    with pytest.raises(DataAccessDenied, match=r"HTTP 403.*DATABRICKS_TOKEN") as caught:
        download(f"dbfs:/{base}/d", into)
    assert "wr0ng-t0ken" not in str(caught.value)
    assert everything(into) == [] if into.exists() else True


def test_a_profile_is_named_by_the_uri_or_by_the_environment(databricks, into, tmp_path, monkeypatch):
    monkeypatch.delenv("DATABRICKS_HOST")
    monkeypatch.delenv("DATABRICKS_TOKEN")
    (tmp_path / "profiles").write_text(f"[mine]\nhost = {databricks.url}\ntoken = {TOKEN}\n")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "profiles"))

    assert download("dbfs://mine@databricks/FileStore/d/a b+%.txt", into).read_bytes() == b"a"
    with pytest.raises(DataInvalid, match="no profile 'other'"):
        download("dbfs://other@databricks/FileStore/d", into)
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "mine")
    assert download("dbfs:/FileStore/d/a b+%.txt", into / "again").read_bytes() == b"a"


def test_without_credentials_the_variables_are_named(into):
    with pytest.raises(DataAccessDenied, match="DATABRICKS_HOST and DATABRICKS_TOKEN"):
        download("dbfs:/FileStore/d", into)


def test_the_double_is_a_workspace_to_databricks_own_client(databricks, root):
    sdk = (
        pytest.importorskip("databricks.sdk", reason="databricks-sdk is an extra") if not os.environ.get("CI") else None
    )
    if sdk is None:
        from databricks import sdk  # noqa: PLC0415 -- as above
    client = sdk.WorkspaceClient(host=databricks.url, token=TOKEN, auth_type="pat")
    name = "a b+%.txt"

    assert client.files.download(f"/Volumes/c/s/v/d/{name}").contents.read() == b"a"
    metadata = client.files.get_metadata("/Volumes/c/s/v/d/sub/3")
    assert metadata.content_length == 100_000
    assert metadata.last_modified
    listed = {entry.path: entry for entry in client.files.list_directory_contents("/Volumes/c/s/v/d/sub")}
    assert sorted(listed) == [f"/Volumes/c/s/v/d/sub/{each}" for each in [*range(8), "empty"]]
    assert listed["/Volumes/c/s/v/d/sub/3"].file_size == 100_000
    assert listed["/Volumes/c/s/v/d/sub/empty"].is_directory

    status = client.dbfs.get_status("/FileStore/d/sub/3")
    assert (status.path, status.is_dir, status.file_size) == ("/FileStore/d/sub/3", False, 100_000)
    assert {entry.path for entry in client.dbfs.list("/FileStore/d")} == {
        f"/FileStore/d/{path.name}" for path in (root / "FileStore" / "d").iterdir()
    }
    with client.dbfs.open("/FileStore/d/sub/7", read=True) as stream:
        assert stream.read() == b"7" * 100_000
    for error in (sdk.errors.NotFound, sdk.errors.ResourceDoesNotExist):
        with pytest.raises(error):
            (client.files.download if error is sdk.errors.NotFound else client.dbfs.get_status)("/Volumes/missing")


def test_what_is_asked_of_the_workspace_is_what_databricks_own_client_asks(databricks, into):
    """The same paths, escaped in the same way."""
    from databricks import sdk  # noqa: PLC0415 -- takes a second

    client = sdk.WorkspaceClient(host=databricks.url, token=TOKEN, auth_type="pat")
    client.files.get_metadata("/Volumes/c/s/v/d/a b+%.txt")
    theirs = databricks.requests[-1]
    before = len(databricks.requests)
    download("dbfs:/Volumes/c/s/v/d/a b+%.txt", into)

    assert theirs in databricks.requests[before:]


def test_a_session_asks_for_bytes_as_they_are(databricks):
    with Web(threads=1, shown="it", way_to_authenticate="").get(databricks.url, absent=(403,)) as response:
        assert response.request.headers["Accept-Encoding"] == "identity"
