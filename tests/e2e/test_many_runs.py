"""A hundred runs at once: none lost, none doubled, and the API server is asked for little."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.e2e.installation import wait_until

if TYPE_CHECKING:
    from tests.e2e.installation import Installed, Workspace

RUNS = 100


@pytest.mark.timeout(600)
def test_a_hundred_runs_at_once(workspace: Workspace, installed: Installed) -> None:
    before = installed.writes()
    workspace.apply(*(workspace.manifest(f"run-{number}", "probe.git") for number in range(RUNS)))

    def phases() -> Counter[str]:
        listed = json.loads(workspace.kubectl("get", "projectruns", "-o", "json"))["items"]
        return Counter(each.get("status", {}).get("phase", "") for each in listed)

    last = Counter[str]()

    def all_ended() -> bool:
        last.clear()
        last.update(phases())
        return last["Succeeded"] + last["Failed"] == RUNS

    wait_until(f"all have ended: {last}", all_ended, seconds=480, pause=1.0)
    assert last == {"Succeeded": RUNS}
    assert len(workspace.names("jobs")) == RUNS
    # One pod each: nothing was started twice.
    assert len(workspace.names("pods")) == RUNS
    after = installed.writes()
    made = {kind: after[kind] - before.get(kind, 0) for kind in after if after[kind] != before.get(kind, 0)}
    assert made["POST jobs"] == RUNS
    # Four each; one that starts slowly on a busy machine is told so in one more.
    assert sum(made.values()) <= 4 * RUNS + RUNS // 5, made
