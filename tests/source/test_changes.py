"""Whether what was sent is what a commit holds."""

from __future__ import annotations

import pytest

from mlp.source import locate
from mlp.source.bundle import pack
from mlp.source.changes import sent_from
from tests.source.repositories import create


def state_of(path, *, within=""):
    directory = path / within
    return sent_from(locate(str(directory), local=True), pack(directory).paths)


@pytest.fixture
def repository(tmp_path):
    repository = create(tmp_path / "wine")
    files = {".gitignore": "*.log", ".mlpignore": "notes.md", "notes.md": "1", "sub/a.py": "1", "b.py": "1"}
    repository.commit(files)
    repository.git("remote", "add", "origin", "https://ann:hunter2@git.example.com/wine.git")
    return repository


def test_an_untouched_tree_is_its_commit(repository):
    state = state_of(repository.path)

    assert state.commit == repository.git("rev-parse", "HEAD")
    assert (state.repository, state.branch, state.dirty) == ("https://git.example.com/wine.git", "main", False)


def test_a_detached_head_has_no_branch(repository):
    repository.git("checkout", "--quiet", "--detach")

    assert state_of(repository.path).branch is None


@pytest.mark.parametrize(
    ("path", "content", "dirty"),
    [
        ("b.py", "2", True),
        ("b.py", None, True),
        ("new.py", "1", True),
        ("run.log", "1", False),
        ("notes.md", "2", False),
        ("__pycache__/b.pyc", "1", False),
    ],
    ids=["changed", "removed", "new", "ignored", "changed and not sent", "left behind"],
)
def test_what_is_sent_decides_whether_it_is_dirty(repository, path, content, dirty):
    file = repository.path / path
    file.parent.mkdir(exist_ok=True)
    file.unlink() if content is None else file.write_text(content)

    assert state_of(repository.path).dirty is dirty


def test_a_change_that_is_only_staged_counts(repository):
    (repository.path / "b.py").write_text("2")
    repository.git("add", "b.py")

    assert state_of(repository.path).dirty


def test_a_change_beside_the_directory_that_is_sent_does_not_count(repository):
    (repository.path / "b.py").write_text("2")

    assert not state_of(repository.path, within="sub").dirty
    (repository.path / "sub/a.py").write_text("2")
    assert state_of(repository.path, within="sub").dirty


def test_a_change_in_a_submodule_counts(repository, tmp_path):
    library = create(tmp_path / "library")
    library.commit({"library.py": "1"})
    repository.add_submodule(library.uri, "library")
    assert not state_of(repository.path).dirty

    (repository.path / "library/library.py").write_text("2")
    assert state_of(repository.path).dirty


def test_what_nobody_has_committed_is_dirty_and_has_no_commit(tmp_path):
    repository = create(tmp_path / "wine")
    (repository.path / "a.py").write_text("")

    state = state_of(repository.path)

    assert (state.commit, state.branch, state.dirty) == (None, "main", True)


def test_an_ordinary_directory_has_no_state(tmp_path):
    (tmp_path / "a.py").write_text("")

    assert state_of(tmp_path) is None
