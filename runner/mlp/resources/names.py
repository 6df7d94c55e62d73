"""Names that the operator, the pod and the command line have to agree on. Each has its one home here."""

from __future__ import annotations

from typing import Final

GROUP: Final = "mlp.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "ProjectRun"
PLURAL: Final = "projectruns"
API_VERSION: Final = f"{GROUP}/{VERSION}"

RUN_LABEL: Final = "mlp.dev/projectrun"
"""Label of a Job and its pods: the ProjectRun's name. Also the server-side selector of the operator's watches."""

PLAN_ANNOTATION: Final = "mlp.dev/plan"
"""Annotation of a Job and its pod template: the pod's plan (mlp.resources.plan), JSON. The pod reads it as a file."""

MANAGED_BY: Final = "mlp.dev/operator"
"""The value of spec.managedBy that means ourselves (as has no value at all)."""

MAX_NAME_LENGTH: Final = 52
"""A ProjectRun's name becomes a Job's name and a label value; a Job adds up to 11 characters for its pods."""

# Where things lie in a run's pod.
RUN_DIRECTORY: Final = "/mlp/run"
PROJECT_DIRECTORY: Final = "/mlp/run/project"
HOME_DIRECTORY: Final = "/mlp/run/home"
INIT_PROGRAM: Final = "/mlp/run/bin/catatonit"
PLAN_DIRECTORY: Final = "/mlp/plan"
PLAN_FILE: Final = "/mlp/plan/plan.json"
GIT_CREDENTIALS_DIRECTORY: Final = "/mlp/credentials/git"
TERMINATION_LOG: Final = "/dev/termination-log"

# Containers of a run's pod.
MAIN_CONTAINER: Final = "main"
PREPARE_CONTAINER: Final = "prepare"
FETCH_CONTAINER: Final = "fetch"
INIT_CONTAINERS: Final = (PREPARE_CONTAINER, FETCH_CONTAINER)
