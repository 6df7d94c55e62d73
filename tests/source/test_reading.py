from __future__ import annotations

import pytest

from mlp.errors import SourceInvalid, SourceNotFound, UsageError
from mlp.project import Project
from mlp.source import DirectoryFiles
from tests.source import repositories

MLPROJECT = "name: {}\nentry_points:\n  main:\n    command: 'true'\n"


def is_project_file(name):
    return name.lower() == "mlproject"


@pytest.fixture
def commit(repository):
    return repository.commit(
        {
            "MLproject": MLPROJECT.format("outer"),
            "train.py": "pass\n",
            "data/big.bin": repositories.noise(300_000, 1),
            "my inner/MLproject": MLPROJECT.format("inner"),
            "my inner/lib/a.py": "pass\n",
            "my inner/größe.txt": "é",
        }
    )


def test_a_projects_root_is_listed_and_the_wanted_text_brought(repository, git, commit):
    files = git.read(repository.uri, commit, wanted=is_project_file)
    assert files.name == "project"
    assert list(files.root()) == ["MLproject", "train.py"]
    assert files.has("data/big.bin")
    assert files.has("./data/../train.py")
    assert not files.has("data")
    assert not files.has("nix.py")
    assert files.text("MLproject") == MLPROJECT.format("outer")
    with pytest.raises(KeyError):
        files.text("train.py")


def test_paths_of_a_subdirectory_are_relative_to_it(repository, git, commit):
    files = git.read(repository.uri, commit, subdirectory="my inner", wanted=is_project_file)
    assert files.name == "my inner"
    assert list(files.root()) == ["MLproject", "größe.txt"]
    assert files.has("lib/a.py")
    assert not files.has("train.py")
    assert files.text("MLproject") == MLPROJECT.format("inner")


def test_a_directory_shows_the_same_as_a_commit(repository, git, commit):
    for subdirectory in ("", "my inner"):
        there = git.read(repository.uri, commit, subdirectory=subdirectory, wanted=is_project_file)
        here = DirectoryFiles(repository.path / subdirectory)
        assert here.name == there.name
        assert list(here.root()) == list(there.root())
        assert here.text("MLproject") == there.text("MLproject")
        for path in ("MLproject", "lib/a.py", "train.py", "nix", "../project/train.py", "/etc/passwd"):
            assert here.has(path) == there.has(path), path
        assert Project.load(here).name == Project.load(there).name


def test_an_older_commit_is_read_as_it_was(repository, git, commit):
    repository.commit({"MLproject": MLPROJECT.format("newer")})
    assert "outer" in git.read(repository.uri, commit, wanted=is_project_file).text("MLproject")


def test_a_project_file_that_is_a_link_is_followed_inside_the_commit(repository, git):
    (repository.path / "MLproject").symlink_to("sub/real")
    commit = repository.commit({"sub/real": MLPROJECT.format("linked")})
    assert git.read(repository.uri, commit, wanted=is_project_file).text("MLproject") == MLPROJECT.format("linked")


@pytest.mark.parametrize("target", ["/etc/hostname", "../../outside", "MLproject", "nix"])
def test_a_project_file_that_is_a_link_to_elsewhere_has_no_text(repository, git, target):
    (repository.path / "MLproject").symlink_to(target)
    commit = repository.commit({"x": "1"})
    with pytest.raises(KeyError):
        git.read(repository.uri, commit, wanted=is_project_file).text("MLproject")


def test_a_project_file_that_is_too_large_is_refused(repository, git):
    commit = repository.commit({"MLproject": "#" * ((1 << 20) + 1)})
    with pytest.raises(SourceInvalid, match=r"MLproject of .* is larger than 1 MiB"):
        git.read(repository.uri, commit, wanted=is_project_file)


def test_a_project_file_that_is_not_utf8_is_for_the_reader_to_judge(repository, git):
    commit = repository.commit({"MLproject": b"name: \xff\n"})
    with pytest.raises(UnicodeDecodeError):
        git.read(repository.uri, commit, wanted=is_project_file).text("MLproject")


@pytest.mark.parametrize("subdirectory", ["nix", "my inner/nix", "train.py", "*"])
def test_a_missing_subdirectory_is_told_in_mlflows_words(repository, git, commit, subdirectory):
    with pytest.raises(SourceNotFound) as caught:
        git.read(repository.uri, commit, subdirectory=subdirectory, wanted=is_project_file)
    assert str(caught.value).startswith(f"Could not find subdirectory {subdirectory} of {repository.uri}")


def test_a_submodule_is_no_subdirectory(repository, git, tmp_path):
    library = repositories.create(tmp_path / "served" / "library")
    library.commit({"MLproject": MLPROJECT.format("library")})
    commit = repository.add_submodule(library.uri, "vendor/library")
    with pytest.raises(SourceInvalid, match="is a submodule"):
        git.read(repository.uri, commit, subdirectory="vendor/library", wanted=is_project_file)


@pytest.mark.usefixtures("commit")
def test_a_commit_that_is_not_there_is_told_as_such(repository, git):
    with pytest.raises(SourceNotFound, match="Unable to checkout version"):
        git.read(repository.uri, "0" * 40, ref="refs/heads/main", wanted=is_project_file)


def test_a_branch_that_moved_on_does_not_matter(repository, git, commit):
    repository.commit({"MLproject": MLPROJECT.format("newer")})
    files = git.read(repository.uri, commit, ref="refs/heads/main", wanted=is_project_file)
    assert "outer" in files.text("MLproject")


@pytest.mark.parametrize("commit", ["main", "--upload-pack=x", "f" * 39, "F" * 40])
def test_only_full_commit_ids_are_read(repository, git, commit):
    with pytest.raises(UsageError, match="not a full commit ID"):
        git.read(repository.uri, commit, wanted=is_project_file)
