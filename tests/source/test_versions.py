from __future__ import annotations

import pytest

from mlp.errors import SourceInvalid, SourceNotFound
from mlp.source import Resolution
from tests.source import repositories


@pytest.fixture
def history(repository):
    """Three commits on main, tags on the first, a branch from the second."""
    commits = [repository.commit({"n": str(number)}, f"commit {number}") for number in range(3)]
    repository.git("tag", "light", commits[0])
    repository.git("tag", "--annotate", "--message", "release", "v1.0", commits[0])
    repository.git("branch", "feature/x", commits[1])
    return commits


def test_no_version_is_the_remotes_head(repository, git, history):
    assert git.resolve(repository.uri, None) == Resolution(history[2], "refs/heads/main", None)
    assert git.resolve(repository.uri, "HEAD").commit == history[2]


def test_the_remotes_head_need_not_be_called_main(repository, git, history):
    repository.git("checkout", "--quiet", "feature/x")
    assert git.resolve(repository.uri, None) == Resolution(history[1], "refs/heads/feature/x", None)


def test_a_detached_head_has_no_branch(repository, git, history):
    repository.git("checkout", "--quiet", "--detach", history[0])
    assert git.resolve(repository.uri, None) == Resolution(history[0], None, None)


@pytest.mark.parametrize(
    ("version", "number", "ref"),
    [
        ("main", 2, "refs/heads/main"),
        ("feature/x", 1, "refs/heads/feature/x"),
        ("light", 0, "refs/tags/light"),
        ("v1.0", 0, "refs/tags/v1.0"),
        ("refs/heads/main", 2, "refs/heads/main"),
        ("refs/tags/v1.0", 0, "refs/tags/v1.0"),
        (" main ", 2, "refs/heads/main"),
    ],
)
def test_a_branch_or_tag_is_its_commit(repository, git, history, version, number, ref):
    assert git.resolve(repository.uri, version) == Resolution(history[number], ref, version)


@pytest.mark.parametrize("digits", [4, 6, 7, 12, 39, 40])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_commit_may_be_given_in_full_or_short(repository, git, history, digits, number):
    version = history[number][:digits]
    assert git.resolve(repository.uri, version).commit == history[number]
    assert git.resolve(repository.uri, version.upper()).commit == history[number]


def test_a_commit_in_the_middle_of_a_history_is_found_in_full_and_short(repository, git, history):
    middle = history[1]
    repository.git("branch", "--delete", "--force", "feature/x")
    assert git.resolve(repository.uri, middle) == Resolution(middle, None, middle)
    assert git.resolve(repository.uri, middle[:10]) == Resolution(middle, "refs/heads/main", middle[:10])


def test_the_object_of_an_annotated_tag_is_the_commit_that_is_tagged(repository, git, history):
    tag_object = repository.git("rev-parse", "v1.0")
    assert tag_object != history[0]
    assert git.resolve(repository.uri, tag_object).commit == history[0]


def test_a_name_that_is_both_branch_and_tag_is_refused_with_the_way_out(repository, git, history):
    repository.git("tag", "both", history[0])
    repository.git("branch", "both", history[1])
    with pytest.raises(SourceInvalid, match="both a branch and a tag") as caught:
        git.resolve(repository.uri, "both")
    assert "'refs/heads/both' or 'refs/tags/both'" in str(caught.value)
    assert git.resolve(repository.uri, "refs/heads/both").commit == history[1]
    assert git.resolve(repository.uri, "refs/tags/both").commit == history[0]


def test_a_branch_whose_name_could_be_a_short_commit_is_the_branch(repository, git, history):
    name = history[0][:8]
    repository.git("branch", name, history[2])
    assert git.resolve(repository.uri, name).commit == history[2]


def test_a_short_commit_that_several_commits_begin_with_is_refused(tmp_path, git):
    repository = repositories.create(tmp_path / "many")
    # Four digits have 65,536 values: among two thousand commits some are sure to share them (all but e^-30).
    author = "committer Ada <ada@example.org> 1700000000 +0000"
    stream = "".join(f"commit refs/heads/main\n{author}\ndata {len(str(n))}\n{n}\n" for n in range(2000))
    repository.git("fast-import", "--quiet", stdin=stream)
    by_prefix: dict[str, list[str]] = {}
    for commit in repository.git("rev-list", "main").split():
        by_prefix.setdefault(commit[:4], []).append(commit)
    prefix, several = next((prefix, commits) for prefix, commits in by_prefix.items() if len(commits) > 1)
    with pytest.raises(SourceInvalid, match="is short for several commits") as caught:
        git.resolve(repository.uri, prefix)
    assert all(commit in str(caught.value) for commit in several)
    assert git.resolve(repository.uri, several[0][:20]).commit == several[0]


@pytest.mark.parametrize("version", ["mian", "0123456", "f" * 40, "refs/heads/nix", "refs/pull/1/head", "v1.00"])
@pytest.mark.usefixtures("history")
def test_an_unknown_version_is_told_in_mlflows_words(repository, git, version):
    with pytest.raises(SourceNotFound) as caught:
        git.resolve(repository.uri, version)
    expected = f"Unable to checkout version '{version}' of git repo {repository.uri}- please ensure that the version"
    assert str(caught.value).startswith(f"{expected} exists in the repo. Error: ")


@pytest.mark.parametrize(("version", "close"), [("mian", "main"), ("origin/main", "main"), ("feature/y", "feature/x")])
@pytest.mark.usefixtures("history")
def test_an_unknown_version_brings_close_names_to_mind(repository, git, version, close):
    with pytest.raises(SourceNotFound, match=f"Did you mean .*'{close}'"):
        git.resolve(repository.uri, version)


@pytest.mark.parametrize(
    "version", ["--upload-pack=x", "a b", "main~1", "main^", "a..b", "a:b", "", "@", "x.lock", "a\nb"]
)
def test_what_no_branch_tag_or_commit_is_called_never_reaches_git(git, version):
    with pytest.raises(SourceNotFound, match="Unable to checkout version"):
        git.resolve("file:///no/such/repository", version)


@pytest.mark.usefixtures("history")
def test_an_object_that_is_no_commit_is_no_version(repository, git):
    with pytest.raises(SourceNotFound, match="Unable to checkout version"):
        git.resolve(repository.uri, repository.git("rev-parse", "main^{tree}"))


def test_an_empty_repository_is_told_as_such(repository, git):
    for version in (None, "main"):
        with pytest.raises(SourceNotFound, match="is empty"):
            git.resolve(repository.uri, version)


def test_a_head_that_leads_nowhere_is_told_in_mlflows_words(repository, git, history):
    repository.git("symbolic-ref", "HEAD", "refs/heads/gone")
    with pytest.raises(SourceNotFound, match=r"Failed to find HEAD branch.*feature/x, main"):
        git.resolve(repository.uri, None)
    assert git.resolve(repository.uri, "main").commit == history[2]


def test_a_repository_that_is_not_there_is_told_as_such(git, tmp_path):
    with pytest.raises(SourceNotFound, match="There is no Git repository at"):
        git.resolve((tmp_path / "nowhere").as_uri(), None)


def test_a_repository_with_sha256_names_is_refused(tmp_path, git):
    path = tmp_path / "long"
    path.mkdir()
    repository = repositories.Repository(path)
    repository.git("init", "--quiet", "--object-format", "sha256", "--initial-branch", "main")
    repository.commit({"x": "1"})
    with pytest.raises(SourceInvalid, match="SHA-256"):
        git.resolve(repository.uri, None)
