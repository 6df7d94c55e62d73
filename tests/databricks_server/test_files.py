"""The double's files, as databricks-sdk's own client puts and finds them."""

from __future__ import annotations

import base64
import io

import pytest
from databricks.sdk.errors import AlreadyExists, BadRequest, NotFound, PermissionDenied, ResourceAlreadyExists
from databricks.sdk.service.workspace import ImportFormat, Language, ObjectType

from tests.databricks_server import DatabricksServer
from tests.databricks_server.clients import client, ended, printed, put, submit

HOME = "/Users/ann@example.com"
VOLUME = "/Volumes/main/default/files"


@pytest.fixture
def ann(databricks):
    return client(databricks.url, token=databricks.token)


def test_workspace_files_are_kept_as_they_are(ann):
    ann.workspace.mkdirs(f"{HOME}/a/b")
    for path in (f"{HOME}/a/b/one.bin", f"/Workspace{HOME}/a/b/two.py"):
        ann.workspace.upload(path, b"print(1)\r\n\0", format=ImportFormat.AUTO)

    assert ann.workspace.get_status(f"/Workspace{HOME}/a/b/one.bin").object_type == ObjectType.FILE
    assert ann.workspace.get_status(f"{HOME}/a").object_type == ObjectType.DIRECTORY
    assert ann.workspace.download(f"{HOME}/a/b/two.py").read() == b"print(1)\r\n\0"
    assert [each.path for each in ann.workspace.list(f"{HOME}/a/b")] == [f"{HOME}/a/b/one.bin", f"{HOME}/a/b/two.py"]


def test_an_import_needs_its_directory_and_leave_to_overwrite(ann):
    content = base64.b64encode(b"x").decode()
    with pytest.raises(NotFound, match="parent folder"):
        ann.workspace.import_(f"{HOME}/no/x", content=content, format=ImportFormat.AUTO)
    ann.workspace.import_(f"{HOME}/x", content=content, format=ImportFormat.AUTO)
    with pytest.raises(ResourceAlreadyExists):
        ann.workspace.import_(f"{HOME}/x", content=content, format=ImportFormat.AUTO)
    ann.workspace.import_(f"{HOME}/x", content=content, format=ImportFormat.AUTO, overwrite=True)


def test_a_workspace_file_has_at_most_10_mb(ann):
    ann.workspace.upload(f"{HOME}/most", bytes(10 << 20), format=ImportFormat.AUTO)
    with pytest.raises(BadRequest, match="exceeded max size"):
        ann.workspace.upload(f"{HOME}/more", bytes((10 << 20) + 1), format=ImportFormat.AUTO)


def test_a_notebook_is_no_file_that_a_task_can_run(ann):
    ann.workspace.upload(f"{HOME}/note.py", b"# Databricks notebook source\n", format=ImportFormat.AUTO)
    ann.workspace.upload(f"{HOME}/code", b"x = 1\n", format=ImportFormat.SOURCE, language=Language.PYTHON)

    assert ann.workspace.get_status(f"{HOME}/note").object_type == ObjectType.NOTEBOOK
    run = ended(ann, submit(ann, f"/Workspace{HOME}/code"))
    assert "Cannot read the python file" in run.state.state_message


def test_a_home_is_its_owner_s_alone(ann):
    with pytest.raises(PermissionDenied):
        ann.workspace.mkdirs("/Users/bob@example.com/x")
    ann.workspace.mkdirs("/Shared/x")


def test_volumes_take_files_of_any_depth(ann):
    ann.files.upload(f"{VOLUME}/a/b.bin", io.BytesIO(b"\0\1"), overwrite=True)
    ann.files.create_directory(f"{VOLUME}/empty")

    assert ann.files.download(f"{VOLUME}/a/b.bin").contents.read() == b"\0\1"
    assert ann.files.get_metadata(f"{VOLUME}/a/b.bin").content_length == 2
    assert [each.name for each in ann.files.list_directory_contents(VOLUME)] == ["a", "empty"]
    with pytest.raises(AlreadyExists):
        ann.files.upload(f"{VOLUME}/a/b.bin", io.BytesIO(b""), overwrite=False)
    with pytest.raises(NotFound, match=r"main\.default\.other"):
        ann.files.upload("/Volumes/main/default/other/x", io.BytesIO(b""), overwrite=True)
    with pytest.raises(NotFound):
        ann.files.get_metadata(f"{VOLUME}/none")


def test_dbfs_takes_small_files_at_once_and_large_ones_in_blocks(ann):
    large = bytes(range(256)) * (3 << 12)
    with ann.dbfs.open("dbfs:/x/large", write=True, overwrite=True) as stream:
        stream.write(large)
    ann.dbfs.put("/x/small", contents=base64.b64encode(b"small").decode())

    assert ann.dbfs.get_status("/x/large").file_size == len(large)
    with ann.dbfs.open("dbfs:/x/large", read=True) as stream:
        assert b"".join(iter(lambda: stream.read(1 << 20), b"")) == large
    with pytest.raises(ResourceAlreadyExists):
        ann.dbfs.put("/x/small", contents="")
    with pytest.raises(BadRequest, match="1 MB"):
        ann.dbfs.put("/x/big", contents=base64.b64encode(bytes((1 << 20) + 1)).decode())


def test_newer_workspaces_have_no_dbfs(tmp_path):
    with DatabricksServer(tmp_path / "d", dbfs_root=False) as server:
        ann = client(server.url, token=server.token)
        with pytest.raises(PermissionDenied, match=r"Public DBFS root is disabled\. Access is denied on path"):
            ann.dbfs.put("/x", contents="")


def test_a_task_reads_every_kind_of_file_at_the_path_that_it_is_given(ann):
    ann.files.upload(f"{VOLUME}/d/v.txt", io.BytesIO(b"volume"), overwrite=True)
    ann.dbfs.put("/d/f.txt", contents=base64.b64encode(b"dbfs").decode())
    workspace = put(ann, "w.txt", "workspace")
    file = put(
        ann,
        "read.py",
        "import pathlib, sys\nprint([pathlib.Path(each).read_text() for each in sys.argv[1:4]], sys.argv[4:])\n",
    )

    run = ended(
        ann, submit(ann, file, workspace, f"{VOLUME}/d/v.txt", "/dbfs/d/f.txt", f"--x={VOLUME}/d", f"{VOLUME}/no")
    )

    assert printed(ann, run).logs == f"['workspace', 'volume', 'dbfs'] ['--x={VOLUME}/d', '{VOLUME}/no']\n"


def test_the_task_s_own_file_may_lie_anywhere(ann):
    ann.files.upload(f"{VOLUME}/hello.py", io.BytesIO(b"print('volume')"), overwrite=True)
    ann.dbfs.put("/hello.py", contents=base64.b64encode(b"print('dbfs')").decode())

    for path, said in ((f"{VOLUME}/hello.py", "volume\n"), ("dbfs:/hello.py", "dbfs\n")):
        assert printed(ann, ended(ann, submit(ann, path))).logs == said
