"""A commit as one file: all of it, and nothing of Git's; and a program that is ended when it takes too much."""

from __future__ import annotations

import os
import sys

import pytest

from mlp.errors import SourceInvalid, SourceUnavailable
from mlp.source import bundle, program
from mlp.source.unpacking import Bounds


def checkout(tmp_path, **files):
    directory = tmp_path / "checkout"
    for path, text in {".git/config": "[core]", "modules/inner/.git": "gitdir: elsewhere", **files}.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    return directory


def test_ignore_files_drop_nothing_that_was_checked_out_and_nothing_of_gits_is_packed(tmp_path):
    directory = checkout(
        tmp_path,
        **{
            ".gitignore": "data/\n",
            ".mlpignore": "*.csv\n",
            "data/a.csv": "1",
            "mlruns/0/meta.yaml": "",
            "modules/inner/b.py": "",
        },
    )
    packed = bundle.pack_checkout(directory)
    assert packed.paths == (".gitignore", ".mlpignore", "data/a.csv", "mlruns/0/meta.yaml", "modules/inner/b.py")
    bundle.unpack(_kept(tmp_path, packed), tmp_path / "out", sha256=packed.sha256)
    assert (tmp_path / "out" / "data" / "a.csv").read_text() == "1"


def test_a_link_that_leads_out_is_named_with_the_way_out_that_a_commit_has(tmp_path):
    directory = checkout(tmp_path, **{"a.py": ""})
    (directory / "secrets").symlink_to("/etc/passwd")
    with pytest.raises(SourceInvalid, match=r"secrets is a symbolic link .* or remove it from the repository"):
        bundle.pack_checkout(directory)


def test_a_commit_that_is_too_large_is_refused_with_the_advice_given(tmp_path, monkeypatch):
    directory = checkout(tmp_path, **{"large.bin": "x"})
    (directory / "large.bin").write_bytes(os.urandom(50_000))
    with pytest.raises(SourceInvalid, match=r"more than 1.0 kB when packed.*large.bin.*Do otherwise\.$"):
        bundle.pack_checkout(directory, limit=1000, advice="Do otherwise.")
    monkeypatch.setattr("mlp.source.bundle.packing.BOUNDS", Bounds(packed=100_000, unpacked=100_000, members=0))
    with pytest.raises(SourceInvalid, match=r"holds 1 files, and 0 may be packed\. Do otherwise"):
        bundle.pack_checkout(directory, advice="Do otherwise.")


def test_what_a_check_raises_ends_the_program_and_what_it_started():
    def check():
        raise SourceUnavailable("enough")

    with pytest.raises(SourceUnavailable, match="enough"):
        program.run(
            [sys.executable, "-c", "import time; time.sleep(3600)"],
            environment=dict(os.environ),
            deadline=program.Deadline.after(120),
            check=check,
        )


def test_a_program_that_is_checked_gets_its_input_once_and_loses_no_output():
    looked = []
    echo = "import sys, time; time.sleep(0.6); sys.stdout.write(sys.stdin.read() * 2)"
    outcome = program.run(
        [sys.executable, "-c", echo],
        environment=dict(os.environ),
        deadline=program.Deadline.after(120),
        stdin=b"abc" * 50_000,
        check=lambda: looked.append(1),
    )
    assert outcome.status == 0
    assert outcome.stdout == b"abc" * 100_000
    assert looked


def _kept(tmp_path, packed):
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(packed.content)
    return path
