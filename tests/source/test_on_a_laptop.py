"""What `mlp run` asks of a source on its user's machine, where MLflow's habits did harm."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from mlp.errors import SourceError, SourceInvalid, SourceNotFound
from mlp.source import Access, Git, Location, fetch_archive, locate, repository_of
from tests.servers import git_http
from tests.source import repositories

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def git():
    return Git(Access.ambient(), timeout=60)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The directory for temporary files, which have to be gone at the end."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    yield directory
    assert list(directory.iterdir()) == []


def everything_in(directory: Path) -> dict[str, str]:
    """A digest of every file, Git's own included, and of when it was changed."""
    return {
        path.relative_to(
            directory
        ).as_posix(): f"{path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in directory.rglob("*")
        if path.is_file()
    }


class TestAVersionOfOnesOwnWorkTree:
    @pytest.fixture
    def commits(self, repository):
        old = repository.commit({"a/MLproject": "name: old\n", "a/train.py": "old\n"})
        new = repository.commit({"a/MLproject": "name: new\n", "a/train.py": "new\n"})
        repository.git("branch", "side", old)
        # Work in progress: changed, staged, and not known to Git yet.
        (repository.path / "a/train.py").write_text("in progress\n")
        (repository.path / "a/staged.py").write_text("staged\n")
        repository.git("add", "a/staged.py")
        (repository.path / "a/untracked.py").write_text("untracked\n")
        return old, new

    @pytest.mark.parametrize("relative", [True, False])
    @pytest.mark.usefixtures("temporary")
    def test_nothing_in_it_changes(self, repository, git, commits, relative, tmp_path, monkeypatch):
        status = repository.git("status", "--porcelain=v2", "--branch")
        before = everything_in(repository.path)
        monkeypatch.chdir(repository.path.parent)
        uri = "project#a" if relative else f"{repository.path}#a"
        for number, version in enumerate(("side", commits[0], commits[0][:8], "main")):
            here = repository_of(locate(uri, local=True))
            found = git.resolve(here.uri, version)
            git.fetch(here.uri, found.commit, tmp_path / str(number), ref=found.ref, subdirectory=here.subdirectory)
            expected = "new" if version == "main" else "old"
            assert (tmp_path / str(number) / "a/train.py").read_text() == f"{expected}\n"
            assert not (tmp_path / str(number) / "a/staged.py").exists()
        with pytest.raises(SourceNotFound, match="Unable to checkout version 'nix'"):
            git.resolve(here.uri, "nix")
        assert everything_in(repository.path) == before
        assert repository.git("status", "--porcelain=v2", "--branch") == status
        assert repository.git("remote") == ""

    @pytest.mark.usefixtures("commits")
    def test_an_ignored_directory_has_no_version(self, repository, git, tmp_path):
        repository.commit({".gitignore": "scratch/\n"})
        (repository.path / "scratch").mkdir()
        here = repository_of(locate(f"{repository.path}/scratch", local=True))
        with pytest.raises(SourceNotFound, match="Could not find subdirectory scratch"):
            git.fetch(here.uri, git.resolve(here.uri, "main").commit, tmp_path / "out", subdirectory=here.subdirectory)

    def test_submodules_lie_beside_what_it_is_a_clone_of(self, repository, git, tmp_path):
        library = repositories.create(tmp_path / "served" / "library")
        library.commit({"lib.py": "pass\n"})
        repository.add_submodule(library.uri, "library")
        repository.git("config", "--file", ".gitmodules", "submodule.library.url", "../library")
        commit = repository.commit({})
        work_tree = repositories.Repository(tmp_path / "home" / "mine")
        with git_http.serving(repository.path.parent, accounts=git_http.Accounts({})) as server:
            work_tree.path.mkdir(parents=True)
            work_tree.git("clone", "--quiet", f"{server.url}/project", ".")
            here = repository_of(locate(str(work_tree.path), local=True))
            git.fetch(here.uri, commit, tmp_path / "out")
        assert (tmp_path / "out/library/lib.py").is_file()
        assert repositories.Repository(tmp_path / "out").git("remote", "get-url", "origin") == here.uri
        assert not (work_tree.path / "library/lib.py").exists()


