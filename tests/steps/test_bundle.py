"""The step ``clone`` of a packed project."""

from __future__ import annotations

import contextlib
import stat
import uuid

import pytest

from mlp.source.bundle import pack
from tests.servers.files_http import File, files_server
from tests.source.repositories import files_below
from tests.steps.pods import mount


@pytest.fixture
def bundle(tmp_path):
    project = tmp_path / "project"
    for name, content in {"MLproject": "name: x\n", "sub/MLproject": "name: y\n", "run.sh": "#!/bin/sh\n"}.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(content)
    (project / "run.sh").chmod(0o755)
    return pack(project)


def deliver(pod, content):
    """What the kubelet makes of the ConfigMap."""
    mount(pod.layout.bundle.parent, **{pod.layout.bundle.name: content})


def test_one_that_came_in_a_configmap_is_unpacked(pod, bundle):
    deliver(pod, bundle.content)
    (pod.layout.project / "left").mkdir(parents=True)
    pod.plan(bundle={"sha256": bundle.sha256})
    done = pod.run("clone")
    assert done.returncode == 0, done.stdout + done.stderr
    assert files_below(pod.layout.project) == {"MLproject", "sub/MLproject", "run.sh"}
    assert pod.report["message"] == f"Unpacked the bundle {bundle.sha256[:12]} that came with the run"
    assert pod.layout.init_program.exists()
    assert pod.layout.home.is_dir()
    # Container main may be another user of the group.
    assert stat.S_IMODE((pod.layout.project / "run.sh").stat().st_mode) == 0o775
    assert (pod.layout.project / "sub").stat().st_mode & stat.S_IWGRP


def test_one_in_a_store_is_downloaded_with_the_credentials_for_data(pod, bundle, s3):
    key = f"{uuid.uuid4()}.tar.gz"
    with contextlib.closing(s3.client()) as client:
        client.put_object(Bucket=s3.bucket, Key=key, Body=bundle.content)
    pod.plan(bundle={"sha256": bundle.sha256, "uri": f"s3://{s3.bucket}/{key}"}, subdirectory="sub")
    settings = s3.environment
    mount(pod.layout.data_credentials, **settings)
    done = pod.run("clone")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (pod.layout.project / "sub/MLproject").is_file()
    # Nothing of the archive stays on the volume.
    assert sorted(path.name for path in pod.layout.project.parent.iterdir()) == ["bin", "home", "project"]
    assert s3.secret_key not in done.stdout + done.stderr + pod.layout.termination_log.read_text()


def test_one_that_the_store_does_not_give_is_a_matter_of_credentials(pod, bundle, s3):
    pod.plan(bundle={"sha256": bundle.sha256, "uri": f"s3://{s3.bucket}/b.tar.gz"})
    mount(pod.layout.data_credentials, **{k: v for k, v in s3.environment.items() if "KEY" not in k})
    assert pod.run("clone").returncode == 67
    assert pod.report["reason"] == "AuthenticationFailed"
    assert "spec.data.secretRef" in pod.report["message"]


def test_one_that_is_not_there_is_not_found(pod, bundle):
    with files_server() as web:
        pod.plan(bundle={"sha256": bundle.sha256, "uri": f"{web.url}/b.tar.gz"})
        assert pod.run("clone").returncode == 66
    assert pod.report["reason"] == "SourceNotFound"
    assert "/b.tar.gz" in pod.report["message"]


def test_one_of_other_bytes_than_were_planned_is_not_unpacked(pod, bundle):
    with files_server() as web:
        web.files = {"/b.tar.gz": File(bundle.content + b"\0")}
        pod.plan(bundle={"sha256": bundle.sha256, "uri": f"{web.url}/b.tar.gz"})
        assert pod.run("clone").returncode == 64
    assert pod.report["reason"] == "SourceInvalid"
    assert list(pod.layout.project.iterdir()) == []
    assert pod.report["steps"][0]["state"] == "Failed"


def test_a_configmap_without_it_is_told_so(pod, bundle):
    mount(pod.layout.bundle.parent, other="x")
    pod.plan(bundle={"sha256": bundle.sha256})
    assert pod.run("clone").returncode == 66
    assert "no key project.tar.gz" in pod.report["message"]


def test_a_subdirectory_that_it_lacks_is_not_found_and_nothing_stays(pod, bundle):
    deliver(pod, bundle.content)
    pod.plan(bundle={"sha256": bundle.sha256}, subdirectory="nix")
    assert pod.run("clone").returncode == 66
    assert pod.report["reason"] == "SourceNotFound"
    assert "nix" in pod.report["message"]
    assert list(pod.layout.project.iterdir()) == []


def test_a_plan_of_neither_a_repository_nor_a_bundle_is_refused(pod):
    pod.plan()
    assert pod.run("clone").returncode == 64
    assert "neither a repository nor a bundle" in pod.report["message"]
