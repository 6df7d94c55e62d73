"""By what right a workspace is asked: tokens, secrets and identities that are given, and what a laptop has."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from mlp.backends.databricks import ambient, authorizing
from mlp.backends.databricks.access import (
    ambient_access,
    identity_access,
    m2m_access,
    token_access,
    token_endpoint,
)
from mlp.errors import (
    ClusterUnreachable,
    MlpError,
    UsageError,
    WorkspaceDenied,
    WorkspaceError,
    WorkspaceUnavailable,
)
from tests.backends.databricks.connected import access_to, opened
from tests.backends.databricks.odd_servers import answer, nobody, serving
from tests.databricks_server import DatabricksServer, FederationPolicy

PRINCIPAL = "11111111-2222-4333-8444-555555555555"
SECRET = "dose0123456789abcdef/+=%"
ISSUER = "https://kubernetes.default.svc"
SUBJECT = "system:serviceaccount:team:trainer"


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """What the machine's user has configured must not decide a test."""
    for name in list(os.environ):
        if name.startswith(("DATABRICKS_", "ARM_")) and not os.environ.get("MLP_TEST_DATABRICKS"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return home


@pytest.fixture
def started(tmp_path, databricks_python, databricks_driver):
    """Starts doubles with accounts of their own."""
    servers = []

    def start(**options):
        directory = tmp_path / f"double-{len(servers)}"
        server = DatabricksServer(directory, python=databricks_python, driver=databricks_driver, **options)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.close()
        assert server.mistakes == []


class Issuer:
    """An identity provider: makes tokens, and has the key that they are checked with."""

    def __init__(self):
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.made = []

    @property
    def keys(self):
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": "1", "alg": "RS256"}]}

    def policy(self, *audiences, client_id=PRINCIPAL):
        return FederationPolicy(ISSUER, audiences, self.keys, SUBJECT, client_id)

    def token(self, audience):
        claims = {"iss": ISSUER, "sub": SUBJECT, "aud": [audience], "exp": int(time.time()) + 600}
        self.made.append(jwt.encode(claims, self._key, "RS256", headers={"kid": "1"}))
        return self.made[-1]


# -- hosts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("https://adb-1.2.azuredatabricks.net", "https://adb-1.2.azuredatabricks.net"),
        ("https://adb-1.2.azuredatabricks.net/", "https://adb-1.2.azuredatabricks.net"),
        ("adb-1.2.azuredatabricks.net", "https://adb-1.2.azuredatabricks.net"),
        ("https://adb-1.2.azuredatabricks.net/?o=1234#job/1", "https://adb-1.2.azuredatabricks.net"),
        (" HTTPS://host//\n", "https://host"),
        ("host:8443", "https://host:8443"),
        ("https://gateway/databricks/", "https://gateway/databricks"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_a_host_is_taken_as_people_write_it(host, url):
    access = token_access(host, "dapi1")
    assert access.host == url
    assert access.shown == f"Databricks ({url})"
    assert token_endpoint(host) == f"{url}/oidc/v1/token"


@pytest.mark.parametrize(
    "host",
    ["", " ", "https://", "ftp://host", "https://host:port", "https://[::1", "https://a b", "file:///etc/passwd"],
)
def test_what_is_no_host_is_refused(host):
    with pytest.raises(UsageError, match="is none: write https://HOST"):
        token_access(host, "dapi1")


@pytest.mark.parametrize("host", ["https://ada:s3cret@host", "ada:s3cret@host", "https://ada:s3cret@host:port"])
def test_credentials_in_a_host_are_refused_and_not_shown(host):
    with pytest.raises(UsageError, match="has credentials in it") as refused:
        token_access(host, "dapi1")
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("token", ["", "\n", "a\nb", "tökén", "a\0b"])
def test_a_token_that_cannot_be_one_is_refused_and_not_shown(token):
    with pytest.raises(UsageError) as refused:
        token_access("host", token)
    with pytest.raises(UsageError):
        m2m_access("host", "id", token)
    assert not token.strip() or token not in str(refused.value)


def test_no_secret_is_in_what_stands_for_an_access():
    for access in (
        token_access("host", SECRET),
        m2m_access("host", PRINCIPAL, SECRET),
        identity_access("host", PRINCIPAL, lambda: SECRET),
    ):
        assert SECRET not in repr(access)


# -- what is given -----------------------------------------------------------------------------------------------------


def test_a_personal_access_token_lets_one_in(workspace):
    with opened(access_to(workspace)) as place:
        assert place.user_name()


@pytest.mark.parametrize("token", ["dapiwrong", SECRET])
def test_a_wrong_token_is_denied_and_not_shown(databricks, token):
    with opened(token_access(databricks.url, token)) as place, pytest.raises(WorkspaceDenied) as told:
        place.user_name()
    assert token not in str(told.value)
    assert len(databricks.journal.requests()) == 1


def test_a_token_with_a_line_break_behind_it_is_that_token(databricks):
    with opened(token_access(databricks.url, f"{databricks.token}\n")) as place:
        assert place.user_name() == databricks.user


def test_a_service_principal_gets_a_token_and_keeps_it(started, monkeypatch):
    server = started(principals={PRINCIPAL: SECRET})
    # Of this machine, nothing counts.
    with nobody() as elsewhere:
        monkeypatch.setenv("DATABRICKS_HOST", elsewhere)
        monkeypatch.setenv("DATABRICKS_TOKEN", "dapiother")
        monkeypatch.setenv("DATABRICKS_AUTH_TYPE", "pat")
        with opened(m2m_access(server.url, PRINCIPAL, f"{SECRET}\n")) as place:
            assert place.user_name() == PRINCIPAL
            place.git_credentials()
    assert [one["grant"] for one in server.issued] == ["client_credentials"]


def test_threads_share_a_token(started):
    server = started(principals={PRINCIPAL: SECRET})
    server.faults.add("slow", "/oidc/v1/token", seconds=0.3)
    with opened(m2m_access(server.url, PRINCIPAL, SECRET)) as place:
        threads = [threading.Thread(target=place.git_credentials) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert len(server.issued) == 1


@pytest.mark.parametrize(
    ("client_id", "secret"), [(PRINCIPAL, "dose-wrong"), ("00000000-0000-4000-8000-000000000000", SECRET)]
)
def test_a_wrong_secret_is_denied_and_not_shown(started, client_id, secret):
    server = started(principals={PRINCIPAL: SECRET})
    denied = pytest.raises(WorkspaceDenied, match=r"gives no token to the service principal: .*OAuth secret")
    with opened(m2m_access(server.url, client_id, secret)) as place, denied as told:
        place.user_name()
    assert secret not in str(told.value)
    assert base64.b64encode(f"{client_id}:{secret}".encode()).decode() not in str(told.value)


def test_a_token_that_is_no_longer_good_is_renewed(started):
    server = started(principals={PRINCIPAL: SECRET})
    with opened(m2m_access(server.url, PRINCIPAL, SECRET)) as place:
        place.git_credentials()
        server.revoke_issued_tokens()
        place.git_credentials()
    assert len(server.issued) == 2


def test_a_token_is_renewed_before_its_end(started, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(authorizing, "time", SimpleNamespace(monotonic=lambda: now[0]))
    server = started(principals={PRINCIPAL: SECRET})
    with opened(m2m_access(server.url, PRINCIPAL, SECRET)) as place:
        place.git_credentials()
        now[0] += 3299
        place.git_credentials()
        assert len(server.issued) == 1
        now[0] += 2
        place.git_credentials()
        assert len(server.issued) == 2


def test_a_token_is_used_to_its_end_if_there_is_no_other(started, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(authorizing, "time", SimpleNamespace(monotonic=lambda: now[0]))
    server = started(principals={PRINCIPAL: SECRET})
    with opened(m2m_access(server.url, PRINCIPAL, SECRET)) as place:
        place.git_credentials()
        server.faults.add("503", "/oidc/v1/token", times=None)
        now[0] += 3400
        place.git_credentials()
        now[0] += 300
        with pytest.raises(WorkspaceUnavailable, match=r"fails \(503\)"):
            place.git_credentials()
        server.faults.clear()
        place.git_credentials()


@pytest.mark.parametrize("kind", ["drop", "429", "500", "503"])
def test_a_token_endpoint_that_fails_is_asked_again(started, kind):
    server = started(principals={PRINCIPAL: SECRET})
    server.faults.add(kind, "/oidc/v1/token")
    with opened(m2m_access(server.url, PRINCIPAL, SECRET)) as place:
        assert place.user_name() == PRINCIPAL


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (answer("200 OK", b"<html></html>", kind="text/html"), WorkspaceError),
        (answer("200 OK", b'{"access_token": 3}'), WorkspaceError),
        (answer("200 OK", b'{"access_token": "a\\nX-Header: b"}'), WorkspaceError),
        (answer("302 Found", b"", headers="Location: https://elsewhere/\r\n"), WorkspaceError),
        (answer("404 Not Found", b"404 page not found", kind="text/plain"), WorkspaceError),
        (answer("400 Bad Request", b'{"error": "invalid_client"}'), WorkspaceDenied),
        (answer("403 Forbidden", b"no", kind="text/plain"), WorkspaceDenied),
    ],
)
def test_a_token_endpoint_may_be_none(act, error):
    failure = pytest.raises(WorkspaceError)
    with serving(act) as host, opened(m2m_access(host, PRINCIPAL, SECRET)) as place, failure as told:
        place.user_name()
    assert type(told.value) is error
    assert SECRET not in str(told.value)


@pytest.mark.parametrize("client_id", [PRINCIPAL, None])
def test_an_identity_is_exchanged_for_a_token(started, client_id):
    issuer = Issuer()
    server = started(policies=[issuer.policy("databricks", client_id=client_id)])
    with opened(identity_access(server.url, client_id, lambda: issuer.token("databricks"), "databricks")) as place:
        assert place.user_name() == (client_id or SUBJECT)
        place.git_credentials()
        assert len(issuer.made) == 1
        server.revoke_issued_tokens()
        place.git_credentials()
    assert len(issuer.made) == 2
    assert [one["grant"].rpartition(":")[2] for one in server.issued] == ["token-exchange"] * 2


def test_the_usual_audience_is_the_token_endpoint(started):
    issuer = Issuer()
    server = started()
    server.stop()
    server.policies.append(issuer.policy(token_endpoint(server.url)))
    server.start()
    access = identity_access(server.url, PRINCIPAL, lambda: issuer.token(access.method.audience))
    with opened(access) as place:
        assert place.user_name() == PRINCIPAL


def test_an_identity_that_nobody_trusts_is_denied_and_not_shown(started):
    issuer = Issuer()
    server = started(policies=[issuer.policy("databricks")])
    access = identity_access(server.url, PRINCIPAL, lambda: issuer.token("other"), "other")
    denied = pytest.raises(WorkspaceDenied, match=r"federation policy: .* audience, which should be other")
    with opened(access) as place, denied as told:
        place.user_name()
    assert issuer.made[0] not in str(told.value)


@pytest.mark.parametrize(("error", "kind"), [(ClusterUnreachable, WorkspaceUnavailable), (MlpError, WorkspaceDenied)])
def test_an_identity_may_not_be_had(databricks, error, kind):
    def no_token():
        raise error("no token today")

    failure = pytest.raises(kind, match=r"There is no identity token for Databricks .*: no token today")
    with opened(identity_access(databricks.url, PRINCIPAL, no_token)) as place, failure:
        place.user_name()
    assert databricks.journal.requests() == []


def test_what_is_given_needs_no_sdk(started):
    server = started(principals={PRINCIPAL: SECRET}, tokens={"dapi1": "ann@example.com"})
    code = (
        "import sys; sys.modules['databricks'] = None\n"
        "from mlp.backends.databricks.access import ambient_access, m2m_access, token_access\n"
        "from mlp.backends.databricks.workspace import connect\n"
        "url, client_id, secret = sys.argv[1:]\n"
        "ambient = ambient_access({'DATABRICKS_HOST': url, 'DATABRICKS_TOKEN': 'dapi1'})\n"
        "for access in (token_access(url, 'dapi1'), m2m_access(url, client_id, secret), ambient):\n"
        "    with connect(access) as place:\n        print(place.user_name())"
    )
    command = [sys.executable, "-c", code, server.url, PRINCIPAL, SECRET]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["ann@example.com", PRINCIPAL, "ann@example.com"]


# -- what a laptop has -------------------------------------------------------------------------------------------------


@pytest.fixture
def profiles(home, databricks):
    text = f"""\
[DEFAULT]
host = {databricks.url}/
token = {databricks.token}

[other]
host = https://other.example.com
token = dapiother
"""
    (home / ".databrickscfg").write_text(text)


def test_variables_let_one_in(databricks):
    access = ambient_access({"DATABRICKS_HOST": databricks.url, "DATABRICKS_TOKEN": databricks.token})
    with opened(access) as place:
        assert place.user_name() == databricks.user


@pytest.mark.usefixtures("profiles")
def test_a_profile_lets_one_in(databricks):
    for access in (ambient_access({}), ambient_access({}, profile="DEFAULT"), ambient_access({}, host=databricks.url)):
        with opened(access) as place:
            assert place.user_name() == databricks.user
    assert ambient_access({}, profile="other").host == "https://other.example.com"
    assert ambient_access({"DATABRICKS_CONFIG_PROFILE": "other"}).host == "https://other.example.com"


@pytest.mark.usefixtures("profiles")
def test_a_profiles_credentials_are_for_its_own_host():
    with pytest.raises(UsageError, match=r"https://elsewhere is not the workspace that credentials are configured for"):
        ambient_access({}, host="https://elsewhere")


def test_a_token_goes_to_the_host_that_was_named_with_it(databricks):
    access = ambient_access({"DATABRICKS_TOKEN": databricks.token}, host=databricks.url)
    with opened(access) as place:
        assert place.user_name() == databricks.user


def test_a_name_and_a_password_are_sent(home):
    heads = []

    def note(connection, head):
        heads.append(head.decode())
        answer("200 OK", b'{"userName": "ada"}')(connection, head)

    with serving(note) as host:
        (home / ".databrickscfg").write_text(f"[DEFAULT]\nhost = {host}\nusername = ada\npassword = s3cr3t%\n")
        access = ambient_access({})
        assert "s3cr3t" not in repr(access)
        with opened(access) as place:
            place.user_name()
    assert "Authorization: Basic " + base64.b64encode(b"ada:s3cr3t%").decode() in heads[0]


@pytest.mark.usefixtures("profiles")
def test_a_profile_that_is_not_there_is_named():
    with pytest.raises(UsageError, match=r"There is no profile 'third' in .* It has: DEFAULT, other"):
        ambient_access({}, profile="third")


def test_everything_else_is_left_to_the_sdk(started, monkeypatch):
    server = started(principals={PRINCIPAL: SECRET})
    monkeypatch.setenv("DATABRICKS_HOST", server.url)
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", PRINCIPAL)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", SECRET)
    access = ambient_access(os.environ)
    assert SECRET not in repr(access)
    with opened(access) as place:
        assert place.user_name() == PRINCIPAL
    assert [one["grant"] for one in server.issued] == ["client_credentials"]


def test_what_the_sdk_is_told_is_shown(started, monkeypatch):
    server = started(principals={PRINCIPAL: SECRET})
    monkeypatch.setenv("DATABRICKS_HOST", server.url)
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", PRINCIPAL)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", "dose-wrong")
    with pytest.raises(WorkspaceDenied, match=r"credentials of this machine do not work: .*invalid_client") as told:
        ambient_access(os.environ)
    assert "dose-wrong" not in str(told.value)


def test_without_credentials_the_way_out_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(WorkspaceDenied, match="Set DATABRICKS_HOST and DATABRICKS_TOKEN") as told:
        ambient_access({})
    assert "http_timeout" not in str(told.value)


def test_half_of_what_is_needed_is_named_with_what_is_missing(home, monkeypatch, databricks):
    monkeypatch.setenv("PATH", "/nonexistent")
    with monkeypatch.context() as patch:
        patch.setenv("DATABRICKS_HOST", databricks.url)
        with pytest.raises(WorkspaceDenied, match=f"DATABRICKS_HOST names {databricks.url}, and DATABRICKS_TOKEN is"):
            ambient_access(os.environ)
    (home / ".databrickscfg").write_text("[bare]\n")
    with pytest.raises(WorkspaceDenied, match=r"The profile 'bare' of ~/\.databrickscfg has no host and no token\."):
        ambient_access({}, profile="bare")


def test_the_sdk_does_not_make_anybody_wait_for_ever(monkeypatch):
    over = threading.Event()
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", PRINCIPAL)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", SECRET)
    with serving(lambda *_: over.wait(600)) as host:
        try:
            with pytest.raises(WorkspaceUnavailable, match=r"could not be had within 0\.5 seconds"):
                ambient.configured(profile=None, host=host, limit=0.5)
        finally:
            over.set()


def test_without_the_sdk_the_error_names_it():
    code = (
        "import sys; sys.modules['databricks'] = None\n"
        "from mlp.backends.databricks.access import ambient_access\n"
        "try:\n    ambient_access({'DATABRICKS_HOST': 'https://host'})\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith("WorkspaceError Databricks wants credentials: a token")
    assert "pip install 'mlp-operator[databricks]'" in done.stdout
