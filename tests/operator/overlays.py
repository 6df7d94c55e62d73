"""What patches make of pod templates: the API server's own results, which a strategic merge has to give too.

The results are those of k8s.io/apimachinery v0.36.4 (StrategicMergePatch with core/v1's PodTemplateSpec), but for the
two that say so.
"""

from __future__ import annotations

from typing import Any


def spec(**fields: Any) -> dict[str, Any]:
    return {"spec": fields}


def metadata(**fields: Any) -> dict[str, Any]:
    return {"metadata": fields}


def named(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


MAIN = {"name": "main", "image": "a"}

# What there is, the patch, what comes of it.
RESULTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "nothing": (spec(containers=[MAIN]), {}, spec(containers=[MAIN])),
    "a field more": (spec(a=1), spec(b=2), spec(a=1, b=2)),
    "a field of another value": (
        spec(a=1, nodeSelector={"c": "1"}),
        spec(a=2, nodeSelector={"d": "2"}),
        spec(a=2, nodeSelector={"c": "1", "d": "2"}),
    ),
    "a field less": (
        spec(a=1, nodeSelector={"c": "1", "d": "2"}),
        spec(a=None, nodeSelector={"c": None}),
        spec(nodeSelector={"d": "2"}),
    ),
    "a null for what is not there": (spec(a=1), spec(b=None, c={"d": None, "e": 1}), spec(a=1, c={"e": 1})),
    "a map for a text": (spec(a="x"), spec(a={"b": 1}), spec(a={"b": 1})),
    # Lists of objects.
    "containers by name": (
        spec(containers=[MAIN, {"name": "side", "image": "s"}]),
        spec(containers=[{"name": "main", "tty": True}]),
        spec(containers=[MAIN | {"tty": True}, {"name": "side", "image": "s"}]),
    ),
    "a new one stands in front": (
        spec(initContainers=named("fetch", "environment")),
        spec(initContainers=named("mine")),
        spec(initContainers=named("mine", "fetch", "environment")),
    ),
    "the order of the patch": (
        spec(initContainers=named("a", "b", "c")),
        spec(initContainers=named("c", "x", "a")),
        spec(initContainers=named("b", "c", "x", "a")),
    ),
    "new ones behind what they follow": (
        spec(containers=named("a", "b")),
        spec(containers=named("a", "x")),
        spec(containers=named("a", "x", "b")),
    ),
    "variables by name": (
        spec(containers=[{"name": "main", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]),
        spec(containers=[{"name": "main", "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]}]),
        spec(
            containers=[
                {
                    "name": "main",
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C", "value": "4"}],
                }
            ]
        ),
    ),
    "mounts by path": (
        spec(containers=[{"name": "main", "volumeMounts": [{"name": "v", "mountPath": "/a"}]}]),
        spec(containers=[{"name": "main", "volumeMounts": [{"name": "w", "mountPath": "/a", "readOnly": True}]}]),
        spec(containers=[{"name": "main", "volumeMounts": [{"name": "w", "mountPath": "/a", "readOnly": True}]}]),
    ),
    "devices by path": (
        spec(containers=[{"name": "main", "volumeDevices": [{"name": "v", "devicePath": "/a"}]}]),
        spec(containers=[{"name": "main", "volumeDevices": [{"name": "w", "devicePath": "/a"}]}]),
        spec(containers=[{"name": "main", "volumeDevices": [{"name": "w", "devicePath": "/a"}]}]),
    ),
    "ports by number": (
        spec(containers=[{"name": "main", "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 81}]}]),
        spec(containers=[{"name": "main", "ports": [{"containerPort": 80, "name": "web"}]}]),
        spec(
            containers=[
                {
                    "name": "main",
                    "ports": [{"containerPort": 80, "protocol": "TCP", "name": "web"}, {"containerPort": 81}],
                }
            ]
        ),
    ),
    "volumes by name": (
        spec(volumes=[{"name": "v", "emptyDir": {}}]),
        spec(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "w", "emptyDir": {}}]),
        spec(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "w", "emptyDir": {}}]),
    ),
    "a volume of another kind": (
        spec(volumes=[{"name": "v", "emptyDir": {}}]),
        spec(volumes=[{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]),
        spec(volumes=[{"name": "v", "hostPath": {"path": "/x"}}]),
    ),
    "a volume of another kind, without the directive": (
        spec(volumes=[{"name": "v", "emptyDir": {}}]),
        spec(volumes=[{"name": "v", "hostPath": {"path": "/x"}}]),
        spec(volumes=[{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]),
    ),
    "secrets for pulling": (
        spec(imagePullSecrets=named("a")),
        spec(imagePullSecrets=named("b")),
        spec(imagePullSecrets=named("b", "a")),
    ),
    "aliases by address": (
        spec(hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a"]}]),
        spec(hostAliases=[{"ip": "1.2.3.4", "hostnames": ["b"]}]),
        spec(hostAliases=[{"ip": "1.2.3.4", "hostnames": ["b"]}]),
    ),
    "spread by topology": (
        spec(topologySpreadConstraints=[{"topologyKey": "zone", "maxSkew": 1}]),
        spec(topologySpreadConstraints=[{"topologyKey": "zone", "maxSkew": 2}, {"topologyKey": "host", "maxSkew": 1}]),
        spec(topologySpreadConstraints=[{"topologyKey": "zone", "maxSkew": 2}, {"topologyKey": "host", "maxSkew": 1}]),
    ),
    "claims and gates by name": (
        spec(resourceClaims=[{"name": "gpu", "resourceClaimName": "a"}], schedulingGates=named("x")),
        spec(resourceClaims=[{"name": "gpu", "resourceClaimName": "b"}], schedulingGates=named("x", "y")),
        spec(resourceClaims=[{"name": "gpu", "resourceClaimName": "b"}], schedulingGates=named("x", "y")),
    ),
    # Lists that are replaced.
    "tolerations are one value": (
        spec(tolerations=[{"key": "a"}]),
        spec(tolerations=[{"key": "b"}]),
        spec(tolerations=[{"key": "b"}]),
    ),
    "so are a command and envFrom": (
        spec(containers=[{"name": "main", "command": ["a", "b"], "envFrom": [{"prefix": "A"}]}]),
        spec(containers=[{"name": "main", "command": ["c"], "envFrom": [{"prefix": "B"}]}]),
        spec(containers=[{"name": "main", "command": ["c"], "envFrom": [{"prefix": "B"}]}]),
    ),
    "and a projection's sources": (
        spec(volumes=[{"name": "v", "projected": {"sources": [{"secret": {"name": "a"}}], "defaultMode": 1}}]),
        spec(volumes=[{"name": "v", "projected": {"sources": []}}]),
        spec(volumes=[{"name": "v", "projected": {"sources": [], "defaultMode": 1}}]),
    ),
    # Lists of texts that are merged.
    "finalizers are a set": (
        metadata(finalizers=["a", "b"]),
        metadata(finalizers=["b", "c"]),
        metadata(finalizers=["a", "b", "c"]),
    ),
    "one finalizer less": (
        metadata(finalizers=["a", "b"]),
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a", "x"]}},
        metadata(finalizers=["b"]),
    ),
    "a finalizer less of none": (
        metadata(name="x"),
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}},
        metadata(name="x"),
    ),
    # Directives.
    "a map is replaced": (
        spec(nodeSelector={"a": "1", "b": "2"}),
        spec(nodeSelector={"$patch": "replace", "c": "3"}),
        spec(nodeSelector={"c": "3"}),
    ),
    "a map is emptied": (spec(nodeSelector={"a": "1"}), spec(nodeSelector={"$patch": "delete"}), spec(nodeSelector={})),
    "a map that is not there is deleted": (spec(a=1), spec(nodeSelector={"$patch": "delete"}), spec(a=1)),
    "a container is deleted": (
        spec(containers=[MAIN, {"name": "side"}]),
        spec(containers=[{"name": "side", "$patch": "delete"}]),
        spec(containers=[MAIN]),
    ),
    "a variable is deleted": (
        spec(containers=[{"name": "main", "env": [{"name": "A"}, {"name": "B"}]}]),
        spec(containers=[{"name": "main", "env": [{"name": "A", "$patch": "delete"}]}]),
        spec(containers=[{"name": "main", "env": [{"name": "B"}]}]),
    ),
    "one is deleted that is not there": (
        spec(containers=[MAIN]),
        spec(containers=[{"name": "side", "$patch": "delete"}]),
        spec(containers=[MAIN]),
    ),
    "all containers are replaced": (
        spec(containers=[MAIN, {"name": "side"}]),
        spec(containers=[{"$patch": "replace"}, {"name": "only"}]),
        spec(containers=[{"name": "only"}]),
    ),
    "a list that is not there loses its directives": (
        spec(a=1),
        spec(volumes=[{"name": "v", "$patch": "delete"}, {"name": "w", "emptyDir": {}}]),
        spec(a=1, volumes=[{"name": "w", "emptyDir": {}}]),
    ),
    "fields that are not retained": (
        spec(a=1, b=2, c=3),
        {"spec": {"$retainKeys": ["a", "d"], "d": 4}},
        spec(a=1, d=4),
    ),
    "an order is set": (
        spec(containers=named("a", "b", "c")),
        {"spec": {"$setElementOrder/containers": named("c", "a")}},
        spec(containers=named("b", "c", "a")),
    ),
    "an order is set, with a new one": (
        spec(containers=named("a", "b")),
        {"spec": {"$setElementOrder/containers": named("b", "x", "a"), "containers": named("x")}},
        spec(containers=named("b", "x", "a")),
    ),
    "an order is set, and one deleted": (
        spec(containers=named("a", "b", "c")),
        {
            "spec": {
                "$setElementOrder/containers": named("c", "b"),
                "containers": [{"name": "a", "$patch": "delete"}],
            }
        },
        spec(containers=named("c", "b")),
    ),
    "an order of finalizers": (
        metadata(finalizers=["a", "b", "c"]),
        {"metadata": {"$setElementOrder/finalizers": ["c", "a"]}},
        metadata(finalizers=["b", "c", "a"]),
    ),
    "an order of what is not there": (spec(a=1), {"spec": {"$setElementOrder/volumes": named("v")}}, spec(a=1)),
}

# Where we are kinder than the API server, which loses the first patch's content and refuses the second.
OURS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "a map that is not there is replaced": (
        spec(a=1),
        spec(nodeSelector={"$patch": "replace", "b": "2"}),
        spec(a=1, nodeSelector={"b": "2"}),
    ),
    "merging is named": (
        spec(containers=[MAIN], nodeSelector={"a": "1"}),
        spec(containers=[{"name": "main", "$patch": "merge", "tty": True}], nodeSelector={"$patch": "merge", "b": "2"}),
        spec(containers=[MAIN | {"tty": True}], nodeSelector={"a": "1", "b": "2"}),
    ),
}
