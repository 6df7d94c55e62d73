"""The test session's cluster, as pytest fixtures: started by the first test that asks, gone with the session.

`cluster` runs pods; `api_server` is the same cluster where there is one, and a control plane alone on a machine that
cannot run pods. `control_plane` is one of the test's own, for operators that it starts itself. What a machine lacks
skips the tests that need it, saying what is missing; in CI (the variable CI) it fails them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster import binaries
from tests.cluster.cluster import Cluster, OwnCluster, find, start_for_this_process
from tests.cluster.packages import Missing, is_root

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.cluster.layout import Kind

EXISTING = "MLP_TEST_KUBECONFIG"
"""Names a kubeconfig: tests use that cluster (kind's, or a developer's own from `make cluster-up`) and start none."""


def is_ci() -> bool:
    """Must everything be there."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def own_kind() -> Kind:
    """The kind of cluster that this machine can run for us."""
    return "node" if is_root() else "control-plane"


@pytest.fixture(scope="session")
def api_server() -> Iterator[Cluster]:
    """A Kubernetes API server with its controllers; with a node too, if the machine can."""
    if existing := os.environ.get(EXISTING):
        found = find(Path(existing).absolute())
        yield found
        if isinstance(found, OwnCluster):
            found.release()
        return
    own = start_for_this_process(own_kind())
    try:
        yield own
    finally:
        own.stop()


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """A Kubernetes that runs pods."""
    if not os.environ.get(EXISTING) and own_kind() != "node":
        raise Missing("pods need a kubelet, and that needs root: run the tests as root, or set " + EXISTING)
    running: Cluster = request.getfixturevalue("api_server")
    if not running.has_node:
        raise Missing(f"the cluster of {EXISTING} is a control plane alone: it has no kubelet")
    return running


@pytest.fixture
def control_plane() -> Iterator[OwnCluster]:
    """A Kubernetes API server with its controllers, empty, where nobody's operator is but the test's."""
    own = start_for_this_process("control-plane")
    try:
        yield own
    finally:
        own.stop()


@pytest.fixture
def namespace(api_server: Cluster) -> Iterator[str]:
    """A namespace of the test's own, under Pod Security `restricted`; deleted in the background afterwards."""
    name = f"test-{secrets.token_hex(4)}"
    api_server.kubectl("create", "namespace", name)
    api_server.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    api_server.kubectl("delete", "namespace", name, "--wait=false")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a node: `-m "not cluster"` leaves it out."""
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker("cluster")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Build Kubernetes before the first test, where no test's timeout runs."""
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if session.config.option.collectonly:
        return
    if "control_plane" in wanted:
        with contextlib.suppress(Missing):  # told by the tests that need it
            binaries.directory("control-plane")
    if not wanted.isdisjoint({"api_server", "cluster"}) and not os.environ.get(EXISTING):
        binaries.directory(own_kind())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    """Skip what this machine lacks."""
    return (yield from _skipping())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Skip what this machine lacks."""
    return (yield from _skipping())


def _skipping() -> Generator[None, object, object]:
    try:
        return (yield)
    except Missing as missing:
        if is_ci():
            raise  # there a missing cluster, server or tool is a failure: tests/cluster/test_ending.py holds it
        pytest.skip(str(missing))
