"""What every test may ask for, and which tests must have the machine for themselves."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parent
OF_THE_MACHINE = {"api_server", "cluster", "control_plane", "images", "podman"}
"""Fixtures that start nodes and containers, of which one at a time is enough for two cores."""
ROOMS = ("cluster", "images", "e2e")

pytest_plugins = [
    "tests.cluster.fixtures",
    "tests.images.fixtures",
    "tests.servers.conda_channel",
    "tests.servers.databricks_workspace",
    "tests.servers.podman",
    "tests.servers.mlflow_client",
    "tests.servers.mlflow_server",
    "tests.servers.seaweedfs",
]


def pytest_configure() -> None:
    """Let signals reach the programs that tests start: nohup and a shell's & have them ignored, for children too."""
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what must not run side by side with other tests; the rest may, in as many processes as there are cores."""
    for item in items:
        room = item.path.relative_to(ROOT).parts[0]
        if room in ROOMS or not OF_THE_MACHINE.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("machine")
