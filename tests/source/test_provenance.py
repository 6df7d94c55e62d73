"""Where a project came from, beside what MLflow would record."""

from __future__ import annotations

import pytest

from mlp.source import Location, Provenance, Resolution, locate, provenance, repository_of

COMMIT = "a" * 40


@pytest.mark.parametrize(
    ("uri", "name", "repository"),
    [
        (
            "'https://git.example.org/t/p.git#a/b'",
            "https://git.example.org/t/p.git#a/b",
            "https://git.example.org/t/p.git",
        ),
        ('"https://git.example.org/t/p"', "https://git.example.org/t/p", "https://git.example.org/t/p"),
        ("https://ada@dev.azure.com/o/p#x", "https://dev.azure.com/o/p#x", "https://dev.azure.com/o/p"),
        ("git@git.example.org:t/p.git#x", "git@git.example.org:t/p.git#x", "git@git.example.org:t/p.git"),
        ("ssh://git@git.example.org/p", "ssh://git@git.example.org/p", "ssh://git@git.example.org/p"),
    ],
)
def test_a_git_uri_is_recorded_as_given_without_quotes_and_users(uri, name, repository, tmp_path):
    resolution = Resolution(COMMIT, "refs/heads/main", None)
    assert provenance(locate(uri, local=True), resolution, tmp_path) == Provenance(name, repository, COMMIT)


@pytest.mark.parametrize("uri", ["https://bob:hunter2@h/p", "https://hunter2hunter2hunter2@h/p", "git:hunter2@h:p"])
def test_credentials_are_never_recorded(uri, tmp_path):
    found = provenance(Location(uri, "", "git"), Resolution(COMMIT), tmp_path)
    assert "hunter2" not in repr(found)
    assert "hunter2" not in repr(provenance(Location("https://h/p.zip?token=hunter2", "", "archive"), None, tmp_path))


@pytest.mark.parametrize(
    ("version", "ref", "branch"),
    [
        ("main", "refs/heads/main", "main"),
        ("refs/heads/a/b", "refs/heads/a/b", "a/b"),
        (" main ", "refs/heads/main", "main"),
        (None, "refs/heads/main", None),
        ("v1", "refs/tags/v1", None),
        ("aaaaaaaa", "refs/heads/main", None),
        (COMMIT, None, None),
    ],
)
def test_a_branch_is_recorded_where_the_version_was_one(version, ref, branch, tmp_path):
    found = provenance(locate("https://h/p", local=True), Resolution(COMMIT, ref, version), tmp_path)
    assert found.branch == branch


def in_place(uri):
    location = locate(str(uri), local=True)
    return provenance(location, None, location.directory)


def test_a_directory_in_a_repository_is_named_by_its_place_there(repository):
    commit = repository.commit({"MLproject": "name: x\n", "my sub/MLproject": "name: y\n"})
    top = f"file://{repository.path}"
    assert in_place(repository.path) == Provenance(top, None, commit)
    assert in_place(repository.path / "my sub") == Provenance(f"{top}#my sub", None, commit)
    assert in_place(f"{repository.path}#my sub") == Provenance(f"{top}#my sub", None, commit)
    repository.git("remote", "add", "upstream", "https://bob:hunter2@git.example.org/team/p.git")
    repository.git("remote", "add", "fork", "https://git.example.org/ada/p.git")
    assert in_place(repository.path).repository == "https://git.example.org/team/p.git"


def test_a_directory_in_no_repository_is_named_by_its_path(tmp_path, monkeypatch):
    (tmp_path / "plain").mkdir()
    monkeypatch.chdir(tmp_path)
    assert in_place("plain") == Provenance(str(tmp_path / "plain"))


def test_what_no_commit_holds_has_none(repository):
    assert in_place(repository.path) == Provenance(f"file://{repository.path}")  # nothing was ever committed
    commit = repository.commit({".gitignore": "ignored/\n", "kept/x": "1"})
    for name in ("ignored", "new"):
        (repository.path / name).mkdir()
        (repository.path / name / "MLproject").touch()
        assert in_place(repository.path / name) == Provenance(f"file://{repository.path}#{name}")
    assert in_place(repository.path / "kept").commit == commit


def test_a_version_of_a_directory_is_a_commit_of_the_repository_around_it(repository, git, tmp_path):
    first = repository.commit({"sub/MLproject": "name: x\n"})
    repository.git("branch", "old")
    repository.commit({"sub/MLproject": "name: y\n"})
    repository.git("remote", "add", "origin", "git@git.example.org:t/p.git")
    expected = Provenance(f"file://{repository.path}#sub", "git@git.example.org:t/p.git", first, "old")
    location = locate(f"{repository.path}#sub", local=True)
    around = repository_of(location)
    for given in (location, around):
        assert provenance(given, git.resolve(around.uri, "old"), tmp_path) == expected


def test_a_bare_repository_is_named_by_its_address(repository, git, tmp_path):
    commit = repository.commit({"x": "1"})
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(tmp_path / "bare.git"))
    location = locate(str(tmp_path / "bare.git"), local=True)
    uri = (tmp_path / "bare.git").as_uri()
    assert provenance(location, git.resolve(location.uri, None), tmp_path) == Provenance(uri, uri, commit)


def test_an_archive_is_named_by_its_address(tmp_path, monkeypatch):
    (tmp_path / "p.zip").touch()
    monkeypatch.chdir(tmp_path)
    for uri, name in (
        ("p.zip", f"{tmp_path}/p.zip"),
        ((tmp_path / "p.zip").as_uri(), f"{tmp_path}/p.zip"),
        ("p.zip#sub", f"{tmp_path}/p.zip#sub"),
        ("https://ada@h/p.zip#sub", "https://h/p.zip#sub"),
    ):
        assert provenance(locate(uri, local=True), None, tmp_path) == Provenance(name)


def test_a_machine_without_git_still_names_a_directory(repository, monkeypatch):
    repository.commit({"x": "1"})
    monkeypatch.setenv("PATH", "/nowhere")
    assert in_place(repository.path) == Provenance(str(repository.path))


@pytest.mark.peer
def test_mlflow_records_the_same_of_a_directory(repository):
    from mlflow.tracking._tracking_service.utils import _get_git_url_if_present  # noqa: PLC0415 -- takes seconds
    from mlflow.utils.git_utils import get_git_commit, get_git_repo_url  # noqa: PLC0415

    repository.commit({"sub/MLproject": "name: x\n", ".gitignore": "ignored/\n"})
    (repository.path / "ignored").mkdir()
    repository.git("remote", "add", "origin", "https://bob:hunter2@git.example.org/team/p.git")
    for path in (repository.path, repository.path / "sub", repository.path / "ignored"):
        theirs = _get_git_url_if_present(str(path)), get_git_repo_url(str(path)), get_git_commit(str(path))
        ours = in_place(path)
        assert (ours.name, ours.repository, ours.commit) == theirs
