from __future__ import annotations

import pytest

from mlp.errors import SourceError, SourceInvalid, SourceNotFound, UsageError
from mlp.source import Access, Git
from tests.source import repositories


@pytest.fixture
def commit(repository):
    return repository.commit(
        {
            "MLproject": "name: outer\n",
            "data/big.bin": repositories.noise(2_000_000, 1),
            "a/beside.txt": "beside",
            "a/sub/MLproject": "name: inner\n",
            "a/sub/lib/x.py": "pass\n",
            "a/other/large.bin": repositories.noise(1_000_000, 2),
            "with space/f": "1",
            "-dash/f": "1",
            "sta*r/f": "1",
        }
    )


def head_of(directory):
    return repositories.Repository(directory).git("rev-parse", "HEAD")


def test_a_whole_commit_is_checked_out(repository, git, commit, tmp_path):
    git.fetch(repository.uri, commit, tmp_path / "out")
    assert repositories.files_below(tmp_path / "out") == repositories.files_below(repository.path)
    assert head_of(tmp_path / "out") == commit
    assert repositories.Repository(tmp_path / "out").git("status", "--porcelain") == ""


def test_only_the_pinned_commit_is_brought(repository, git, commit, tmp_path):
    repository.commit({"MLproject": "name: newer\n"})
    git.fetch(repository.uri, commit, tmp_path / "out", ref="refs/heads/main")
    assert (tmp_path / "out/MLproject").read_text() == "name: outer\n"
    assert repositories.Repository(tmp_path / "out").git("rev-list", "--all", "HEAD") == commit


def test_a_subdirectory_brings_only_its_cone_and_few_bytes(repository, git, commit, tmp_path):
    git.fetch(repository.uri, commit, tmp_path / "out", subdirectory="a/sub")
    assert repositories.files_below(tmp_path / "out") == {
        "MLproject",
        "a/beside.txt",
        "a/sub/MLproject",
        "a/sub/lib/x.py",
    }
    assert repositories.size_of(tmp_path / "out/.git") < 50_000
    assert head_of(tmp_path / "out") == commit


@pytest.mark.parametrize("subdirectory", ["with space", "-dash", "sta*r"])
def test_a_subdirectory_may_have_an_unusual_name(repository, git, commit, tmp_path, subdirectory):
    git.fetch(repository.uri, commit, tmp_path / "out", subdirectory=subdirectory)
    assert repositories.files_below(tmp_path / "out") == {"MLproject", f"{subdirectory}/f"}


def test_a_server_without_filters_serves_a_subdirectory_too(repository, git, commit, tmp_path):
    repository.git("config", "uploadpack.allowFilter", "false")
    git.fetch(repository.uri, commit, tmp_path / "out", subdirectory="a/sub")
    assert (tmp_path / "out/a/sub/lib/x.py").is_file()
    assert not (tmp_path / "out/data").exists()
    assert head_of(tmp_path / "out") == commit


def test_an_existing_empty_directory_is_filled(repository, git, commit, tmp_path):
    (tmp_path / "out").mkdir()
    before = (tmp_path / "out").stat().st_ino
    git.fetch(repository.uri, commit, tmp_path / "out")
    assert (tmp_path / "out/MLproject").is_file()
    assert (tmp_path / "out").stat().st_ino == before


