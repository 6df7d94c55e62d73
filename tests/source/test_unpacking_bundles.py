"""Bundles that somebody else has made: what is believed of them, and what is not."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from mlp.errors import SourceInvalid, SourceNotFound, SourceUnavailable, UsageError
from mlp.source import Bounds
from mlp.source.bundle import pack, snapshot, unpack
from tests.source.repositories import files_below

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Entry = tuple[str, bytes | str | tarfile.TarInfo]


def link(target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def of_kind(kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type = kind
    return info


def tar(*entries: Entry, form: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive of files (their contents) and of whatever else tar can hold."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", format=form) as archive:
        for name, what in entries:
            if isinstance(what, tarfile.TarInfo):
                what.name = name
                archive.addfile(what)
            else:
                content = what.encode() if isinstance(what, str) else what
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def look(content: bytes, subdirectory: str = "", **options):
    return snapshot(content, subdirectory, sha256=digest(content), wanted=lambda name: name == "MLproject", **options)


def bring(content: bytes, tmp_path: Path, **options) -> Path:
    archive = tmp_path / "bundle.tar.gz"
    archive.write_bytes(content)
    unpack(archive, tmp_path / "into", sha256=digest(content), **options)
    return tmp_path / "into"


def test_archives_of_other_programs_are_unpacked(tmp_path):
    content = tar(
        ("./", of_kind(tarfile.DIRTYPE)), ("./MLproject", "name: wine"), ("./a//b.py", "b"), ("./c", link("a"))
    )

    into = bring(content, tmp_path)

    assert files_below(into) == {"MLproject", "a/b.py", "c"}
    assert (into / "c/b.py").read_text() == "b"
    assert look(content).paths == {"MLproject", "a/b.py", "c"}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("/etc/passwd", "x")], "leads out of it: '/etc/passwd'"),
        ([("../x", "x")], "leads out of it: '../x'"),
        ([("a/../../x", "x")], "leads out of it"),
        ([("a", link("/etc"))], "a link that leads out of it, or in a circle: 'a'"),
        ([("a/b", link("../../x"))], "a link that leads out"),
        ([("a", link("b")), ("b", link("a"))], "a link that leads out of it, or in a circle"),
        ([("up", link("sub/deep/../../..")), ("sub/deep/x", "")], "a link that leads out"),
        ([("here", link(".")), ("out", link("here/../x"))], "a link that leads out"),
        ([("a", link("sub")), ("a/x", "x")], "both a file and a directory called 'a'"),
        ([("a", "x"), ("a/x", "x")], "both a file and a directory called 'a'"),
        ([("a", "x"), ("./a", "y")], "two members called 'a'"),
        ([("a", "x"), ("b", link("a", tarfile.LNKTYPE))], "neither a file, a directory nor a symbolic link: 'b'"),
        ([("a", of_kind(tarfile.FIFOTYPE))], "neither a file"),
        ([("a", of_kind(tarfile.CHRTYPE))], "neither a file"),
        ([("a", link("x" * 5000))], "a link without a target that could be one"),
        ([("./", "x")], "a file without a name"),
        ([("a/" * 2100 + "x", "x")], "a name of more than 4,096 bytes: 'a/a/"),
    ],
)
def test_what_could_do_harm_is_refused_and_nothing_is_left(tmp_path, entries, message):
    content = tar(("first", "x"), *entries)

    with pytest.raises(SourceInvalid, match=message):
        bring(content, tmp_path)
    assert not list((tmp_path / "into").glob("*"))
    with pytest.raises(SourceInvalid, match=message):
        look(content)


def test_an_archive_of_another_digest_is_refused_before_it_is_opened(tmp_path):
    (tmp_path / "bundle").write_bytes(b"anything")

    with pytest.raises(SourceInvalid, match="not the one that was submitted"):
        unpack(tmp_path / "bundle", tmp_path / "into", sha256="0" * 64)
    with pytest.raises(SourceInvalid, match="not the one that was submitted"):
        snapshot(b"anything", sha256="0" * 64, wanted=bool)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        gzip.compress(b"text" * 500),
        tar(("a", os.urandom(5000)))[:-2000],
        b"PK\x03\x04",
        gzip.compress(b""),
    ],
    ids=["nothing", "text", "compressed text", "half", "zip", "compressed nothing"],
)
def test_a_damaged_archive_is_refused(tmp_path, content):
    with pytest.raises(SourceInvalid, match="is damaged, or no tar archive"):
        bring(content, tmp_path)
    with pytest.raises(SourceInvalid, match="is damaged, or no tar archive"):
        look(content)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (Bounds(packed=100), "100 are allowed"),
        (Bounds(unpacked=200_000), "more than 200,000 bytes"),
        (Bounds(members=2), "more than 2 members"),
    ],
)
def test_an_archive_over_its_bounds_is_refused(tmp_path, bounds, message):
    content = tar(("a", bytes(100_000)), ("b", bytes(100_000)), ("c", bytes(100_000)))

    with pytest.raises(SourceInvalid, match=message):
        bring(content, tmp_path, bounds=bounds)
    with pytest.raises(SourceInvalid, match=message):
        look(content, bounds=bounds)


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 300 << 20
    header = info.tobuf(tarfile.GNU_FORMAT)
    content = gzip.compress(header + bytes(1 << 20), 1)

    with pytest.raises(SourceInvalid, match="a header of more than 1,048,576 bytes"):
        bring(content, tmp_path)


def header_of(fields: Iterable[tuple[str, str]], kind: bytes = tarfile.XHDTYPE) -> bytes:
    """A header of PAX before a member, or of kind XGLTYPE before all that follow."""
    content = b""
    for key, value in fields:
        rest = f" {key}={value}\n".encode()
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length = len(str(length)) + len(rest)
        content += str(length).encode() + rest
    return blocks(content, kind)


def blocks(content: bytes, kind: bytes) -> bytes:
    info = tarfile.TarInfo("header")
    info.type, info.size = kind, len(content)
    return tar_block(info) + content + bytes(-len(content) % 512)


SPARSE = (("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "a"), ("GNU.sparse.realsize", "1"))


@pytest.mark.parametrize(
    ("before", "message"),
    [
        # tar copies them for each member, of which there can be thousands.
        (lambda: header_of([(f"k{number}", "") for number in range(101)], tarfile.XGLTYPE), "more than 100 fields"),
        (lambda: header_of([("comment", "x" * 600_000)]) * 2, "a header of more than 1,048,576 bytes"),
        # Every number of a sparse file's map takes many times its two bytes.
        (
            lambda: header_of(SPARSE) + blocks(b"9999999\n" + b"1\n" * (1 << 20), tarfile.REGTYPE),
            "a header of more than",
        ),
        # tar goes down one level for each.
        (lambda: header_of([("a", "")]) * 2000, "is damaged|a header of more"),
    ],
    ids=["global", "large", "sparse", "many"],
)
def test_headers_that_would_become_large_in_memory_are_refused(tmp_path, before, message):
    content = gzip.compress(before() + tar_block(tarfile.TarInfo("a")) + bytes(1024), 1)

    with pytest.raises(SourceInvalid, match=message):
        look(content)
    with pytest.raises(SourceInvalid, match=message):
        bring(content, tmp_path)


def test_names_that_would_become_many_more_in_memory_are_refused(tmp_path):
    """A file 2,000 directories deep has four megabytes of names above it, and compresses to nothing."""
    deep = [(f"{number}/{'a/' * 2000}x", "") for number in range(5)]

    assert len(look(tar(*deep[:1])).paths) == 1
    with pytest.raises(SourceInvalid, match="has names of more than 16,777,216 bytes in all"):
        look(tar(*deep))
    with pytest.raises(SourceInvalid, match="has names of more than 16,777,216 bytes in all"):
        bring(tar(*deep), tmp_path)


def test_the_header_by_which_git_names_a_commit_is_no_harm(tmp_path):
    content = header_of([("comment", "0" * 40)], tarfile.XGLTYPE) + tar_block(tarfile.TarInfo("a")) + bytes(1024)

    assert files_below(bring(gzip.compress(content, 1), tmp_path)) == {"a"}


def test_a_size_below_zero_is_refused(tmp_path):
    info = tarfile.TarInfo("a")
    info.size = -512
    content = gzip.compress(tar_block(info) + bytes(1024))

    with pytest.raises(SourceInvalid):
        bring(content, tmp_path)


def tar_block(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT)


def test_a_directory_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "into").mkdir()
    (tmp_path / "into/mine").write_text("x")

    with pytest.raises(UsageError, match="is not empty"):
        bring(tar(("a", "x")), tmp_path)

    assert files_below(tmp_path / "into") == {"mine"}


def test_a_name_that_no_disk_can_hold_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(SourceInvalid, match="cannot be written here"):
        bring(tar(("a", "x"), ("n" * 300, "x")), tmp_path)

    assert not (tmp_path / "into").exists()


def test_an_archive_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(SourceUnavailable, match="No such file"):
        unpack(tmp_path / "missing", tmp_path / "into", sha256="0" * 64)


def test_modes_follow_the_umask(tmp_path):
    executable = tarfile.TarInfo()
    executable.mode = 0o6777
    before = os.umask(0o002)
    try:
        into = bring(tar(("plain", "x"), ("sub/run.sh", executable)), tmp_path)
    finally:
        os.umask(before)

    modes = {path.name: path.stat().st_mode & 0o7777 for path in into.rglob("*")}
    assert modes == {"plain": 0o664, "sub": 0o775, "run.sh": 0o775}


# Looking inside


def test_a_snapshot_has_every_path_and_the_wanted_texts(tmp_path):
    for name, text in {
        "MLproject": "name: wine",
        "conda.yaml": "x",
        "sub/MLproject": "name: sub",
        "sub/a.py": "",
    }.items():
        (tmp_path / "wine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "wine" / name).write_text(text)
    content = pack(tmp_path / "wine").content

    whole, part = look(content, name="wine"), look(content, "sub")

    assert (whole.name, part.name) == ("wine", "sub")
    assert sorted(whole.root()) == ["MLproject", "conda.yaml"]
    assert whole.text("MLproject") == "name: wine"
    assert part.text("MLproject") == "name: sub"
    assert part.has("a.py")
    assert not part.has("conda.yaml")
    with pytest.raises(KeyError):
        whole.text("conda.yaml")


def test_links_are_followed_to_a_text_and_to_a_directory():
    content = tar(
        ("real/MLproject.yaml", "name: wine"), ("real/MLproject", link("MLproject.yaml")), ("link", link("real"))
    )

    assert look(content, "link").text("MLproject") == "name: wine"
    assert look(tar(("MLproject", link("missing")))).contents == {}


def test_a_subdirectory_that_is_not_there_is_not_found():
    content = tar(("a/b", "x"))

    with pytest.raises(SourceNotFound, match="Could not find subdirectory c"):
        look(content, "c")
    with pytest.raises(SourceNotFound, match=r"a/b of the project's archive \(it is a file\)"):
        look(content, "a/b")


def test_a_wanted_text_that_is_too_large_is_refused():
    with pytest.raises(SourceInvalid, match="MLproject of the project's archive is larger than 1 MiB"):
        look(tar(("MLproject", bytes((1 << 20) + 1))))
