"""Credentials appear in no error, no log line, no argument and no file that a download leaves."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mlp.data import download
from mlp.errors import DataError
from tests.servers.dbfs import workspace
from tests.servers.files_http import File

SECRET = "s3cr3t-0123456789abcdef"


def left_behind(directory):
    return [path for path in directory.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.fixture
def failures(store, web, flaky_web, tmp_path, monkeypatch):
    """Downloads with credentials that go wrong in every way: URIs, after the environment was set for them."""
    web.files["/private"] = File(status=403)
    web.files["/cut"] = File(b"content" * 100_000)
    web.files["/redirect"] = File(status=302, location=f"http://127.0.0.1:1/x?token={SECRET}")
    flaky_web.faults.cut_after = 1000
    host, flaky = web.url.removeprefix("http://"), flaky_web.url.removeprefix("http://")
    with workspace(tmp_path / "nothing", token="other") as databricks:
        monkeypatch.setenv("DATABRICKS_HOST", databricks.url)
        monkeypatch.setenv("DATABRICKS_TOKEN", SECRET)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@{host}")
        yield [
            f"http://me:{SECRET}@{host}/private",
            f"http://{host}/private?X-Amz-Signature={SECRET}",
            f"http://me:{SECRET}@{host}/missing?sig={SECRET}",
            f"http://me:{SECRET}@{flaky}/cut?sig={SECRET}",
            f"http://{host}/redirect",
            f"http://me:{SECRET}@127.0.0.1:1/refused?sig={SECRET}",
            f"http://me:{SECRET}@[::1/malformed",
            f"http://me:{SECRET}@host:port/malformed",
            f"http://me:{SECRET}@{host}/a\nb",
            f"http://me:{SECRET}@/no-host",
            f"ftp://me:{SECRET}@127.0.0.1:1/refused",
            f"foo://me:{SECRET}@host/unknown",
            f"s3://{store.bucket}/private",
            f"s3://{store.bucket}",
            "dbfs:/FileStore/private",
            "dbfs:/Volumes/c/s/v/private",
            "mlflow-artifacts:/1/private",
            "runs:/0123/private",
            "models:/m/1",
        ]


def test_no_error_and_no_log_of_ours_holds_a_credential(failures, into, caplog):
    caplog.set_level(0, "mlp")
    for uri in failures:
        with pytest.raises(DataError) as caught:
            download(uri, into)
        shown = "".join(map(str, (caught.value, caught.value.args, caught.value.__cause__)))
        assert SECRET not in shown, uri.replace(SECRET, "***")
        assert caught.value.__suppress_context__ or caught.value.__context__ is None, uri.replace(SECRET, "***")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("mlp")]
    assert [line for line in ours if SECRET in line] == []


def test_no_file_and_no_traceback_holds_a_credential(web, into, tmp_path):
    web.files["/a"] = File(b"content", password=f"me:{SECRET}")
    download(f"http://me:{SECRET}@{web.url.removeprefix('http://')}/a", into)
    assert left_behind(tmp_path) == []

    # The whole traceback, as an uncaught error shows it.
    program = "import os, pathlib, mlp.data; mlp.data.download(os.environ['URI'], pathlib.Path('into'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "URI": f"http://me:{SECRET}!@{web.url.removeprefix('http://')}/a?sig={SECRET}"},
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "DataAccessDenied" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert left_behind(tmp_path) == []
