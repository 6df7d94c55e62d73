from __future__ import annotations

import pytest

from mlp.errors import SourceInvalid, SourceNotFound
from mlp.source import Location, locate, redact, repository_of
from tests.source import repositories


@pytest.mark.parametrize(
    ("uri", "expected", "subdirectory", "name"),
    [
        ("https://git.example.org/team/project.git", "https://git.example.org/team/project.git", "", "project"),
        ("https://git.example.org/team/project", "https://git.example.org/team/project", "", "project"),
        ("https://git.example.org/team/project/", "https://git.example.org/team/project/", "", "project"),
        ("https://git.example.org:8443/p.git#a/b", "https://git.example.org:8443/p.git", "a/b", "b"),
        ("https://ada@dev.azure.com/o/p", "https://ada@dev.azure.com/o/p", "", "p"),
        ("http://10.0.0.1/p", "http://10.0.0.1/p", "", "p"),
        ("http://[::1]:80/p", "http://[::1]:80/p", "", "p"),
        ("ssh://git@git.example.org:2222/p.git#./x//y/", "ssh://git@git.example.org:2222/p.git", "x/y", "y"),
        ("git@git.example.org:team/project.git", "git@git.example.org:team/project.git", "", "project"),
        ("git@git.example.org:project.git", "git@git.example.org:project.git", "", "project"),
        ("git@[::1]:project.git", "git@[::1]:project.git", "", "project"),
        ("alias:project.git", "alias:project.git", "", "project"),
        ("git@git.example.org:p#my.project", "git@git.example.org:p", "my.project", "my.project"),
        ("'https://git.example.org/p#sub'", "https://git.example.org/p", "sub", "sub"),
        ('"https://git.example.org/p"', "https://git.example.org/p", "", "p"),
        (" https://git.example.org/p ", "https://git.example.org/p", "", "p"),
        ("https://git.example.org/p#", "https://git.example.org/p", "", "p"),
        ("https://git.example.org/p#.", "https://git.example.org/p", "", "p"),
        ("https://git.example.org/p#a b", "https://git.example.org/p", "a b", "a b"),
        ("file:///srv/p.git", "file:///srv/p.git", "", "p"),
        ("https://h/p/..", "https://h/p/..", "", "project"),
    ],
)
def test_a_git_uri_is_split_into_repository_and_subdirectory(uri, expected, subdirectory, name):
    location = locate(uri, local=False)
    assert location == Location(expected, subdirectory, "git")
    assert location.name == name


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("", "empty"),
        ("#sub", "empty"),
        ("https://h/p#/sub", "write '#sub'"),
        ("https://h/p#../up", "'..' is not allowed in project subdirectory paths."),
        ("https://h/p#a/../../up", "'..' is not allowed in project subdirectory paths."),
        ("https://h/p#.git/hooks", "Git's own directory"),
        ("https://h/p#a\nb", "control character"),
        ("https://h\n/p", "control character"),
        ("s3://bucket/p", "cannot be fetched by 's3://'"),
        ("git://h/p", "cannot be fetched by 'git://'"),
        ("runs:/abc/p", "is not where a project can lie"),
        ("ext::sh -c touch% /tmp/x", "remote helper"),
        ("--upload-pack=touch", "taken for an option"),
        ("git@h:-oProxyCommand=x", "taken for an option"),
        ("-oProxyCommand=x@h:p", "taken for an option"),
        ("ssh://-oProxyCommand=x/p", "names no host"),
        ("https:///p", "names no host"),
        ("https://h", "no repository"),
        ("https://h/", "no repository"),
        ("https://h:port/p", "not a valid URL"),
        ("./p", "is a path on one machine"),
        ("p", "is a path on one machine"),
        ("/srv/p", "is a path on one machine"),
        ("file://host/p", "three slashes"),
    ],
)
def test_what_cannot_name_a_project_elsewhere_is_refused(uri, words):
    with pytest.raises(SourceInvalid) as caught:
        locate(uri, local=False)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "https://bob:hunter2@git.example.org/p",
        "https://bob:hunter2@git.example.org:8443/p#sub",
        "https://:hunter2@git.example.org/p",
        "https://bob:hun/ter2@git.example.org/p",
        "https://bob:hun#ter2@git.example.org/p",
        "git:hun#ter2@git.example.org:p",
        "https://bob:hunt@er2@git.example.org/p",
        "http://bob:hunter2@git.example.org/p",
        "ssh://git:hunter2@git.example.org/p",
        "git:hunter2@git.example.org:p",
        "https://ghp_hunter2@git.example.org/p",
        "https://hunter2hunter2hunter2hunter2@git.example.org/p",
        "https://git.example.org/p?private_token=hunter2",
    ],
)
def test_credentials_in_a_uri_are_refused_and_never_repeated(uri):
    for local in (True, False):
        with pytest.raises(SourceInvalid) as caught:
            locate(uri, local=local)
        message = str(caught.value)
        assert "credentials" in message
        assert "git.example.org" in message
        assert not any(part in message for part in ("hunter2", "ter2", "er2@", "hun"))


