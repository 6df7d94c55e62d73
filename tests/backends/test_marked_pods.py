"""Asking the API server which pods have ended, over TLS, as a pod's ServiceAccount does."""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from click.testing import CliRunner

from mlp.backends.marked_pods import ServiceAccount, ended
from mlp.cli import env
from mlp.environment import EnvironmentCache
from mlp.environment.uses import Use, User, mark
from mlp.errors import ClusterError, ClusterUnreachable, UsageError
from mlp.resources.names import ENVIRONMENTS_DIRECTORY
from tests.tracking import certificates

TOKEN = "the-token"
HASH = "0" * 20


def pod(uid, phase="Running"):
    return {"metadata": {"uid": uid, "name": f"run-{uid}"}, "status": {"phase": phase}}


def use(identifier, holder):
    return Use(HASH, identifier, holder, 0.0)


class Server(ThreadingHTTPServer):
    """One path of the API: the pods of a namespace, in pages of two."""

    daemon_threads = True

    def __init__(self, context):
        self.pods = {}
        self.requests = []
        self.answer = None
        super().__init__(("127.0.0.1", 0), _Handler)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request, client_address):
        """A client that does not trust us leaves no handshake: nobody has to know."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.server.requests.append((parts.path, query, self.headers.get("Authorization")))
        status, body = self.server.answer or (200, json.dumps(self._page(parts.path.split("/")[4], query)).encode())
        self.send_response(status)
        self.send_header("Location", "https://example.org/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _page(self, namespace, query):
        pods, begin = self.server.pods.get(namespace, []), int(query.get("continue", 0))
        more = {"continue": str(begin + 2)} if len(pods) > begin + 2 else {}
        return {"kind": "PodList", "metadata": {"resourceVersion": "1", **more}, "items": pods[begin : begin + 2]}

    def log_message(self, *_):
        """Silence."""


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("pki") / "made")


@pytest.fixture
def server(pki):
    with Server(certificates.serving_context(pki)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def mounted(tmp_path, pki):
    """What the kubelet mounts of a ServiceAccount."""
    directory = tmp_path / "serviceaccount"
    directory.mkdir()
    (directory / "namespace").write_text("own")
    (directory / "token").write_text(f"{TOKEN}\n")
    (directory / "ca.crt").write_bytes((pki / "ca.pem").read_bytes())
    return directory


@pytest.fixture
def account(server, mounted, monkeypatch):
    # Neither the machine's proxy nor its authorities have anything to do with it.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    variables = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.server_address[1])}
    return ServiceAccount.of_pod(variables, mounted)


def test_pods_that_have_finished_or_are_gone_have_ended(server, account):
    server.pods = {
        "own": [pod("pending", "Pending"), pod("running"), pod("failed", "Failed")],
        "team": [pod("one"), pod("done", "Succeeded"), pod("lost", "Unknown"), pod("last"), pod("young", "")],
    }
    own = [use(each, "own/x") for each in ("pending", "running", "failed", "gone")]
    team = [use(each, "team/x") for each in ("one", "done", "lost", "last", "young")]
    assert [each.id for each in ended([*own, *team], account)] == ["failed", "gone", "done"]
    assert {path for path, _, _ in server.requests} == {"/api/v1/namespaces/own/pods", "/api/v1/namespaces/team/pods"}
    assert {query["labelSelector"] for _, query, _ in server.requests} == {"mlp.dev/projectrun"}
    # An answer from a cache could be older than a mark.
    assert not [query for _, query, _ in server.requests if "resourceVersion" in query]
    assert {authorization for _, _, authorization in server.requests} == {f"Bearer {TOKEN}"}


def test_a_mark_without_a_namespace_is_looked_for_in_our_own(server, account):
    server.pods = {"own": [pod("here")]}
    assert [each.id for each in ended([use("here", ""), use("gone", "?")], account)] == ["gone"]


def test_nobody_is_asked_about_nothing(server, account):
    assert ended([], account) == []
    assert not server.requests


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((403, b"{}"), ClusterError, "Pods of namespace own.* cannot be listed.*HTTP 403.*deploy/env-prune.yaml"),
        ((401, b"{}"), ClusterError, "HTTP 401"),
        ((410, b"{}"), ClusterUnreachable, "HTTP 410"),
        ((500, b""), ClusterUnreachable, "HTTP 500"),
        ((302, b""), ClusterUnreachable, "HTTP 302"),
        ((200, b"<html>"), ClusterUnreachable, "not answer in JSON"),
    ],
)
def test_an_answer_that_is_none_says_nothing_of_any_mark(server, account, answer, kind, said):
    server.answer = answer
    with pytest.raises(kind, match=said) as raised:
        ended([use("x", "own/x")], account)
    assert "No environment was deleted." in str(raised.value)
    assert TOKEN not in str(raised.value)


def test_a_server_that_another_authority_vouches_for_is_not_believed(server, account, mounted, tmp_path):
    other = certificates.make(tmp_path / "other")
    (mounted / "ca.crt").write_bytes((other / "ca.pem").read_bytes())
    with pytest.raises(ClusterUnreachable, match="cannot be reached"):
        ended([use("x", "own/x")], account)
    assert not server.requests


def test_outside_of_a_pod_and_without_a_token_the_way_in_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"for pods: KUBERNETES_SERVICE_HOST is not set. See deploy/env-prune.yaml"):
        ServiceAccount.of_pod({}, tmp_path)
    with pytest.raises(UsageError, match="needs the token of a ServiceAccount"):
        ServiceAccount.of_pod({"KUBERNETES_SERVICE_HOST": "::1"}, tmp_path)


def test_an_address_of_the_sixth_version_stands_in_brackets(mounted):
    assert ServiceAccount.of_pod({"KUBERNETES_SERVICE_HOST": "fd00::1"}, mounted).server == "https://[fd00::1]:443"


class TestCommand:
    """``mlp env prune --in-cluster`` over a cache with three environments; the files alone, nothing is built."""

    @pytest.fixture
    def cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("MLP_ENV_ROOT", str(tmp_path / "envs"))
        cache = EnvironmentCache.default()
        cache.layout.lock("").parent.mkdir(parents=True)
        for digit in "abc":
            cache.layout.lock(digit * 20).touch()
            os.utime(cache.layout.lock(digit * 20), (1.0, 1.0))
            marker = cache.layout.marker(digit * 20)
            marker.parent.mkdir(parents=True)
            marker.write_text(json.dumps({"kind": "conda", "file": "conda.yaml", "built": 1.0, "python": False}))
        mark(cache.layout, "a" * 20, User("running", "own/run-1"))
        mark(cache.layout, "b" * 20, User("done", "own/run-2"))
        return cache

    @pytest.fixture
    def prune(self, account, monkeypatch):
        monkeypatch.setattr(ServiceAccount, "of_pod", lambda: account)

        def run(*arguments):
            return CliRunner().invoke(env.command, ["prune", "--in-cluster", *arguments])

        return run

    def left(self, cache):
        return sorted(kept.hash[0] for kept in cache.list())

    def test_what_an_unfinished_run_uses_is_never_deleted(self, server, cache, prune):
        server.pods = {"own": [pod("running"), pod("done", "Succeeded")]}
        shown = prune("--all", "--dry-run")
        assert shown.exit_code == 0, shown.output
        assert (self.left(cache), len(cache.uses())) == (["a", "b", "c"], 2)
        done = prune("--all")
        assert done.exit_code == 0, done.output
        assert "Pods that use environments: 1; that did, and have ended: 1." in done.output
        assert f"{'a' * 20} stays" in done.output
        assert self.left(cache) == ["a"]
        assert [each.id for each in cache.uses()] == ["running"]

    def test_an_old_mark_holds_as_long_as_its_pod_runs(self, server, cache, prune):
        server.pods = {"own": [pod("running")]}
        a_month_ago = time.time() - 30 * 86400
        os.utime(cache.layout.uses("a" * 20) / "running", (a_month_ago, a_month_ago))
        assert prune("--unused-for", "1d").exit_code == 0
        assert self.left(cache) == ["a"]

    def test_where_the_cluster_does_not_answer_everything_stays(self, server, cache, prune):
        server.answer = (500, b"")
        done = prune("--all")
        assert isinstance(done.exception, ClusterUnreachable)
        assert self.left(cache) == ["a", "b", "c"]
        assert len(cache.uses()) == 2


class TestManifest:
    """deploy/env-prune.yaml, as far as it can be told without a cluster."""

    @pytest.fixture
    def objects(self):
        text = Path(__file__).parents[2].joinpath("deploy", "env-prune.yaml").read_text()
        return {each["kind"]: each for each in yaml.safe_load_all(text)}

    def test_it_calls_a_command_that_there_is(self, objects):
        (container,) = objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        program, group, *arguments = container["command"]
        assert (program, group) == ("mlp", "env")
        name, *options = arguments
        assert env.command.commands[name].make_context(name, options).params["in_cluster"] is True
        assert {"name": "MLP_ENV_ROOT", "value": ENVIRONMENTS_DIRECTORY} in container["env"]

    def test_it_may_list_pods_and_nothing_else(self, objects):
        assert [(rule["resources"], rule["verbs"]) for rule in objects["Role"]["rules"]] == [(["pods"], ["list"])]
        (subject,) = objects["RoleBinding"]["subjects"]
        pod = objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert subject["name"] == pod["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"]

    def test_its_pod_is_one_that_the_restricted_standard_lets_in(self, objects):
        pod = objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