def test_a_directory_that_is_not_empty_is_left_alone(repository, git, commit, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("precious")
    with pytest.raises(UsageError, match="is not empty"):
        git.fetch(repository.uri, commit, tmp_path / "out")
    assert repositories.files_below(tmp_path / "out") == {"mine"}


@pytest.mark.parametrize(
    ("commit_of", "subdirectory", "error"),
    [(None, "", SourceNotFound), ("commit", "nix", SourceNotFound), ("commit", "MLproject", SourceNotFound)],
)
def test_a_failure_leaves_nothing_half_done(repository, git, commit, tmp_path, commit_of, subdirectory, error):
    (tmp_path / "existing").mkdir()
    for name in ("existing", "new"):
        with pytest.raises(error):
            git.fetch(repository.uri, commit if commit_of else "0" * 40, tmp_path / name, subdirectory=subdirectory)
    assert list((tmp_path / "existing").iterdir()) == []
    assert not (tmp_path / "new").exists()


def test_a_subdirectory_that_leads_out_by_a_link_is_refused(repository, git, tmp_path):
    (repository.path / "out").symlink_to("/etc")
    commit = repository.commit({"x": "1"})
    with pytest.raises(SourceError):
        git.fetch(repository.uri, commit, tmp_path / "out", subdirectory="out")
    assert not (tmp_path / "out").exists()


def test_hooks_and_configuration_of_the_user_do_not_run_in_scrubbed_mode(
    repository, git, commit, tmp_path, monkeypatch
):
    home = tmp_path / "home"
    (home / "template/hooks").mkdir(parents=True)
    hook = home / "template/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    (home / ".gitconfig").write_text(
        f"[init]\ntemplateDir = {home}/template\n[core]\nhooksPath = {home}/template/hooks\n"
        f'[url "file:///nowhere/"]\ninsteadOf = file:///\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(home / "template"))
    git.fetch(repository.uri, commit, tmp_path / "out")
    assert not (tmp_path / "hooked").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_the_users_own_configuration_counts_on_a_laptop(repository, commit, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[url "{repository.path.parent.as_uri()}/"]\ninsteadOf = https://mine.example/\n')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "kept")
    git = Git(Access.ambient(), timeout=60)
    assert git.resolve("https://mine.example/project", "main").commit == commit
    git.fetch("https://mine.example/project", commit, tmp_path / "out")
    assert (tmp_path / "out/MLproject").is_file()


@pytest.mark.parametrize("uri", ["file:///srv/p", "http://127.0.0.1/p", "/srv/p"])
def test_a_transport_that_is_not_allowed_is_refused_before_anything_runs(uri, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SourceInvalid, match=r"not allowed here. Allowed: https, ssh"):
        Git(Access.scrubbed()).resolve(uri, None)


def test_a_machine_without_git_is_told_so(repository, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="no program 'git'"):
        Git(Access.scrubbed(protocols=("file",))).resolve(repository.uri, None)


class TestSubmodules:
    @pytest.fixture
    def library(self, tmp_path):
        library = repositories.create(tmp_path / "served" / "library")
        library.commit({"old.py": "old\n"})
        library.commit({"lib.py": "pass\n"})
        return library

    def test_they_are_brought_at_their_commit_and_shallow(self, repository, git, library, tmp_path):
        commit = repository.add_submodule(library.uri, "vendor/library")
        pinned = library.git("rev-parse", "HEAD")
        library.commit({"newer.py": "pass\n"})
        git.fetch(repository.uri, commit, tmp_path / "out")
        assert repositories.files_below(tmp_path / "out/vendor/library") == {"lib.py", "old.py"}
        brought = repositories.Repository(tmp_path / "out/vendor/library")
        assert brought.git("rev-parse", "HEAD") == pinned
        assert pinned in brought.git("rev-list", "HEAD").splitlines()
        assert library.git("rev-list", "--max-parents=0", "HEAD") not in brought.git("rev-list", "HEAD").splitlines()

    def test_relative_addresses_and_nested_ones_are_followed(self, repository, git, library, tmp_path):
        deepest = repositories.create(tmp_path / "served" / "deepest")
        deepest.commit({"deep.py": "pass\n"})
        library.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", deepest.uri, "deep er")
        library.git("config", "--file", ".gitmodules", "submodule.deep er.url", "../deepest")
        library.commit({})
        commit = repository.add_submodule(library.uri, "library")
        git.fetch(repository.uri, commit, tmp_path / "out")
        assert (tmp_path / "out/library/deep er/deep.py").is_file()

    def test_they_can_be_left_out(self, repository, git, library, tmp_path):
        commit = repository.add_submodule(library.uri, "library")
        git.fetch(repository.uri, commit, tmp_path / "out", submodules=False)
        assert list((tmp_path / "out/library").iterdir()) == []

    def test_those_outside_of_a_sparse_subdirectory_are_left_out(self, repository, git, library, tmp_path):
        repository.commit({"a/MLproject": "name: a\n", "b/x": "1"})
        repository.add_submodule(library.uri, "a/library")
        commit = repository.add_submodule(library.uri, "b/library")
        git.fetch(repository.uri, commit, tmp_path / "out", subdirectory="a")
        assert (tmp_path / "out/a/library/lib.py").is_file()
        assert not (tmp_path / "out/b").exists()

    def test_a_project_may_lie_in_one(self, repository, git, library, tmp_path):
        library.commit({"inner/MLproject": "name: inner\n"})
        commit = repository.add_submodule(library.uri, "vendor/library")
        git.fetch(repository.uri, commit, tmp_path / "out", subdirectory="vendor/library/inner")
        assert (tmp_path / "out/vendor/library/inner/MLproject").is_file()

    def test_one_by_another_transport_is_refused_by_name(self, repository, git, library, tmp_path):
        repository.add_submodule(library.uri, "library")
        repository.git("config", "--file", ".gitmodules", "submodule.library.url", "https://github.example/x")
        commit = repository.commit({})
        with pytest.raises(SourceInvalid, match=r"submodule 'library' .*'https', which is not allowed"):
            git.fetch(repository.uri, commit, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_one_with_credentials_in_its_address_is_refused_without_repeating_them(
        self, repository, git, library, tmp_path
    ):
        repository.add_submodule(library.uri, "library")
        repository.git("config", "--file", ".gitmodules", "submodule.library.url", "https://bob:hunter2@h.example/x")
        commit = repository.commit({})
        with pytest.raises(SourceInvalid, match="submodule 'library' has credentials") as caught:
            git.fetch(repository.uri, commit, tmp_path / "out")
        assert "hunter2" not in str(caught.value)

    def test_one_whose_commit_is_gone_is_an_error(self, repository, git, library, tmp_path):
        repository.add_submodule(library.uri, "library")
        repository.git("update-index", "--cacheinfo", f"160000,{'1' * 40},library")
        repository.git("commit", "--quiet", "-m", "lost")
        with pytest.raises(SourceError):
            git.fetch(repository.uri, repository.git("rev-parse", "HEAD"), tmp_path / "out")
        assert not (tmp_path / "out").exists()
