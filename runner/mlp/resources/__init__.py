"""The kinds of mlp's API and the pod's plan, as pydantic models. The CRDs under crds/ are generated from them.

Names and shapes only: what a field makes happen is the operator's and the backends' knowledge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlp.lazily import lazily

if TYPE_CHECKING:
    from mlp.resources.conditions import ConditionType, EventReason, Phase, Reason
    from mlp.resources.databricks import DatabricksBackend, DatabricksCluster, DatabricksServerless
    from mlp.resources.pod import (
        EnvironmentVariable,
        KubernetesBackend,
        LocalObjectReference,
        ResourceRequirements,
        Toleration,
        Volume,
        VolumeMount,
    )
    from mlp.resources.projectrun import ObjectMeta, ProjectRun
    from mlp.resources.source import Bundle, ProjectSource
    from mlp.resources.spec import (
        Backend,
        DataAccess,
        Environment,
        EnvironmentCache,
        Experiment,
        KeySelector,
        Parameter,
        ParameterSource,
        ProjectRunSpec,
        Retention,
        Tag,
        Tracking,
    )
    from mlp.resources.status import (
        Condition,
        DatabricksStatus,
        EnvironmentStatus,
        KubernetesStatus,
        MlflowStatus,
        ParameterStatus,
        ProjectRunStatus,
        ProjectStatus,
        SourceStatus,
        StepStatus,
    )

__all__ = [
    "Backend",
    "Bundle",
    "Condition",
    "ConditionType",
    "DataAccess",
    "DatabricksBackend",
    "DatabricksCluster",
    "DatabricksServerless",
    "DatabricksStatus",
    "Environment",
    "EnvironmentCache",
    "EnvironmentStatus",
    "EnvironmentVariable",
    "EventReason",
    "Experiment",
    "KeySelector",
    "KubernetesBackend",
    "KubernetesStatus",
    "LocalObjectReference",
    "MlflowStatus",
    "ObjectMeta",
    "Parameter",
    "ParameterSource",
    "ParameterStatus",
    "Phase",
    "ProjectRun",
    "ProjectRunSpec",
    "ProjectRunStatus",
    "ProjectSource",
    "ProjectStatus",
    "Reason",
    "ResourceRequirements",
    "Retention",
    "SourceStatus",
    "StepStatus",
    "Tag",
    "Toleration",
    "Tracking",
    "Volume",
    "VolumeMount",
]

_HOMES: Final = {
    "conditions": ("ConditionType", "EventReason", "Phase", "Reason"),
    "databricks": ("DatabricksBackend", "DatabricksCluster", "DatabricksServerless"),
    "pod": (
        "EnvironmentVariable",
        "KubernetesBackend",
        "LocalObjectReference",
        "ResourceRequirements",
        "Toleration",
        "Volume",
        "VolumeMount",
    ),
    "projectrun": ("ObjectMeta", "ProjectRun"),
    "source": ("Bundle", "ProjectSource"),
    "spec": (
        "Backend",
        "DataAccess",
        "Environment",
        "EnvironmentCache",
        "Experiment",
        "KeySelector",
        "Parameter",
        "ParameterSource",
        "ProjectRunSpec",
        "Retention",
        "Tag",
        "Tracking",
    ),
    "status": (
        "Condition",
        "DatabricksStatus",
        "EnvironmentStatus",
        "KubernetesStatus",
        "MlflowStatus",
        "ParameterStatus",
        "ProjectRunStatus",
        "ProjectStatus",
        "SourceStatus",
        "StepStatus",
    ),
}
__getattr__ = lazily(__name__, _HOMES)
