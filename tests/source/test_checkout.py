"""Whether a directory still is what a commit says."""

from __future__ import annotations

import os

import pytest

from mlp.source import Access, Git
from mlp.source.checkout import Checkout, checkout_of
from tests.cluster import Missing
from tests.servers import lfs
from tests.source.repositories import create


@pytest.fixture
def repository(tmp_path):
    made = create(tmp_path / "team")
    made.commit({"wine/MLproject": "name: wine", "wine/train.py": "pass", "README": "", ".gitignore": "data/\n"})
    return made


@pytest.fixture
def cloned(repository, tmp_path):
    """A project in a subdirectory, brought as the pod's clone step brings it: partial and sparse."""
    head = repository.git("rev-parse", "HEAD")
    access = Access.scrubbed(protocols=("file",))
    Git(access).fetch(repository.uri, head, tmp_path / "project", subdirectory="wine", submodules=False, lfs=False)
    return tmp_path / "project", head


def test_a_clone_is_its_commit_until_something_is_changed(cloned):
    project, head = cloned

    assert checkout_of(project / "wine") == Checkout("wine", head, modified=False)
    assert checkout_of(project) == Checkout("", head, modified=False)
    (project / "wine" / "train.py").write_text("print()")
    assert checkout_of(project / "wine") == Checkout("wine", head, modified=True)


@pytest.mark.parametrize(
    ("path", "modified"),
    [
        ("wine/new.py", True),
        ("common.py", True),
        ("data/table.csv", False),
        ("wine/__pycache__/train.cpython-311.pyc", False),
        ("wine/größe 1.py", True),
    ],
)
def test_a_new_file_counts_unless_git_ignores_it_or_python_made_it(repository, path, modified):
    file = repository.path / path
    file.parent.mkdir(exist_ok=True)
    file.write_text("")

    found = checkout_of(repository.path / "wine")

    assert found is not None
    assert found.modified is modified


def test_a_file_that_is_gone_counts(repository):
    (repository.path / "README").unlink()

    found = checkout_of(repository.path / "wine")

    assert found is not None
    assert found.modified


def test_the_content_of_a_large_file_is_no_change_of_its_pointer(repository):
    if not lfs.available():
        raise Missing("there is no git-lfs on this machine")
    store = lfs.LargeFiles()
    repository.commit({".gitattributes": lfs.ATTRIBUTES, "model.bin": store.put(b"a model")})
    model = repository.path / "model.bin"
    model.write_bytes(b"a model")
    repository.git("-c", "filter.lfs.clean=git-lfs clean -- %f", "add", "model.bin")
    os.utime(model, (1, 1))  # as if written since: Git has to look at the content again

    assert not checkout_of(repository.path).modified
    model.write_bytes(b"another")
    assert checkout_of(repository.path).modified


def test_what_python_leaves_in_a_submodule_is_no_change(repository, tmp_path):
    part = create(tmp_path / "part")
    part.commit({"part.py": ""})
    repository.add_submodule(part.uri, "part")
    cache = repository.path / "part" / "__pycache__"
    cache.mkdir()
    (cache / "part.cpython-311.pyc").write_text("")

    assert not checkout_of(repository.path).modified
    (repository.path / "part" / "part.py").write_text("changed")
    assert checkout_of(repository.path).modified


def test_what_is_in_no_repository_is_no_commit(tmp_path):
    assert checkout_of(tmp_path) is None


def test_a_repository_without_a_commit_is_none_either(tmp_path):
    assert checkout_of(create(tmp_path / "empty").path) is None


def test_without_git_nothing_is_told(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert checkout_of(repository.path) is None