class TestSubmodules:
    def test_they_are_recursive_and_shallow(self, repository, git, tmp_path):
        deepest = repositories.create(tmp_path / "served" / "deepest")
        library = repositories.create(tmp_path / "served" / "library")
        for number in range(3):
            deepest.commit({"deep.py": f"{number}\n"})
            library.commit({"lib.py": f"{number}\n"})
        library.add_submodule(deepest.uri, "deepest")
        repository.add_submodule(library.uri, "vendor/library")
        for holder, name in ((library, "deepest"), (repository, "vendor/library")):
            holder.git("config", "--file", ".gitmodules", f"submodule.{name}.url", f"../{name.rpartition('/')[2]}")
        library.commit({})
        repository.git("-C", "vendor/library", "pull", "--quiet", library.uri, "main")
        commit = repository.commit({})
        with git_http.serving(repository.path.parent) as server:
            git.fetch(f"{server.url}/project", commit, tmp_path / "out")
        for path in ("vendor/library", "vendor/library/deepest"):
            assert len(repositories.Repository(tmp_path / "out" / path).git("rev-list", "HEAD").split()) == 1, path
        assert (tmp_path / "out/vendor/library/deepest/deep.py").read_text() == "2\n"

    def test_one_of_any_host_is_brought(self, repository, git, tmp_path):
        library = repositories.create(tmp_path / "elsewhere" / "library")
        library.commit({"lib.py": "pass\n"})
        repository.add_submodule(library.uri, "library")
        with git_http.serving(repository.path.parent) as server, git_http.serving(library.path.parent) as other:
            url = other.url.replace("127.0.0.1", "localhost")
            repository.git("config", "--file", ".gitmodules", "submodule.library.url", f"{url}/library")
            git.fetch(f"{server.url}/project", repository.commit({}), tmp_path / "out")
        assert (tmp_path / "out/library/lib.py").is_file()

    def test_one_of_a_server_that_serves_tips_only_is_brought_whole(self, repository, git, tmp_path):
        library = repositories.create(tmp_path / "served" / "library")
        library.commit({"lib.py": "pass\n"})
        repository.add_submodule(library.uri, "library")
        repository.git("config", "--file", ".gitmodules", "submodule.library.url", "../library")
        commit = repository.commit({})
        library.commit({"newer.py": "pass\n"})
        behaviour = git_http.Behaviour(protocol_v2=False, filters=False)
        with git_http.serving(repository.path.parent, behaviour=behaviour) as server:
            git.fetch(f"{server.url}/project", commit, tmp_path / "out")
        assert repositories.files_below(tmp_path / "out/library") == {"lib.py"}


class TestUris:
    @pytest.mark.parametrize("quote", ["'", '"'])
    def test_quotes_around_one_do_not_matter(self, repository, quote):
        repository.commit({"my.sub/MLproject": "name: x\n"})
        found = locate(f"{quote}{repository.path}#my.sub{quote}", local=True)
        assert found == Location(str(repository.path), "my.sub", "directory")

    @pytest.mark.parametrize("fragment", ["/etc", "/", "..", "a/../..", "../../etc"])
    def test_a_subdirectory_never_leads_out(self, repository, fragment):
        for uri in (repository.path, repository.path.as_uri(), "https://h/p", "https://h/p.zip", "git@h:p"):
            with pytest.raises(SourceInvalid, match=r"begins with '/'|'\.\.' is not allowed in project subdirectory"):
                locate(f"{uri}#{fragment}", local=True)

    def test_a_bare_repository_is_cloned_by_path_and_by_url(self, repository, git, tmp_path):
        commit = repository.commit({"sub/MLproject": "name: x\n"})
        repository.git("clone", "--quiet", "--bare", str(repository.path), str(tmp_path / "my bare.git"))
        for number, uri in enumerate((tmp_path / "my bare.git", (tmp_path / "my bare.git").as_uri())):
            found = locate(f"{uri}#sub", local=True)
            git.fetch(found.uri, git.resolve(found.uri, None).commit, tmp_path / str(number), subdirectory="sub")
            assert repositories.Repository(tmp_path / str(number)).git("rev-parse", "HEAD") == commit
            assert (tmp_path / str(number) / "sub/MLproject").is_file()

    def test_a_file_url_is_a_directory_in_place(self, repository):
        repository.commit({"sub/MLproject": "name: x\n"})
        assert locate(f"{repository.uri}#sub", local=True).directory == repository.path / "sub"

    def test_a_run_is_no_project(self):
        for uri in ("runs:/0123456789abcdef/model", "models:/m/1", "mlflow-artifacts:/1/2"):
            with pytest.raises(SourceInvalid):
                locate(uri, local=True)

    def test_an_empty_repository_is_told_as_such(self, repository, git):
        for version in (None, "main", "HEAD", "0123abc"):
            with pytest.raises(SourceNotFound, match=r"is empty\. Push a commit"):
                git.resolve(repository.uri, version)


