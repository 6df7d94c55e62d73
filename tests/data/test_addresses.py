from __future__ import annotations

from pathlib import Path

import pytest

from mlp.data import destination, is_remote
from mlp.data.address import parse
from mlp.errors import DataInvalid

INTO = Path("/into")


@pytest.mark.parametrize(
    "value",
    [
        "s3://bucket/key", "S3://bucket/key", "dbfs:/a", "dbfs://a", "http://host/a", "https://host/a",
        "runs:/0a/model", "mlflow-artifacts:/0/a", "mlflow-artifacts://host/a", "models:/m/1", "gs://b/a",
        "abfss://c@account/a", "foo://anything", "s3:/b/a",
    ],
)  # fmt: skip
def test_what_has_to_be_brought_is_remote(value):
    assert is_remote(value)


@pytest.mark.parametrize(
    "value",
    ["data.csv", "/data/a.csv", "file:///data/a.csv", "file:/a", "C:/data", "c:\\data", "a:b", "12:/x", "", "s3"],
)
def test_what_lies_on_this_machine_is_not_remote(value):
    assert not is_remote(value)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://bucket/a/b.csv", "b.csv"),
        ("s3://bucket/a/b/", "b"),
        ("s3://bucket", "bucket"),
        ("s3://bucket/a%20b+c?d#e", "a%20b+c?d#e"),
        ("s3://bucket/ü.csv", "ü.csv"),
        ("https://host/a%20b.csv?version=1&x=/y#z", "a b.csv"),
        ("https://user:password@host:8080/d/e.csv", "e.csv"),
        ("dbfs:/Volumes/c/s/v/f.csv", "f.csv"),
        ("runs:/0123/model/MLmodel", "MLmodel"),
        ("runs:/0123", "0123"),
        ("mlflow-artifacts:/1/2/artifacts", "artifacts"),
        ("gs://bucket/x/y", "y"),
        ("abfss://container@account.dfs.core.windows.net/x/y", "y"),
        ("file:///data/a%20b", "a b"),
        ("models:/name/3", "3"),
    ],
)  # fmt: skip
def test_a_download_goes_where_its_last_name_says(uri, name):
    assert destination(uri, INTO) == INTO / name


@pytest.mark.parametrize(
    "uri",
    [
        "https://host", "https://host/", "https://host/a/..", "s3://bucket/a/..", "s3://bucket/.", "http:/host/a",
        "https://host/..%2F", "https://host/a%00b", "https://host/a%2F..%2Fb%2F..", "s3://b/" + "n" * 256,
        "s3://b/" + "ü" * 128, "https://host:port/a", "https:///a", "s3://b/a\nb", "not a uri", "",
    ],
)  # fmt: skip
def test_a_uri_without_a_name_that_a_file_can_have_is_refused(uri):
    with pytest.raises(DataInvalid):
        destination(uri, INTO)


def test_a_download_never_goes_above_its_directory():
    assert destination("https://host/..%2F..%2Fetc%2Fpasswd", INTO).parent == INTO


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://me:secret@host/a.csv?sig=secret#secret", "https://host/a.csv"),
        ("https://secret@host/a.csv", "https://host/a.csv"),
        ("ftp://me:secret@host/a.csv", "ftp://***@host/a.csv"),
        ("abfss://container@account/a", "abfss://container@account/a"),
        ("s3://bucket/a?b", "s3://bucket/a?b"),
    ],
)
def test_what_is_shown_of_a_uri_holds_no_secret(uri, shown):
    assert parse(uri).shown == shown
