"""The project's images in the session's cluster, as a pytest fixture."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.cluster.fixtures import EXISTING, own_kind
from tests.images.building import OPERATOR, RUNNER, Image, build

if TYPE_CHECKING:
    from tests.cluster import Cluster


@pytest.fixture(scope="session")
def images(cluster: Cluster) -> tuple[Image, ...]:
    """The runner's and the operator's image, built from this tree and known to the cluster's node."""
    both = (RUNNER, OPERATOR)
    cluster.load(*map(build, both))
    return both


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Build before the first test, where no test's timeout runs."""
    wanted = any("images" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and own_kind() == "node" and not os.environ.get(EXISTING) and not session.config.option.collectonly:
        for image in (RUNNER, OPERATOR):
            build(image)
