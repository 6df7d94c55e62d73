"""Rows of docs/compatibility.md about parameters and URIs, for whole runs."""

from __future__ import annotations

import zipfile

import pytest

from tests.cli.program import mlp, project
from tests.servers.files_http import File, files_server


@pytest.fixture
def web():
    with files_server() as server:
        yield server


@pytest.fixture
def reader(tmp_path):
    """A project that says where its data lies and what is in it."""
    return project(tmp_path / "reader", 'echo "{data}"; cat {data}', parameters={"data": "path"})


def test_a_remote_path_is_downloaded_and_gone_afterwards(web, reader, tmp_path):
    web.files["/wine/table 1.csv"] = File(b"1,2\n")
    (tmp_path / "tmp").mkdir()

    done = mlp("run", reader, "-P", f"data={web.url}/wine/table%201.csv", TMPDIR=str(tmp_path / "tmp"))

    assert done.returncode == 0, done.stderr
    where, content = done.stdout.splitlines()
    # Each parameter has a directory; the file keeps its name. The echo shows the quotes of a value with a blank.
    assert where.strip("'").endswith("/data/table 1.csv")
    assert content == "1,2"
    assert not list((tmp_path / "tmp").iterdir())


def test_downloads_stay_where_a_directory_for_them_was_named(web, reader, tmp_path):
    web.files["/table.csv"] = File(b"1,2\n")
    call = ("run", reader, "-P", f"data={web.url}/table.csv")

    runs = [mlp(*call, "--storage-dir", "kept", cwd=tmp_path), mlp(*call, MLFLOW_TMP_DIR=str(tmp_path / "kept"))]

    assert [run.returncode for run in runs] == [0, 0]
    kept = sorted((tmp_path / "kept").glob("*/data/table.csv"))
    assert sorted(run.stdout.splitlines()[0] for run in runs) == [str(path) for path in kept]
    assert len(kept) == 2


def archive(path, **files):
    with zipfile.ZipFile(path, "w") as opened:
        for name, text in files.items():
            opened.writestr(name, text)
    return path


MLPROJECT = 'entry_points: {main: {command: "pwd; cat data.txt"}}'


def test_a_zip_archive_is_a_project(web, tmp_path):
    files = {"MLproject": MLPROJECT, "data.txt": "of the archive\n"}
    here = archive(tmp_path / "wine.zip", **files)
    web.files["/wine.zip"] = File(here.read_bytes())
    inner = archive(tmp_path / "outer.zip", **{f"in.ner/{name}": text for name, text in files.items()})

    for uri in (str(here), here.as_uri(), f"{web.url}/wine.zip", f"{inner}#in.ner"):
        done = mlp("run", uri)
        directory, content = done.stdout.splitlines()
        assert content == "of the archive"
        assert not directory.startswith(str(tmp_path))


@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_a_subdirectory_may_have_a_dot_and_the_uri_quotes(tmp_path, quote):
    project(tmp_path / "my.project", "pwd")

    assert mlp("run", f"{quote}{tmp_path}#my.project{quote}").stdout == f"{tmp_path}/my.project\n"
