"""The Git password is in no object but its Secret, and nowhere that anybody looks."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.installation import SYSTEM, outcome, wait_until

if TYPE_CHECKING:
    from tests.e2e.installation import Installed, Workspace

KINDS = "projectruns,jobs,pods,configmaps,events,replicasets,deployments"

# Runs in the project's own container: everything that project code can read of its pod.
SPY = {
    "spy.py": """\
import os, pathlib, sys
for root in ("/mlp", "/tmp", "/run/secrets", "/var/run/secrets"):
    for path in pathlib.Path(root).rglob("*"):
        try:
            if path.is_file():
                sys.stdout.write(path.read_text(errors="replace") + "\\n")
        except OSError as error:
            print(path, error)
for process in pathlib.Path("/proc").glob("[0-9]*"):
    for name in ("cmdline", "environ"):
        try:
            print((process / name).read_bytes())
        except OSError:
            pass
print(dict(os.environ))
print("THE SPY HAS LOOKED")
"""
}


def argv_and_environments(password: bytes) -> list[str]:
    """Processes of this machine, pods and operator among them, that carry the password."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                if password in (process / name).read_bytes():
                    found.append(f"{name} of {(process / 'comm').read_text().strip()}")
            except OSError:
                continue
    return found


def test_the_git_password_is_nowhere(workspace: Workspace, installed: Installed) -> None:
    workspace.host.publish("spy.git", SPY)
    password = workspace.host.password
    wrong = "wrong-" + password[::-1]
    workspace.give_credentials(name="wrong-creds", password=wrong)
    workspace.apply(
        workspace.manifest("spy", "spy.git", entry_point="spy.py"),
        workspace.manifest("refused", "spy.git", entry_point="spy.py", secret="wrong-creds"),
    )
    seen: list[str] = []

    def both_ended() -> bool:
        seen.extend(argv_and_environments(password.encode()))
        phases = {workspace.run(name)["status"]["phase"] for name in ("spy", "refused")}
        return phases <= {"Succeeded", "Failed"}

    wait_until("both have ended", both_ended, seconds=90, pause=0.02)
    assert outcome(workspace.run("spy"))[0] == "Succeeded"
    assert outcome(workspace.run("refused"))[2] == "AuthenticationFailed"
    assert seen == []

    pod = workspace.run("spy")["status"]["kubernetes"]["podName"]
    looked = workspace.kubectl("logs", pod, "-c", "main")
    assert "THE SPY HAS LOOKED" in looked
    assert ".git/config" not in looked  # the spy printed its content, not its name
    places = {
        "what project code can read": looked,
        "the fetching container's log": workspace.kubectl("logs", pod, "-c", "fetch"),
        "the operator's log": installed.logs(),
        "objects": workspace.kubectl("get", KINDS, "-o", "json"),
        "system objects": workspace.cluster.kubectl("-n", SYSTEM, "get", KINDS, "-o", "json"),
        "nodes' words": json.dumps(json.loads(workspace.kubectl("get", "pods", "-o", "json"))["items"][0]["status"]),
    }
    for secret in (password, wrong):
        for form in (secret, base64.b64encode(f"{workspace.host.user}:{secret}".encode()).decode()):
            assert [place for place, text in places.items() if form in text] == []
        plain = base64.b64encode(secret.encode()).decode()
        assert [place for place, text in places.items() if plain in text] == []
