"""``mlp submit`` of what lies on this machine, as a user calls it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json

import pytest
import yaml

from mlp.source.bundle import unpack
from tests.cli.program import commit, mlp, project
from tests.resources.manifests import URI
from tests.source.repositories import files_below, noise

NO_CLUSTER = {"KUBECONFIG": "/nonexistent/kubeconfig"}


@pytest.fixture
def wine(tmp_path):
    root = project(tmp_path / "wine", "python train.py {data}", parameters={"data": "path"})
    (root / "train.py").write_text("print('trained')")
    (tmp_path / "red.csv").write_text("red")
    return root


def test_a_dry_run_writes_everything_that_kubectl_needs_and_says_what_goes(wine, tmp_path, runs):
    commit(wine)
    (wine / "new.py").write_text("")

    done = mlp("submit", ".", "-P", "data=@../red.csv", "--dry-run=client", "-o", "yaml", cwd=wine, **NO_CLUSTER)

    run, bundle, files = yaml.safe_load_all(done.stdout)
    assert "Sending 3 files, " in done.stderr
    assert "with changes) (dry run)" in done.stderr
    assert "Sending along red.csv as data, 3 bytes (dry run)" in done.stderr
    assert "has no owner" in done.stderr
    archive = tmp_path / "bundle"
    archive.write_bytes(base64.b64decode(bundle["binaryData"]["project.tar.gz"]))
    assert unpack(archive, tmp_path / "into", sha256=run["spec"]["project"]["bundle"]["sha256"]) == 3
    assert files_below(tmp_path / "into") == {"MLproject", "train.py", "new.py"}
    assert run["spec"]["parameters"] == [{"name": "data", "value": "/var/run/mlp/files/data/red.csv"}]
    assert base64.b64decode(files["binaryData"]["file-0"]) == b"red"
    assert runs.kubectl("apply", "--dry-run=server", "-f", "-", stdin=done.stdout).count("(server dry run)") == 3


def test_a_directory_is_submitted_and_nothing_but_the_run_is_printed(wine, runs):
    done = runs.mlp("submit", wine, "-P", f"data=@{wine.parent / 'red.csv'}", "--name", "wine")

    assert done.stdout == "projectrun.mlp.dev/wine created\n"
    assert done.stderr.startswith("Sending 2 files, ")
    bundle = runs.read("wine")["spec"]["project"]["bundle"]
    stored = json.loads(runs.kubectl("get", "configmap", bundle["configMapName"], "-o", "json"))
    content = base64.b64decode(stored["binaryData"]["project.tar.gz"])
    assert hashlib.sha256(content).hexdigest() == bundle["sha256"]
    assert stored["metadata"]["ownerReferences"][0]["name"] == "wine"


def test_a_large_directory_goes_to_the_store_once_and_never_in_a_dry_run(wine, runs, s3):
    (wine / "weights.bin").write_bytes(noise(1_200_000, 1))
    place = f"s3://{s3.bucket}/staged"
    options = ("submit", str(wine), "-P", f"data=@{wine.parent / 'red.csv'}")

    without = runs.mlp(*options)
    tried = runs.mlp(*options, "--staging", place, "--dry-run=server", **s3.environment)
    with contextlib.closing(s3.client()) as client:
        before = client.list_objects_v2(Bucket=s3.bucket, Prefix="staged/").get("Contents", [])
        sent = [runs.mlp(*options, MLP_STAGING=place, **s3.environment) for _ in range(2)]
        (item,) = client.list_objects_v2(Bucket=s3.bucket, Prefix="staged/")["Contents"]

    assert without.returncode == 1
    assert "weights.bin (1.2 MB)" in without.stderr
    assert "--staging s3://BUCKET/PREFIX" in without.stderr
    assert (tried.returncode, before) == (0, [])
    bundles = [runs.read(name)["spec"]["project"]["bundle"] for name in runs.names()]
    assert [done.returncode for done in sent] == [0, 0], sent
    assert len(bundles) == 2
    for bundle in bundles:
        assert bundle["uri"] == f"s3://{s3.bucket}/{item['Key']}" == f"{place}/{bundle['sha256']}.tar.gz"


def test_a_project_that_would_fail_is_not_sent(wine, runs):
    done = runs.mlp("submit", wine, "-P", "data=red.csv")

    assert done.returncode != 0
    assert "which is not among what is sent" in done.stderr
    assert runs.names() == []


def test_a_run_submitted_in_a_run_becomes_its_child(runs):
    runs.create("driver", experiment={"name": "wine"})
    runs.report("driver", phase="Running", succeeded="Unknown", reason="Running")

    done = runs.mlp("submit", URI, "--name", "child", MLP_PROJECTRUN="driver", MLP_NAMESPACE=runs.namespace)

    assert done.returncode == 0, done.stderr
    child = runs.read("child")
    assert [owner["name"] for owner in child["metadata"]["ownerReferences"]] == ["driver"]
    assert child["spec"]["experiment"]["name"] == "wine"


def test_a_file_that_is_not_there_is_told_before_any_cluster_is_asked():
    done = mlp("submit", URI, "-P", "data=@no/such.csv", **NO_CLUSTER)

    assert "Parameter data: there is no file no/such.csv to be sent along" in done.stderr
    literal = mlp("submit", URI, "-P", "data=@@ann", "--dry-run=client", "-o", "yaml", **NO_CLUSTER)
    assert yaml.safe_load(literal.stdout)["spec"]["parameters"] == [{"name": "data", "value": "@ann"}]
