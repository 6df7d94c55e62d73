"""Schemes that fsspec brings, and those that nobody knows."""

from __future__ import annotations

import errno
import sys

import fsspec
import pytest

from mlp.data import download
from mlp.data.registry import PACKAGES, SCHEMES
from mlp.errors import DataAccessDenied, DataInvalid, DataNotFound, DataUnavailable
from tests.data.names import everything, tree

FILES = {"a": b"a" * 3_000_000, "sub/b c+%20": b"b", "sub/empty": b""}


@pytest.fixture
def memory():
    """fsspec's file system in memory, which stands for those of stores."""
    files = fsspec.filesystem("memory")
    for path, content in FILES.items():
        files.pipe(f"/base/d/{path}", content)
    yield files
    files.rm("/base", recursive=True)


@pytest.mark.usefixtures("memory")
def test_files_and_directories_come_through_fsspec(into):
    assert tree(download("memory://base/d", into)) == FILES
    assert download("memory://base/d/sub/b c+%20", into).read_bytes() == b"b"
    with pytest.raises(DataNotFound, match="memory://base/missing"):
        download("memory://base/missing", into)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), DataAccessDenied),
        (TimeoutError(), DataUnavailable),
        (RuntimeError("signature=s3cret"), DataUnavailable),
    ],
)
def test_errors_of_fsspec_s_packages_are_told_without_what_they_say(memory, into, monkeypatch, error, kind):
    def refuse(*_args, **_options):
        raise error

    monkeypatch.setattr(type(memory), "_open", refuse)

    with pytest.raises(kind, match="memory://base/d/a") as caught:
        download("memory://base/d/a", into)
    assert "s3cret" not in str(caught.value)
    assert everything(into) == []


def test_a_package_that_is_not_installed_is_named(into):
    with pytest.raises(DataInvalid, match="pip install fsspec gcsfs"):
        download("gs://bucket/a", into)
    with pytest.raises(DataInvalid, match="pip install fsspec adlfs"):
        download("abfss://container@account.dfs.core.windows.net/a", into)


def test_without_fsspec_it_is_named_as_well(into, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "fsspec"]:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(DataInvalid, match="pip install fsspec adlfs"):
        download("abfss://container@account/a", into)
    with pytest.raises(DataInvalid, match=r"Nothing can be downloaded from foo://.*\bgs\b"):
        download("foo://bar/a", into)


def test_a_scheme_that_nobody_knows_is_refused_with_those_that_there_are(into):
    with pytest.raises(DataInvalid, match=r"Nothing can be downloaded from foo://. The schemes are .*\bs3\b"):
        download("foo://bar/a", into)


def test_every_scheme_of_the_table_is_one_that_fsspec_knows():
    # The first comes with adlfs itself, the others are its older names.
    assert set(PACKAGES) - set(fsspec.available_protocols()) == {"abfss", "wasb", "wasbs"}
    assert not set(PACKAGES) & set(SCHEMES)
