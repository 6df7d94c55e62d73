"""By which right a run asks its workspace: what its spec and its Secret say, and what to do where they don't."""

from __future__ import annotations

import base64

import pytest

from mlp.errors import WorkspaceDenied
from mlp_operator.runs.workspace_access import Entrance, WayIn, way_in

HOST = "https://dbc.example.org"


def secret(**keys):
    return {"data": {key: base64.b64encode(text.encode()).decode() for key, text in keys.items()}}


def entrance(**fields):
    return Entrance("team-a", **{"secret": "dbx", **fields})


ALLOWED = {
    "a token": ({"host": HOST}, {"token": "dapi1\n"}, WayIn(HOST, "Token", token="dapi1")),
    "the host in the Secret": ({}, {"host": HOST, "token": "t"}, WayIn(HOST, "Token", token="t")),
    "the SDK's names": ({}, {"DATABRICKS_HOST": HOST, "DATABRICKS_TOKEN": "t"}, WayIn(HOST, "Token", token="t")),
    "both names for the same": ({}, {"host": HOST, "token": "t", "DATABRICKS_TOKEN": "t"}, WayIn(HOST, "Token", "t")),
    "a host without a scheme": ({}, {"host": "Dbc.Example.org/", "token": "t"}, WayIn(HOST, "Token", token="t")),
    "what a browser shows": ({"host": f"{HOST}/?o=12#x"}, {"token": "t"}, WayIn(HOST, "Token", token="t")),
    "the same host twice": ({"host": f"{HOST}/"}, {"host": HOST, "token": "t"}, WayIn(HOST, "Token", token="t")),
    "a service principal": (
        {"host": HOST},
        {"clientId": "id", "clientSecret": "s"},
        WayIn(HOST, "OAuthM2M", client_id="id", client_secret="s"),
    ),
    "a service principal by the SDK's names": (
        {"host": HOST},
        {"DATABRICKS_CLIENT_ID": "id", "DATABRICKS_CLIENT_SECRET": "s"},
        WayIn(HOST, "OAuthM2M", client_id="id", client_secret="s"),
    ),
    "one of two, chosen": (
        {"host": HOST, "method": "OAuthM2M"},
        {"token": "t", "clientId": "id", "clientSecret": "s"},
        WayIn(HOST, "OAuthM2M", client_id="id", client_secret="s"),
    ),
    "workload identity": (
        {"host": HOST, "method": "WorkloadIdentity", "secret": None},
        None,
        WayIn(HOST, "WorkloadIdentity", service_account="default", audience=f"{HOST}/oidc/v1/token"),
    ),
    "workload identity, by its fields": (
        {"host": HOST, "secret": None, "service_account": "trainer", "client_id": "id", "audience": "dbx"},
        None,
        WayIn(HOST, "WorkloadIdentity", client_id="id", service_account="trainer", audience="dbx"),
    ),
    "workload identity, the host in a Secret": (
        {"service_account": "trainer"},
        {"host": HOST, "clientId": "id"},
        WayIn(HOST, "WorkloadIdentity", client_id="id", service_account="trainer", audience=f"{HOST}/oidc/v1/token"),
    ),
}


@pytest.mark.parametrize(("fields", "keys", "expected"), ALLOWED.values(), ids=ALLOWED)
def test_a_way_in(fields, keys, expected):
    assert way_in(entrance(**fields), None if keys is None else secret(**keys)) == expected


DENIED = {
    "no host": ({}, {"token": "t"}, r"give spec\.backend\.databricks\.host .* or in the key host of the Secret dbx"),
    "another host": (
        {"host": HOST},
        {"host": "https://other.example.org", "token": "t"},
        r"databricks\.host is https://dbc.example.org, and the Secret dbx is for https://other.example.org",
    ),
    "nothing": ({"host": HOST, "secret": None}, None, r"Name a Secret .* or set spec\.backend\.databricks\.auth"),
    "an empty Secret": ({"host": HOST}, {}, "The Secret dbx .* has no credentials: neither token nor clientId"),
    "an empty token": ({"host": HOST}, {"token": " \n"}, "has no credentials"),
    "both": (
        {"host": HOST},
        {"token": "t", "clientId": "i", "clientSecret": "s"},
        r"both a token and a clientSecret.*spec\.backend\.databricks\.auth",
    ),
    "two tokens": ({"host": HOST}, {"token": "t", "DATABRICKS_TOKEN": "u"}, "token and DATABRICKS_TOKEN differ"),
    "no token": ({"host": HOST, "method": "Token"}, {"clientSecret": "s"}, "has no key token or DATABRICKS_TOKEN"),
    "no client id": ({"host": HOST}, {"clientSecret": "s"}, "has no key clientId or DATABRICKS_CLIENT_ID"),
    "no Secret": ({"host": HOST, "method": "Token", "secret": None}, None, r"Secret with token .*\.secretRef"),
    "clear text": ({"host": "http://dbc"}, {"token": "t"}, r"databricks\.host is http://dbc: .* clear text"),
    "clear text in the Secret": ({}, {"host": "http://dbc", "token": "t"}, "The key host of Secret dbx is http://dbc"),
    "credentials in the host": ({"host": "https://u:hidden@dbc"}, {"token": "t"}, r"databricks\.host is no URL"),
    "no host in the URL": ({}, {"host": "https://", "token": "t"}, "The key host of Secret dbx is no URL"),
    "a port that is none": ({}, {"host": "https://dbc:hidden", "token": "t"}, "The key host of Secret dbx is no URL"),
    "a line break within": ({"host": HOST}, {"token": "hid\nden"}, "The key token of Secret dbx has characters"),
}


@pytest.mark.parametrize(("fields", "keys", "complaint"), DENIED.values(), ids=DENIED)
def test_what_is_missing_or_contradicts_itself_is_named_and_no_secret_is(fields, keys, complaint):
    with pytest.raises(WorkspaceDenied, match=complaint) as denied:
        way_in(entrance(**fields), None if keys is None else secret(**keys))
    assert "hid" not in str(denied.value)


def test_bytes_that_are_no_text_are_named():
    with pytest.raises(WorkspaceDenied, match="The key token of Secret dbx is no text"):
        way_in(entrance(host=HOST), {"data": {"token": base64.b64encode(b"\xff\xfe").decode()}})


def test_plain_http_is_taken_where_the_operator_allows_it():
    found = way_in(entrance(host="http://127.0.0.1:8080"), secret(token="t"), plain_http=True)
    assert found.host == "http://127.0.0.1:8080"


def test_nothing_secret_is_shown():
    shown = repr([way_in(entrance(host=HOST), secret(token="hidden"))])
    shown += repr([way_in(entrance(host=HOST), secret(clientId="id", clientSecret="hidden"))])
    assert "hidden" not in shown


@pytest.mark.parametrize(
    "audience",
    ["https://kubernetes.default.svc", "https://Kubernetes.default.svc.cluster.local:443", "kubernetes.default"],
)
def test_no_token_is_made_that_the_cluster_itself_would_believe(audience):
    asked = entrance(host=HOST, method="WorkloadIdentity", secret=None, audience=audience)
    with pytest.raises(WorkspaceDenied, match="the cluster itself believes"):
        way_in(asked, None)


def test_an_audience_that_only_begins_like_the_clusters_is_taken():
    asked = entrance(host=HOST, method="WorkloadIdentity", secret=None, audience="kubernetes.default-databricks")
    assert way_in(asked, None).audience == "kubernetes.default-databricks"
