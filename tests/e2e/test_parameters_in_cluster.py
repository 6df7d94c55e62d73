"""Parameters in the cluster's meaning: values from Secrets and ConfigMaps, paths of a pod."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any

from tests.e2e.installation import SYSTEM, condition, outcome

if TYPE_CHECKING:
    from tests.e2e.installation import Installed, Workspace
    from tests.e2e.services import Tracking

PROJECT = {
    "MLproject": """\
name: given
entry_points:
  main:
    parameters:
      token: string
      colour: string
      table: {type: path, default: data/table.csv}
      page: {type: uri, default: data/table.csv}
    command: "python given.py {token} {colour} {table} {page}"
""",
    "given.py": """\
import hashlib, json, sys
token, *others = sys.argv[1:]
print("GIVEN", json.dumps([hashlib.sha256(token.encode()).hexdigest(), *others]))
for path in others[1:3]:
    print("READ", open(path).read())
""",
    "data/table.csv": "x,y\\n",
}
KINDS = "projectruns,jobs,pods,configmaps,events"


def from_secret(key: str = "token") -> dict[str, Any]:
    """A parameter whose value stands in a Secret."""
    return {"secretKeyRef": {"name": "api", "key": key}}


def test_values_from_secrets_and_configmaps_are_waited_for_and_stay_where_they_belong(
    workspace: Workspace, installed: Installed, tracking: Tracking
) -> None:
    space = workspace
    commit = space.host.publish("given.git", PROJECT)
    space.give_secret("mlflow", tracking.variables)
    # Whatever a shell or Kubernetes itself might make of it.
    token = f"t0p-{secrets.token_hex(8)} $(id) $HOME `id` 'single' \"double\" $$ \\ {{x}}"
    colour = "dark 'blue' $(HOME)"
    parameters = {"token": from_secret(), "colour": {"configMapKeyRef": {"name": "look", "key": "colour"}}}
    server = {"uri": tracking.uri, "secretRef": {"name": "mlflow"}}
    space.apply(space.manifest("early", "given.git", parameters=parameters, tracking=server))

    run = space.await_condition("early", "Succeeded", "ParameterSourcePending")
    assert condition(run, "Reconciling")["status"] == "True"
    message = condition(run, "Succeeded")["message"]
    assert "token" in message or "colour" in message
    space.kubectl("create", "configmap", "look", f"--from-literal=colour={colour}")
    space.give_secret("api", {"other": "value"})
    run = space.await_condition("early", "Succeeded", "ParameterSourcePending")
    assert space.names("jobs") == []
    space.give_secret("api", {"token": token, "other": "value"})

    run = space.finish("early")
    assert outcome(run) == ("Succeeded", "True", "Succeeded"), run["status"]
    assert run["status"]["source"]["commit"] == commit
    said = space.said("early")
    given = json.loads(next(line for line in said.splitlines() if line.startswith("GIVEN "))[6:])
    table = "/mlp/run/project/data/table.csv"
    assert given == [hashlib.sha256(token.encode()).hexdigest(), colour, table, table]
    shown = {each["name"]: each.get("value") for each in run["status"]["project"]["parameters"]}
    assert shown["colour"] == colour
    assert token not in str(shown["token"])
    [tracked] = tracking.runs(run["metadata"]["uid"])

    places = {
        "main's log": said,
        "the operator's log": installed.logs(),
        "objects": space.kubectl("get", KINDS, "-o", "json"),
        "system objects": space.cluster.kubectl("-n", SYSTEM, "get", KINDS, "-o", "json"),
        "MLflow": json.dumps(tracked),
    }
    secret = token.split(maxsplit=1)[0]
    forms = (secret, base64.b64encode(token.encode()).decode())
    assert [place for place, text in places.items() if any(form in text for form in forms)] == []


def test_values_that_mean_nothing_in_a_pod_are_refused_with_the_way_out(workspace: Workspace) -> None:
    space = workspace
    space.host.publish("given.git", PROJECT)
    space.give_secret("api", {"token": "secret-value"})
    others = {"token": "x", "colour": "red"}
    refused: dict[str, tuple[dict[str, Any], list[str]]] = {
        # name: the parameters, what the message has to say
        "home": ({**others, "table": "/home/ann/table.csv"}, ["table", "/home/ann/table.csv", "mlp submit", "@"]),
        "windows": ({**others, "table": "C:\\data\\table.csv"}, ["table", "C:\\data\\table.csv", "mlp submit"]),
        "secret-path": ({**others, "table": from_secret()}, ["table", "Secret"]),
    }
    for name, (parameters, _) in refused.items():
        space.apply(space.manifest(name, "given.git", parameters=parameters))
    for name, (_, words) in refused.items():
        run = space.finish(name, seconds=60)
        assert outcome(run) == ("Failed", "False", "ParameterInvalid"), (name, run["status"])
        message = condition(run, "Succeeded")["message"]
        assert [word for word in words if word not in message] == [], (name, message)
        assert "secret-value" not in json.dumps(run)
    assert space.names("jobs") == []
