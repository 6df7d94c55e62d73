"""The CustomResourceDefinition of ProjectRun, made from the models.

Beside the schema a CRD says how kubectl shows and selects objects; that is kept here. What `generate` gives is the
same, byte for byte, wherever it runs, so a test can hold crds/ equal to it.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from mlp.resources.names import GROUP, KIND, PLURAL, VERSION
from mlp.resources.openapi import structural_schema
from mlp.resources.projectrun import ProjectRun

__all__ = ["CRD_NAME", "FILE_NAME", "generate", "render"]

CRD_NAME: Final = f"{PLURAL}.{GROUP}"
FILE_NAME: Final = f"{GROUP}_{PLURAL}.yaml"

_COLUMNS: Final = (
    # name, type, JSON path, whether `kubectl get` shows it without -o wide
    ("Phase", "string", ".status.phase", True),
    ("Reason", "string", '.status.conditions[?(@.type=="Succeeded")].reason', True),
    ("Entry", "string", ".spec.project.entryPoint", True),
    ("Backend", "string", ".spec.backend.type", True),
    ("Age", "date", ".metadata.creationTimestamp", True),
    ("Project", "string", ".status.project.name", False),
    ("Commit", "string", ".status.source.commit", False),
    ("Attempts", "integer", ".status.attempts", False),
    ("Job", "string", ".status.kubernetes.jobName", False),
    ("Databricks", "string", ".status.databricks.runId", False),
    ("MLflow", "string", ".status.mlflow.runId", False),
    ("Started", "date", ".status.startTime", False),
    ("Finished", "date", ".status.completionTime", False),
)


def generate() -> dict[str, Any]:
    """The CustomResourceDefinition as the API server takes it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": CRD_NAME},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["prun"],
                "categories": ["mlp"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path} | ({} if shown else {"priority": 1})
                        for name, kind, path, shown in _COLUMNS
                    ],
                    "selectableFields": [{"jsonPath": ".spec.backend.type"}, {"jsonPath": ".status.phase"}],
                    "schema": {"openAPIV3Schema": _schema()},
                }
            ],
        },
    }


def _schema() -> dict[str, Any]:
    schema = structural_schema(ProjectRun)
    schema["required"] = ["spec"]
    # The API server has its own schema for these three, and says so in `kubectl explain`.
    schema["properties"] |= {
        "apiVersion": {
            "description": "The group and version of this representation of the object: mlp.dev/v1alpha1.",
            "type": "string",
        },
        "kind": {"description": "The kind of the object: ProjectRun.", "type": "string"},
        "metadata": {"type": "object"},
    }
    return schema


def render() -> str:
    """The CustomResourceDefinition as the text of its file."""
    head = "# Generated from runner/mlp/resources by `make crds`. Change it there.\n"
    return head + yaml.dump(generate(), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Writes repeated objects out instead of referring back to the first: kubectl reads no anchors well."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 -- the signature is PyYAML's
        return True
