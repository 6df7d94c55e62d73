"""Through a real proxy, and to servers whose certificates an authority of one's own has signed."""

from __future__ import annotations

import pytest

from mlp.errors import AuthenticationFailed, SourceError, SourceUnavailable
from mlp.source import Access, Git, fetch_archive, locate
from mlp.source.network import authorities, network_variables, proxy_passwords
from tests.servers import forward_proxy, git_http, lfs
from tests.source import repositories, web
from tests.source.test_archives import FILES, packed
from tests.source.test_large_files import MODEL, needs_lfs
from tests.tracking import certificates

PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")
AUTHORITIES = ("GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def no_network_of_the_machine(monkeypatch):
    for name in (*PROXIES, *AUTHORITIES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("source") / "authority")


@pytest.fixture
def commit(repository):
    return repository.commit({"MLproject": "name: x\n"})


@pytest.fixture
def secure(repository, commit, authority):
    """A server that speaks TLS. Nobody knows its authority unless told."""
    assert commit
    with git_http.serving(repository.path.parent, tls=certificates.serving_context(authority)) as server:
        yield server


@pytest.fixture
def plain(repository, commit):
    assert commit
    with git_http.serving(repository.path.parent) as server:
        yield server


@pytest.fixture(params=["scrubbed", "ambient"])
def git(request):
    access = Access.ambient() if request.param == "ambient" else Access.scrubbed(protocols=("http", "https"))
    return Git(access, timeout=60)


@pytest.fixture
def scrubbed():
    return Git(Access.scrubbed(protocols=("http", "https")), timeout=60)


def test_an_unknown_authority_is_told_with_the_way_out(git, secure):
    with pytest.raises(AuthenticationFailed, match="could not prove who it is") as caught:
        git.resolve(f"{secure.url}/project", None)
    assert "GIT_SSL_CAINFO or SSL_CERT_FILE" in str(caught.value)


@pytest.mark.parametrize("name", ["GIT_SSL_CAINFO", "SSL_CERT_FILE"])
def test_an_authority_of_ones_own_may_be_named(scrubbed, secure, commit, authority, monkeypatch, tmp_path, name):
    monkeypatch.setenv(name, str(authority / "ca.pem"))
    assert scrubbed.resolve(f"{secure.url}/project", None).commit == commit
    scrubbed.fetch(f"{secure.url}/project", commit, tmp_path / "out")
    assert (tmp_path / "out/MLproject").is_file()


def test_git_leads_through_the_proxy_of_the_environment(git, secure, commit, authority, monkeypatch):
    monkeypatch.setenv("GIT_SSL_CAINFO", str(authority / "ca.pem"))
    with forward_proxy.serving() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
        assert git.resolve(f"{secure.url}/project", None).commit == commit
        assert set(proxy.asked) == {secure.url.removeprefix("https://")}


def test_a_proxy_without_tunnels_serves_plain_http(git, plain, commit, monkeypatch, tmp_path):
    with forward_proxy.serving() as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        git.fetch(f"{plain.url}/project", commit, tmp_path / "out")
        assert set(proxy.asked) == {plain.url.removeprefix("http://")}
    assert (tmp_path / "out/MLproject").is_file()


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_exceptions_from_the_proxy_count(git, plain, commit, monkeypatch, name):
    with forward_proxy.serving() as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        monkeypatch.setenv(name, "git.example.org,127.0.0.1")
        assert git.resolve(f"{plain.url}/project", None).commit == commit
        assert proxy.asked == []


class TestCredentialsOfTheProxy:
    @pytest.fixture
    def proxy(self):
        with forward_proxy.serving("ada:hunter2/é") as proxy:
            yield proxy

    def test_they_stand_in_its_address(self, scrubbed, secure, plain, commit, proxy, authority, monkeypatch):
        monkeypatch.setenv("GIT_SSL_CAINFO", str(authority / "ca.pem"))
        for name in ("https_proxy", "http_proxy"):
            monkeypatch.setenv(name, f"http://ada:hunter2%2F%C3%A9@{proxy.address}")
        for server in (secure, plain):
            assert scrubbed.resolve(f"{server.url}/project", None).commit == commit

    @pytest.mark.parametrize("name", ["https_proxy", "http_proxy"])
    def test_wrong_ones_are_told_and_never_repeated(self, git, secure, plain, proxy, monkeypatch, name):
        server = secure if name == "https_proxy" else plain
        monkeypatch.setenv(name, f"http://ada:wr0ng%2Fpass@{proxy.address}")
        with pytest.raises(AuthenticationFailed, match="The proxy on the way to") as caught:
            git.resolve(f"{server.url}/project", None)
        assert "wr0ng" not in str(caught.value)

    def test_a_proxy_that_is_not_there_is_temporary_and_its_password_not_repeated(self, git, plain, monkeypatch):
        monkeypatch.setenv("http_proxy", "http://ada:hunter2@no-such-proxy.invalid:3128")
        with pytest.raises(SourceUnavailable, match="no-such-proxy") as caught:
            git.resolve(f"{plain.url}/project", None)
        assert "hunter2" not in str(caught.value)


@needs_lfs
def test_large_files_take_the_same_way(scrubbed, repository, authority, monkeypatch, tmp_path):
    store = lfs.LargeFiles()
    commit = repository.commit({".gitattributes": lfs.ATTRIBUTES, "model.bin": store.put(MODEL)})
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    context = certificates.serving_context(authority)
    with git_http.serving(repository.path.parent, tls=context, lfs=store) as server:
        scrubbed.fetch(f"{server.url}/project", commit, tmp_path / "out")
    assert (tmp_path / "out/model.bin").read_bytes() == MODEL


class TestArchives:
    @pytest.fixture
    def server(self, authority):
        with web.serving(certificates.serving_context(authority)) as server:
            server.answers["/p.zip"] = web.Answer(packed(*FILES.items()))
            yield server

    def test_an_unknown_authority_is_told_with_the_way_out(self, server, tmp_path):
        with pytest.raises(AuthenticationFailed, match=r"Unable to retrieve ZIP file.* SSL_CERT_FILE"):
            fetch_archive(locate(f"{server.url}/p.zip", local=True), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_proxy_and_authority_of_the_environment_count(self, server, authority, monkeypatch, tmp_path):
        monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
        with forward_proxy.serving("ada:hunter2") as proxy:
            monkeypatch.setenv("https_proxy", f"http://ada:hunter2@{proxy.address}")
            fetch_archive(locate(f"{server.url}/p.zip", local=True), tmp_path / "out")
            assert proxy.asked == [server.url.removeprefix("https://")]
            assert repositories.files_below(tmp_path / "out") == set(FILES)
            monkeypatch.setenv("https_proxy", f"http://ada:wr0ng-pa55@{proxy.address}")
            with pytest.raises(AuthenticationFailed, match="proxy wants other credentials") as caught:
                fetch_archive(locate(f"{server.url}/p.zip", local=True), tmp_path / "again")
            assert "wr0ng-pa55" not in str(caught.value)

    def test_a_proxy_without_tunnels_serves_plain_http(self, monkeypatch, tmp_path):
        with forward_proxy.serving("ada:hunter2") as proxy, web.serving() as server:
            server.answers["/p.zip"] = web.Answer(packed(*FILES.items()))
            monkeypatch.setenv("http_proxy", f"http://ada:hunter2@{proxy.address}")
            fetch_archive(locate(f"{server.url}/p.zip", local=True), tmp_path / "out")
            monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
            with pytest.raises(AuthenticationFailed, match="proxy wants other credentials"):
                fetch_archive(locate(f"{server.url}/p.zip", local=True), tmp_path / "again")
            assert len(server.asked) == 1

    def test_a_proxy_that_is_not_there_is_temporary_and_its_password_not_repeated(self, server, monkeypatch, tmp_path):
        monkeypatch.setenv("https_proxy", "http://ada:hunter2@no-such-proxy.invalid:3128")
        with pytest.raises(SourceUnavailable, match="Unable to retrieve ZIP file") as caught:
            fetch_archive(locate(f"{server.url}/p.zip", local=True), tmp_path / "out")
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("address", ["http://ada:hunter2@[proxy", "nix://ada:hunter2@proxy"])
    def test_a_malformed_proxy_is_told_and_its_password_not_repeated(self, server, monkeypatch, tmp_path, address):
        monkeypatch.setenv("https_proxy", address)
        with pytest.raises(SourceError, match="Unable to retrieve ZIP file") as caught:
            fetch_archive(locate(f"{server.url}/p.zip", local=True), tmp_path / "out")
        assert "hunter2" not in str(caught.value)


def test_only_what_the_network_needs_is_taken_from_the_environment():
    environment = {
        "https_proxy": "http://p",
        "NO_PROXY": "h",
        "SSL_CERT_FILE": "/ca",
        "GIT_SSL_NO_VERIFY": "1",
        "A": "b",
    }
    assert network_variables(environment) == {
        "https_proxy": "http://p",
        "NO_PROXY": "h",
        "SSL_CERT_FILE": "/ca",
        "GIT_SSL_CAINFO": "/ca",
    }
    assert network_variables({"SSL_CERT_FILE": "/ca", "GIT_SSL_CAINFO": "/mine"})["GIT_SSL_CAINFO"] == "/mine"


def test_passwords_of_proxies_are_known_in_both_spellings():
    environment = {"https_proxy": "http://ada:a%2Fb@p:1", "ALL_PROXY": "ada:secret@p:1", "http_proxy": "http://[broken"}
    assert set(proxy_passwords(environment)) == {"a%2Fb", "a/b", "secret"}


def test_the_usual_authorities_are_the_default():
    assert authorities({}) is True
    assert authorities({"SSL_CERT_FILE": "/a", "REQUESTS_CA_BUNDLE": "/b"}) == "/b"
