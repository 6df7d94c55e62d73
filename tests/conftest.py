"""What every test may ask for."""

from __future__ import annotations

pytest_plugins = [
    "tests.cluster.fixtures",
    "tests.images.fixtures",
    "tests.servers.conda_channel",
    "tests.servers.podman",
    "tests.servers.mlflow_server",
    "tests.servers.seaweedfs",
]
