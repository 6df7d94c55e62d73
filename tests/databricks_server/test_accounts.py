"""How databricks-sdk's own client gets into the double, and how it does not."""

from __future__ import annotations

import datetime as dt
import json

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from databricks.sdk.errors import PermissionDenied, Unauthenticated

from tests.databricks_server import DatabricksServer, FederationPolicy
from tests.databricks_server.clients import client, submit

ISSUER = "https://kubernetes.default.svc"
SUBJECT = "system:serviceaccount:team:runner"
ROBOT = "5a6b0000-0000-4000-8000-00000000cafe"


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(autouse=True)
def no_other_credentials(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "no.cfg"))


@pytest.fixture
def databricks(tmp_path, key):
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": "k1", "alg": "RS256"}
    policy = FederationPolicy(ISSUER, ("databricks",), {"keys": [public]}, SUBJECT, ROBOT)
    with DatabricksServer(tmp_path / "databricks", principals={ROBOT: "s3cret"}, policies=[policy]) as server:
        yield server
    assert server.mistakes == []


def token(key, **changes):
    now = dt.datetime.now(dt.UTC)
    claims = {"iss": ISSUER, "sub": SUBJECT, "aud": ["databricks"], "exp": now + dt.timedelta(minutes=5)}
    return jwt.encode(claims | changes, key, algorithm="RS256", headers={"kid": "k1"})


def robot(databricks, file):
    return client(databricks.url, client_id=ROBOT, oidc_token_filepath=str(file), auth_type="file-oidc")


def test_a_personal_access_token_is_a_user(databricks):
    with_token = client(databricks.url, token=databricks.token)

    assert with_token.current_user.me().user_name == "ann@example.com"
    assert {each.identity for each in databricks.journal.requests(path="/api/")} == {"ann@example.com"}


def test_a_service_principal_s_secret_is_exchanged_for_a_token_that_ends(databricks):
    service = client(databricks.url, client_id=ROBOT, client_secret="s3cret")
    databricks.script("", "SUCCESS")

    submit(service, "/Workspace/x.py")

    assert service.config.auth_type == "oauth-m2m"
    assert [run["creator"] for run in databricks.runs()] == [ROBOT]
    databricks.revoke_issued_tokens()
    with pytest.raises(PermissionDenied):
        service.current_user.me()


def test_a_service_account_s_token_is_exchanged(databricks, key, tmp_path):
    file = tmp_path / "token"
    file.write_text(token(key))

    assert robot(databricks, file).current_user.me().user_name == ROBOT
    assert [each["identity"] for each in databricks.issued] == [ROBOT]


def test_a_token_outlives_the_server_that_issued_it(databricks):
    service = client(databricks.url, client_id=ROBOT, client_secret="s3cret")
    service.current_user.me()

    databricks.kill()
    databricks.start()

    assert service.current_user.me().user_name == ROBOT
    assert databricks.issued == []


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "system:serviceaccount:team:other"},
        {"iss": "https://elsewhere.example"},
        {"aud": ["others"]},
        {"exp": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)},
    ],
)
def test_a_token_of_somebody_else_is_not_exchanged(databricks, key, tmp_path, changes):
    file = tmp_path / "token"
    file.write_text(token(key, **changes))

    with pytest.raises(ValueError, match="Token exchange failed"):
        robot(databricks, file).current_user.me()


def test_a_forged_token_is_not_exchanged(databricks, tmp_path):
    file = tmp_path / "token"
    file.write_text(token(rsa.generate_private_key(public_exponent=65537, key_size=2048)))

    with pytest.raises(ValueError, match="Signature verification failed"):
        robot(databricks, file).current_user.me()


def test_wrong_credentials_are_refused_as_databricks_words_it(databricks):
    with pytest.raises(PermissionDenied, match="Invalid access token"):
        client(databricks.url, token="dapi0").current_user.me()
    with pytest.raises(ValueError, match="invalid_client"):
        client(databricks.url, client_id=ROBOT, client_secret="wrong").current_user.me()
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{databricks.url}/api/2.0/preview/scim/v2/Me", timeout=60)
    assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")


def test_an_issued_token_ends(tmp_path):
    with (
        DatabricksServer(tmp_path / "d", principals={ROBOT: "s3cret"}, token_lifetime=0) as server,
        requests.Session() as session,
    ):
        session.trust_env = False
        form = {"grant_type": "client_credentials", "scope": "all-apis"}
        issued = session.post(f"{server.url}/oidc/v1/token", form, auth=(ROBOT, "s3cret"), timeout=60).json()
        with pytest.raises(Unauthenticated, match="expired"):
            client(server.url, token=issued["access_token"]).current_user.me()


def test_git_credentials_are_listed_without_their_passwords(tmp_path):
    mine = {"credential_id": 1, "git_provider": "gitHub", "git_username": "ann", "password": "s3cret"}
    with DatabricksServer(tmp_path / "d", git_credentials={"ann@example.com": [mine]}) as server:
        (listed,) = client(server.url, token=server.token).git_credentials.list()

    assert (listed.git_provider, listed.git_username) == ("gitHub", "ann")
    assert server.mistakes == []
