"""What of a directory is packed, and that the same tree is the same bytes."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from mlp.errors import SourceInvalid, SourceUnavailable, UsageError
from mlp.source.bundle import pack, unpack
from mlp.source.bundle.listing import list_tree
from tests.source.repositories import create, files_below, noise


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def packed(directory: Path, tmp_path: Path) -> Path:
    """The tree as it arrives."""
    bundle = pack(directory)
    archive = tmp_path / f"{bundle.sha256}.tar.gz"
    archive.write_bytes(bundle.content)
    into = tmp_path / f"unpacked-{bundle.sha256}"
    assert unpack(archive, into, sha256=bundle.sha256) == bundle.files
    assert files_below(into) == set(bundle.paths)
    return into


# In a repository


def test_a_working_tree_is_packed_as_it_lies_on_the_disk(tmp_path):
    repository = create(tmp_path / "wine")
    repository.commit({"MLproject": "name: wine", "train.py": "old", "removed.py": "", ".gitignore": "*.log\n.env\n"})
    write(repository.path, {"train.py": "new", "added.py": "added", "run.log": "noise", ".env": "PASSWORD=x"})
    (repository.path / "removed.py").unlink()

    into = packed(repository.path, tmp_path)

    assert files_below(into) == {"MLproject", "train.py", "added.py", ".gitignore"}
    assert (into / "train.py").read_text() == "new"


def test_what_git_tracks_is_packed_though_it_would_be_ignored(tmp_path):
    repository = create(tmp_path / "wine")
    write(repository.path, {".gitignore": "*.csv", "small.csv": "1"})
    repository.git("add", "--force", ".")
    write(repository.path, {"large.csv": "2"})

    assert pack(repository.path).paths == (".gitignore", "small.csv")


def test_a_subdirectory_of_a_repository_is_packed_alone_and_its_ignores_still_count(tmp_path):
    repository = create(tmp_path / "examples")
    repository.commit({".gitignore": "*.log", "wine/MLproject": "", "wine/sub/a.py": "", "other/b.py": ""})
    write(repository.path, {"wine/x.log": "", "wine/new.py": "", "other/new.py": ""})

    assert pack(repository.path / "wine").paths == ("MLproject", "new.py", "sub/a.py")


def test_a_directory_that_its_repository_ignores_is_packed_as_if_it_were_in_none(tmp_path):
    home = create(tmp_path / "home")
    home.commit({".gitignore": "*"})
    write(home.path, {"work/wine/MLproject": "", "work/wine/train.py": ""})

    assert pack(home.path / "work/wine").paths == ("MLproject", "train.py")


def test_submodules_and_repositories_inside_are_packed_with_their_own_ignores(tmp_path):
    library = create(tmp_path / "library")
    library.commit({"library.py": "1", ".gitignore": "*.tmp"})
    repository = create(tmp_path / "wine")
    repository.commit({"train.py": ""})
    repository.add_submodule(library.uri, "vendored/library")
    nested = create(repository.path / "nested")
    nested.commit({"nested.py": "", ".gitignore": "secret"})
    write(repository.path, {"vendored/library/x.tmp": "", "vendored/library/new.py": "", "nested/secret": ""})

    assert pack(repository.path).paths == (
        ".gitmodules",
        "nested/.gitignore",
        "nested/nested.py",
        "train.py",
        "vendored/library/.gitignore",
        "vendored/library/library.py",
        "vendored/library/new.py",
    )


def test_a_submodule_that_was_never_brought_is_left_out(tmp_path):
    library = create(tmp_path / "library")
    library.commit({"library.py": "1"})
    repository = create(tmp_path / "wine")
    repository.commit({"train.py": ""})
    repository.add_submodule(library.uri, "library")
    subprocess.run(["git", "clone", "-q", repository.uri, str(tmp_path / "clone")], check=True)

    assert pack(tmp_path / "clone").paths == (".gitmodules", "train.py")


def test_a_tracked_directory_that_became_a_link_is_packed_as_the_link(tmp_path):
    repository = create(tmp_path / "wine")
    repository.commit({"data/a.csv": "1", "real/a.csv": "2"})
    (repository.path / "data/a.csv").unlink()
    (repository.path / "data").rmdir()
    (repository.path / "data").symlink_to("real")

    into = packed(repository.path, tmp_path)

    assert (into / "data").is_symlink()
    assert (into / "data/a.csv").read_text() == "2"


def test_a_repository_that_git_will_not_read_is_refused_and_not_packed_whole(tmp_path):
    write(tmp_path / "wine", {"MLproject": "", ".env": "PASSWORD=x", ".git": "gitdir: /nonexistent/place\n"})

    with pytest.raises(SourceInvalid, match="not a git repository: /nonexistent/place"):
        pack(tmp_path / "wine")


def test_without_git_a_repository_is_refused(tmp_path, monkeypatch):
    repository = create(tmp_path / "wine")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UsageError, match="no program 'git'"):
        pack(repository.path)


# Elsewhere


def test_elsewhere_every_file_is_packed_but_what_programs_leave_behind(tmp_path):
    project = write(
        tmp_path / "wine",
        {
            "MLproject": "",
            "src/train.py": "",
            ".hidden/x": "",
            "data/table.csv": "",
            "src/__pycache__/train.pyc": "",
            ".ipynb_checkpoints/a.ipynb": "",
            "mlruns/0/meta.yaml": "",
            ".venv/bin/python": "",
            "env/pyvenv.cfg": "",
            "env/lib/x.py": "",
            "conda/conda-meta/history": "",
            ".DS_Store": "",
            "mlflow.db": "",
            "node_modules/x/index.js": "",
        },
    )

    assert pack(project).paths == (".hidden/x", "MLproject", "data/table.csv", "src/train.py")


def test_a_repository_inside_an_ordinary_directory_keeps_its_ignores(tmp_path):
    write(tmp_path / "all", {"MLproject": ""})
    repository = create(tmp_path / "all/wine")
    repository.commit({".gitignore": ".env", "train.py": ""})
    write(repository.path, {".env": "PASSWORD=x"})

    assert pack(tmp_path / "all").paths == ("MLproject", "wine/.gitignore", "wine/train.py")


def test_what_programs_leave_behind_in_a_working_tree_is_left_out_unless_git_tracks_it(tmp_path):
    repository = create(tmp_path / "wine")
    repository.commit({"mlruns/kept": "", "train.py": ""})
    write(
        repository.path, {"mlruns/0/meta.yaml": "", "__pycache__/train.pyc": "", "env/pyvenv.cfg": "", "env/x.py": ""}
    )

    assert pack(repository.path).paths == ("mlruns/kept", "train.py")


# .mlpignore


@pytest.mark.parametrize("in_git", [True, False], ids=["in a repository", "elsewhere"])
def test_mlpignore_is_written_as_a_gitignore_and_goes_before_what_git_tracks(tmp_path, in_git):
    files = {
        ".mlpignore": "# large\n*.csv\n!small.csv\n/only-here\ndocs/\n",
        "a.csv": "",
        "small.csv": "",
        "sub/b.csv": "",
        "only-here": "",
        "sub/only-here": "",
        "docs/deep/a.md": "",
        "sub/docs/b.md": "",
        "sub/.mlpignore": "*.txt\n",
        "sub/c.txt": "",
        "d.txt": "",
    }
    project = write(tmp_path / "wine", files)
    if in_git:
        create(tmp_path / "repository").path.rename(tmp_path / "empty")
        (tmp_path / "empty/.git").rename(project / ".git")
        subprocess.run(["git", "add", "--all"], cwd=project, check=True)

    assert pack(project).paths == (".mlpignore", "d.txt", "small.csv", "sub/.mlpignore", "sub/only-here")


def test_mlpignore_of_a_subdirectory_is_relative_to_it_whatever_repository_is_around(tmp_path):
    repository = create(tmp_path / "all")
    repository.commit({"wine/.mlpignore": "/data", "wine/data/a": "", "wine/sub/data/b": "", "wine/MLproject": ""})

    assert pack(repository.path / "wine").paths == (".mlpignore", "MLproject", "sub/data/b")


def test_a_gitignore_says_nothing_about_what_git_does_not_look_at(tmp_path):
    project = write(tmp_path / "wine", {".gitignore": "*.csv", ".mlpignore": "*.log", "a.csv": "", "b.log": ""})

    assert pack(project).paths == (".gitignore", ".mlpignore", "a.csv")


# The same bytes


def test_the_same_tree_is_the_same_bytes(tmp_path):
    names = ["b.py", "a.py", "sub/z", "sub.txt", "sub/ä", "Z"]
    write(tmp_path / "one", {name: name * 1000 for name in names})
    write(tmp_path / "two", {name: name * 1000 for name in reversed(names)})
    for path in (tmp_path / "two").rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o770 if path.is_dir() else 0o600)
    program = "import sys, pathlib; from mlp.source.bundle import pack; print(pack(pathlib.Path(sys.argv[1])).sha256)"
    elsewhere = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", program, str(tmp_path / "two")],
        env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
        umask=0o077,
    )

    bundle = pack(tmp_path / "one")

    assert pack(tmp_path / "two") == bundle
    assert elsewhere.stdout.strip() == bundle.sha256


def test_another_content_name_or_mode_is_another_bundle(tmp_path):
    project = write(tmp_path / "wine", {"a.sh": "1"})
    seen = {pack(project).sha256}
    (project / "a.sh").chmod(0o755)
    seen.add(pack(project).sha256)
    (project / "a.sh").write_text("2")
    seen.add(pack(project).sha256)
    (project / "a.sh").rename(project / "b.sh")
    seen.add(pack(project).sha256)

    assert len(seen) == 4


def test_contents_modes_links_and_strange_names_arrive(tmp_path):
    long = "/".join(["n" * 200] * 3)
    project = write(
        tmp_path / "wine",
        {"run.sh": "#!/bin/sh", "plain": b"\0\xff", "empty": "", long: "long", "with space\n": "", "--x": "y"},
    )
    (project / "run.sh").chmod(0o700)
    odd = os.fsencode(project) + b"/latin-\xe9"
    os.close(os.open(odd, os.O_WRONLY | os.O_CREAT))
    (project / "link").symlink_to("./run.sh")
    (project / "dangling").symlink_to("not/there")
    (project / "directory").symlink_to("n" * 200)

    into = packed(project, tmp_path)

    assert (into / "plain").read_bytes() == b"\0\xff"
    assert (into / long).read_text() == "long"
    assert os.access(into / "run.sh", os.X_OK)
    assert not (into / "plain").stat().st_mode & 0o111
    assert os.readlink(into / "link") == "./run.sh"  # noqa: PTH115 -- pathlib's own would tidy it up
    assert os.fsdecode(b"latin-\xe9") in files_below(into)


def test_an_empty_directory_is_an_empty_bundle(tmp_path):
    (tmp_path / "empty").mkdir()

    bundle = pack(tmp_path / "empty")

    assert (bundle.files, bundle.size) == (0, 0)


# What is refused


@pytest.mark.parametrize(
    "target", ["/etc/hostname", "../outside", "sub/../../outside", "itself", "sub/up/../../outside"]
)
def test_a_link_that_leads_out_of_the_tree_or_nowhere_is_named(tmp_path, target):
    project = write(tmp_path / "wine", {"MLproject": "", "sub/a": ""})
    (project / "sub/up").symlink_to("..")
    (project / "itself").symlink_to(target)

    with pytest.raises(SourceInvalid, match=r"itself is a symbolic link that leads out.*\.mlpignore"):
        pack(project)

    write(project, {".mlpignore": "itself"})
    assert pack(project).files == 4


def test_a_file_that_is_none_is_named(tmp_path):
    project = write(tmp_path / "wine", {"MLproject": ""})
    os.mkfifo(project / "queue")
    with pytest.raises(SourceInvalid, match="queue is neither a file"):
        pack(project)
    (project / "queue").unlink()

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(project / "socket"))
        with pytest.raises(SourceInvalid, match="socket is neither a file"):
            pack(project)


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path):
    project = write(tmp_path / "wine", {"MLproject": "", "train.log": bytes(64 << 20)})
    stop = threading.Event()
    until = time.monotonic() + 60

    def go_on_writing() -> None:
        with (project / "train.log").open("ab") as log:
            while not stop.is_set():
                log.write(b"epoch\n")
                log.flush()

    writer = threading.Thread(target=go_on_writing)
    writer.start()
    try:
        message = ""
        while not message and time.monotonic() < until:  # the writer may sleep for as long as one reading takes
            try:
                pack(project)
            except SourceUnavailable as error:
                message = str(error)
    finally:
        stop.set()
        writer.join()
    assert "train.log changed while it was packed" in message


def test_a_tree_over_the_limit_is_refused_with_its_largest_files_and_the_way_out(tmp_path):
    project = write(
        tmp_path / "wine",
        {"MLproject": "", "data/large.bin": noise(300_000, 1), "weights.bin": noise(50_000, 2), "a.py": "x"},
    )

    with pytest.raises(SourceInvalid) as caught:
        pack(project, limit=200_000, advice="Or stage it.")

    assert "4 files of 350.0 kB, more than 200.0 kB when packed" in str(caught.value)
    assert "The largest: data/large.bin (300.0 kB), weights.bin (50.0 kB). " in str(caught.value)
    assert ".mlpignore" in str(caught.value)
    assert str(caught.value).endswith("Or stage it.")


def test_ignored_files_do_not_count(tmp_path):
    project = write(tmp_path / "wine", {".mlpignore": "data/", "MLproject": "", "data/a": "", "data/b": ""})

    assert list_tree(project, most=2) == [".mlpignore", "MLproject"]
    with pytest.raises(SourceInvalid, match="more than 1 files"):
        list_tree(project, most=1)


@contextlib.contextmanager
def without_roots_rights():
    """As a user who may not read everything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_directory_that_cannot_be_read_is_named_unless_it_is_ignored():
    with tempfile.TemporaryDirectory() as directory:
        project = write(Path(directory), {"MLproject": "", "database/files/x": "", "secret.key": ""})
        project.chmod(0o755)
        (project / "database/files").chmod(0)
        (project / "secret.key").chmod(0)
        (project / "names").mkdir()
        (project / "names/only").write_text("")
        (project / "names").chmod(0o444)
        with without_roots_rights(), pytest.raises(SourceInvalid, match="database/files cannot be read: Permission"):
            pack(project)
        (project / ".mlpignore").write_text("files/\n")
        with (
            without_roots_rights(),
            pytest.raises(SourceInvalid, match=r"(secret\.key|names/only) cannot be read: Permission"),
        ):
            pack(project)
        (project / ".mlpignore").write_text("files/\n*.key\n")
        with without_roots_rights(), pytest.raises(SourceInvalid, match="names/only cannot be read: Permission"):
            pack(project)
        (project / ".mlpignore").write_text("files/\n*.key\nnames/\n")
        with without_roots_rights():
            assert pack(project).paths == (".mlpignore", "MLproject")
        (project / "database/files").chmod(0o700)
        (project / "names").chmod(0o700)


def test_a_tree_that_is_no_projects_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "wine").mkdir()
    with (tmp_path / "wine/hole").open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(SourceInvalid, match=r"hole \(1.1 TB\)"):
        pack(tmp_path / "wine")
