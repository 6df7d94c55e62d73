"""What can be said of the CRD without an API server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mlp.resources import ProjectRun
from mlp.resources.crd import FILE_NAME, generate, render
from mlp.resources.spec import ProjectRunSpec

CRDS = Path(__file__).parents[2] / "crds"
LARGEST_ANNOTATION = 262_144
"""`kubectl apply` keeps the object in an annotation, and all annotations together may not be larger."""


def schema() -> dict:
    (version,) = generate()["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


def nodes(node=None, path=""):
    """Every schema below spec and status, with its path."""
    if node is None:
        for name in ("spec", "status"):
            yield from nodes(schema()["properties"][name], name)
        return
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if key in node:
            yield from nodes(node[key], path + suffix)


def test_the_file_is_what_the_models_say():
    assert (CRDS / FILE_NAME).read_text(encoding="utf-8") == render(), "run `make crds`"


def test_generating_twice_in_two_processes_gives_the_same_bytes(tmp_path):
    for seed in ("0", "1"):
        subprocess.run(
            [sys.executable, "-m", "mlp.resources", tmp_path / seed],
            env={"PYTHONHASHSEED": seed},
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )

    assert (tmp_path / "0" / FILE_NAME).read_bytes() == (tmp_path / "1" / FILE_NAME).read_bytes()


def test_the_text_is_the_object():
    assert yaml.safe_load(render()) == generate()


@pytest.mark.parametrize("path", sorted(CRDS.glob("*.yaml")), ids=lambda path: path.name)
def test_plain_kubectl_apply_has_room_for_it(path):
    assert path.stat().st_size < LARGEST_ANNOTATION


def test_every_field_is_described():
    undescribed = [path for path, node in nodes() if not path.endswith(("[]", "{}")) and not node.get("description")]

    assert undescribed == []


def test_every_string_list_and_map_is_bounded():
    unbounded = [
        path
        for path, node in nodes()
        if (
            (
                node.get("type") == "string"
                and not {"maxLength", "enum"} & set(node)
                and node.get("format") != "date-time"
            )
            or (node.get("type") == "array" and "maxItems" not in node)
            or ("additionalProperties" in node and "maxProperties" not in node)
        )
    ]

    assert unbounded == []


def test_every_number_is_a_bounded_integer_with_a_format():
    numbers = {path: node for path, node in nodes() if node.get("type") in {"integer", "number"}}

    assert numbers
    for path, node in numbers.items():
        assert node["type"] == "integer", path
        assert node["format"] in {"int32", "int64"}, path
        assert {"minimum", "maximum"} <= set(node), path


def test_the_schema_is_structural():
    forbidden = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "title", "const", "nullable"}

    for path, node in nodes():
        assert not forbidden & set(node), path
        assert "type" in node or node.get("x-kubernetes-int-or-string"), path
        assert not ("properties" in node and "additionalProperties" in node), path


def test_only_fragments_of_other_apis_keep_unknown_fields():
    keeping = {path for path, node in nodes() if node.get("x-kubernetes-preserve-unknown-fields")}

    kubernetes, databricks = "spec.backend.kubernetes", "spec.backend.databricks"
    assert keeping == {
        f"{kubernetes}.affinity",
        f"{kubernetes}.env[].valueFrom",
        f"{kubernetes}.envFrom[]",
        f"{kubernetes}.podTemplate",
        f"{kubernetes}.securityContext",
        f"{kubernetes}.volumes[]",
        f"{databricks}.cluster.newCluster",
        f"{databricks}.libraries[]",
    }


def test_lists_of_named_things_merge_by_name():
    keys = {path: node["x-kubernetes-list-map-keys"] for path, node in nodes() if "x-kubernetes-list-map-keys" in node}

    assert keys == {
        "spec.parameters": ["name"],
        "spec.experiment.tags": ["name"],
        "spec.backend.kubernetes.env": ["name"],
        "spec.backend.kubernetes.imagePullSecrets": ["name"],
        "spec.backend.kubernetes.volumes": ["name"],
        "spec.backend.kubernetes.volumeMounts": ["mountPath"],
        "spec.backend.databricks.tags": ["name"],
        "status.project.parameters": ["name"],
        "status.steps": ["name"],
        "status.conditions": ["type"],
    }


def test_every_field_of_the_spec_is_either_immutable_or_named_as_mutable():
    immutable = {
        rule["fieldPath"].removeprefix(".")
        for rule in schema()["properties"]["spec"]["x-kubernetes-validations"]
        if "cannot change" in rule["message"]
    }
    mutable = {ProjectRunSpec.model_fields[name].alias for name in ProjectRunSpec.mutable}

    assert mutable == {"suspend", "shutdown", "ttlSecondsAfterFinished", "retention", "queueName"}
    assert immutable == set(schema()["properties"]["spec"]["properties"]) - mutable


def test_unset_status_reads_as_not_yet_seen():
    assert schema()["properties"]["status"]["default"] == {"observedGeneration": -1, "phase": "Pending"}


def test_every_model_of_the_spec_refuses_unknown_fields():
    pending, seen = [ProjectRun.model_fields["spec"].annotation], set()
    while pending:
        model = pending.pop()
        seen.add(model)
        text = model.model_json_schema(by_alias=True)
        assert text["additionalProperties"] is (model.__name__ == "Volume"), model
        for field in model.model_fields.values():
            pending += [inner for inner in models_in(field.annotation) if inner not in seen]
    assert len(seen) > 20


def models_in(annotation):
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in models_in(part)]
