"""What the operator asks of a real API server for Databricks: short-lived tokens, and ConfigMaps with logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import jwt
import pytest
from kubernetes.aio.config import kube_config

from mlp_operator.machinery.cluster import ApiError, Cluster
from mlp_operator.machinery.metrics import Metrics
from mlp_operator.runs.kept_logs import keep_log
from tests.operator.build import project_run, run_body
from tests.operator.test_jobs_on_an_api_server import wait_for_the_account
from tests.projectruns import make_known

if TYPE_CHECKING:
    from tests.cluster import Cluster as TestCluster


@pytest.fixture
def connected(api_server: TestCluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    # The client reads KUBECONFIG once, when it is imported.
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(Path(api_server.kubeconfig).absolute()))
    return Cluster(timeout=60, metrics=Metrics())


async def test_a_token_is_for_one_account_one_audience_and_a_short_time(
    connected: Cluster, api_server: TestCluster, namespace: str
) -> None:
    wait_for_the_account(api_server, namespace)
    async with connected as cluster:
        token = await cluster.token(namespace, "default", audience="https://dbc.example.org/oidc/v1/token", seconds=600)
        with pytest.raises(ApiError) as refused:
            await cluster.token(namespace, "nobody", audience="dbc", seconds=600)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["sub"] == f"system:serviceaccount:{namespace}:default"
    assert claims["aud"] == ["https://dbc.example.org/oidc/v1/token"]
    assert claims["exp"] - claims["iat"] == 600
    assert refused.value.not_found


async def test_a_log_is_kept_and_replaced(connected: Cluster, api_server: TestCluster, namespace: str) -> None:
    # One that is there: the API server's garbage collector takes away what belongs to nobody.
    make_known(api_server)
    body = run_body(managedBy="example.org/nobody") | {"metadata": {"name": "wine", "namespace": namespace}}
    made = json.loads(api_server.kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(body)))
    run = project_run(metadata={"name": "wine", "namespace": namespace, "uid": made["metadata"]["uid"]})
    control = "".join(map(chr, range(32))) * 20_000
    async with connected as cluster:
        assert await keep_log(cluster, run, "1", control) == "wine-log-1"
        assert await keep_log(cluster, run, "1", f"{'x' * (600 << 10)}\nlast ä\x00\ud800\n") == "wine-log-1"
        missing = project_run(metadata={"name": "wine", "namespace": "no-such-namespace", "uid": run.uid})
        assert await keep_log(cluster, missing, "1", "text") is None
    found = json.loads(api_server.kubectl("get", "configmap", "wine-log-1", "-n", namespace, "-o", "json"))
    assert found["data"]["log"].endswith("last ä\x00?\n")
    assert found["metadata"]["labels"]["mlp.dev/projectrun"] == "wine"
    assert [owner["uid"] for owner in found["metadata"]["ownerReferences"]] == [run.uid]