def test_the_way_out_of_credentials_in_a_uri_is_told():
    with pytest.raises(SourceInvalid, match=r"spec\.project\.authSecretRef"):
        locate("https://bob:x@git.example.org/p", local=False)


def test_a_subdirectory_may_be_given_apart():
    assert locate("https://h/p", subdirectory="a/b/", local=False).subdirectory == "a/b"
    assert locate("https://h/p#a/b", subdirectory="a/b", local=False).subdirectory == "a/b"
    with pytest.raises(SourceInvalid, match="Two subdirectories"):
        locate("https://h/p#a", subdirectory="b", local=False)
    with pytest.raises(SourceInvalid, match=r"'\.\.' is not allowed"):
        locate("https://h/p", subdirectory="../b", local=False)


def test_a_directory_of_this_machine_is_used_in_place(tmp_path, monkeypatch):
    (tmp_path / "here" / "sub.dir").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for uri in ("here", "./here", "here/", str(tmp_path / "here"), (tmp_path / "here").as_uri()):
        location = locate(uri, local=True)
        assert location == Location(str(tmp_path / "here"), "", "directory")
        assert (location.name, location.directory) == ("here", tmp_path / "here")
    assert locate("here#sub.dir", local=True).directory == tmp_path / "here" / "sub.dir"
    assert locate(".", local=True).name == tmp_path.name


def test_a_directory_whose_name_looks_like_a_host_is_a_directory(tmp_path, monkeypatch):
    (tmp_path / "me@host:p").mkdir()
    monkeypatch.chdir(tmp_path)
    assert locate("me@host:p", local=True).kind == "directory"


def test_a_mistyped_directory_is_told_as_such(tmp_path, monkeypatch):
    (tmp_path / "examples").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceNotFound, match=r"There is no directory './exampels' .*Did you mean 'examples'\?"):
        locate("./exampels", local=True)
    with pytest.raises(SourceNotFound, match="There is no directory 'nodir'"):
        locate("nodir", local=True)
    with pytest.raises(SourceNotFound, match=r"There is no directory '/nowhere/at/all'\.$"):
        locate("file:///nowhere/at/all", local=True)
    with pytest.raises(SourceInvalid, match="is a file"):
        locate("file", local=True)


def test_a_missing_subdirectory_is_told_in_mlflows_words(tmp_path):
    with pytest.raises(SourceNotFound, match=f"Could not find subdirectory nix of {tmp_path}"):
        locate(f"{tmp_path}#nix", local=True)


def test_a_link_that_leads_out_of_the_project_is_no_subdirectory(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "out").symlink_to("/etc")
    with pytest.raises(SourceInvalid, match="leads out"):
        locate(f"{tmp_path}/project#out", local=True)


def test_a_bare_repository_of_this_machine_is_cloned(tmp_path, repository):
    repository.commit({"MLproject": "name: x\n"})
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(tmp_path / "bare.git"))
    expected = Location((tmp_path / "bare.git").as_uri(), "", "git")
    assert locate(str(tmp_path / "bare.git"), local=True) == expected
    assert locate((tmp_path / "bare.git").as_uri(), local=True) == expected
    assert expected.name == "bare"


def test_the_repository_around_a_directory_is_found(repository, git, tmp_path):
    commit = repository.commit({"a/b/MLproject": "name: old\n"})
    repository.commit({"a/b/MLproject": "name: new\n"})
    here = repository_of(locate(f"{repository.path}/a#b", local=True))
    assert here == Location(repository.uri, "a/b", "git")
    git.fetch(here.uri, git.resolve(here.uri, commit).commit, tmp_path / "out", subdirectory=here.subdirectory)
    assert (tmp_path / "out/a/b/MLproject").read_text() == "name: old\n"
    assert (repository.path / "a/b/MLproject").read_text() == "name: new\n"
    assert repository.git("status", "--porcelain") == ""
    assert repository.git("remote") == ""


def test_a_version_of_a_directory_without_git_is_refused_in_mlflows_words(tmp_path):
    with pytest.raises(SourceInvalid, match="Setting a version is only supported for Git project URIs"):
        repository_of(locate(str(tmp_path), local=True))


def test_a_repository_with_a_space_in_its_path_can_be_fetched(tmp_path, git):
    other = repositories.create(tmp_path / "my projects" / "p")
    commit = other.commit({"x": "1"})
    here = repository_of(locate(str(other.path), local=True))
    assert git.resolve(here.uri, None).commit == commit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fatal: unable to access 'https://bob:pw@h/p/': x", "fatal: unable to access 'https://***@h/p/': x"),
        ("ssh://git@h/p and git@h:p stay", "ssh://git@h/p and git@h:p stay"),
        ("https://h:8080/p@v2 stays", "https://h:8080/p@v2 stays"),
        ("two https://a:b@h/p https://c:d@i/q", "two https://***@h/p https://***@i/q"),
        ("https://h/p?access_token=abc&x=1", "https://h/p?access_token=***&x=1"),
        ("see https://h/p. Write to a:b@c.", "see https://h/p. Write to a:b@c."),
    ],
)
def test_credentials_are_redacted_in_any_text(text, expected):
    assert redact(text) == expected