@pytest.mark.usefixtures("temporary")
class TestTemporaryFiles:
    """`temporary` has to be empty at the end of each."""

    def test_they_go_when_all_is_well(self, repository, git, tmp_path):
        commit = repository.commit({"MLproject": "name: x\n"})
        git.resolve(repository.uri, "main")
        git.resolve(repository.uri, commit[:5])
        git.read(repository.uri, commit, wanted=lambda name: name == "MLproject")
        git.fetch(repository.uri, commit, tmp_path / "out")

    def test_they_go_when_the_repository_is_not_there(self, git, tmp_path):
        uri = (tmp_path / "nowhere").as_uri()
        for call in (
            lambda: git.resolve(uri, "main"),
            lambda: git.read(uri, "0" * 40, wanted=bool),
            lambda: git.fetch(uri, "0" * 40, tmp_path / "out"),
        ):
            with pytest.raises(SourceError):
                call()
        assert not (tmp_path / "out").exists()

    def test_they_go_when_the_server_fails_in_the_middle(self, repository, tmp_path):
        commit = repository.commit({"big.bin": repositories.noise(300_000, 1)})
        with git_http.serving(repository.path.parent) as server:
            git = Git(Access.ambient("bob", "hunter2"), timeout=60)
            git.resolve(f"{server.url}/project", "main")
            server.behaviour.status = 500
            with pytest.raises(SourceError):
                git.fetch(f"{server.url}/project", commit, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_they_go_when_the_deadline_passes(self, repository, tmp_path):
        commit = repository.commit({"x": "1"})
        with git_http.serving(repository.path.parent, behaviour=git_http.Behaviour(delay=60)) as server:
            with pytest.raises(SourceError, match="and was ended"):
                Git(Access.ambient(), timeout=0.5).fetch(f"{server.url}/project", commit, tmp_path / "out")
            server.halt()
        assert not (tmp_path / "out").exists()

    def test_they_go_when_a_subdirectory_or_a_submodule_is_missing(self, repository, git, tmp_path):
        commit = repository.commit({"x": "1"})
        with pytest.raises(SourceNotFound):
            git.fetch(repository.uri, commit, tmp_path / "out", subdirectory="nix")
        library = repositories.create(tmp_path / "library")
        library.commit({"x": "1"})
        repository.add_submodule(library.uri, "library")
        repository.git(
            "config", "--file", ".gitmodules", "submodule.library.url", "http://no-such-host.invalid/nowhere"
        )
        with pytest.raises(SourceError):
            git.fetch(repository.uri, repository.commit({}), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_they_go_when_the_archive_cannot_be_used(self, tmp_path):
        (tmp_path / "p.zip").write_bytes(b"no archive")
        with pytest.raises(SourceInvalid):
            fetch_archive(locate(str(tmp_path / "p.zip"), local=True), tmp_path / "out")
        with pytest.raises(SourceError):
            fetch_archive(Location("http://no-such-host.invalid/p.zip", "", "archive"), tmp_path / "out")
        assert not (tmp_path / "out").exists()
