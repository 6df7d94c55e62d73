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

RETRY_LABEL: Final = "mlp.dev/retry-of"
"""Label of a ProjectRun that repeats an ended one: that one's name."""

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
DATA_DIRECTORY: Final = "/mlp/run/data"
"""Downloads of parameters of type path: one directory a parameter (mlp.data.directory_name)."""
ACTIVATE_FILE: Final = "/mlp/run/activate.sh"
"""Written by the step ``environment``; main sources it before the command."""
ENVIRONMENTS_DIRECTORY: Final = "/mlp/envs"
"""The environment cache: a claim's volume, else one that lives as long as the pod. Main may only read it."""
BUNDLE_DIRECTORY: Final = "/mlp/bundle"
BUNDLE_KEY: Final = "project.tar.gz"
"""The key of a ConfigMap that holds a packed project, and so the file's name in BUNDLE_DIRECTORY."""
PLAN_DIRECTORY: Final = "/mlp/plan"
PLAN_FILE: Final = "/mlp/plan/plan.json"
GIT_CREDENTIALS_DIRECTORY: Final = "/mlp/credentials/git"
DATA_CREDENTIALS_DIRECTORY: Final = "/mlp/credentials/data"
"""spec.data.secretRef: a file a variable."""
TRACKING_CREDENTIALS_DIRECTORY: Final = "/mlp/credentials/tracking"
"""spec.tracking.secretRef, for downloads from the tracking server: a file a variable."""
ENVIRONMENT_CREDENTIALS_DIRECTORY: Final = "/mlp/credentials/environment"
"""spec.environment.secretRef: a file a variable."""
AWS_TOKEN_FILE: Final = "/mlp/credentials/aws/token"  # noqa: S105 -- a path
"""The pod's service account token for AWS' security token service; used where AWS_ROLE_ARN is set."""
TERMINATION_LOG: Final = "/dev/termination-log"

# Containers of a run's pod.
MAIN_CONTAINER: Final = "main"
PREPARE_CONTAINER: Final = "prepare"
FETCH_CONTAINER: Final = "fetch"
ENVIRONMENT_CONTAINER: Final = "environment"
INIT_CONTAINERS: Final = (PREPARE_CONTAINER, FETCH_CONTAINER, ENVIRONMENT_CONTAINER)
"""In the order in which they run. Without mounted credentials ``prepare`` takes all steps; else ``fetch`` takes clone
and data, and ``environment`` the rest: what sees credentials runs no code of the project."""

SECRET_VARIABLE: Final = "MLP_PARAMETER_"  # noqa: S105 -- a prefix
"""What the variables of main start with that hold parameters from Secrets."""

TRACKING_FINALIZER: Final = "mlp.dev/tracking"
"""Finalizer of a pod whose MLflow run is to be closed. It holds the object back, never the containers."""

TRACKING_ANNOTATION: Final = "mlp.dev/mlflow-run"
"""Annotation of a pod with that finalizer: whose MLflow run it is, JSON, so that it can be closed without its owner."""

DATABRICKS_FINALIZER: Final = "mlp.dev/databricks"
"""Finalizer of a ProjectRun that has, or may have, a run on Databricks: that is cancelled before the object goes."""

LOG_KEY: Final = "log"
"""The key of the ConfigMap that holds what a run on Databricks wrote."""

QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
QUEUE_PRIORITY_LABEL: Final = "kueue.x-k8s.io/priority-class"

RUN_VARIABLE: Final = "MLP_PROJECTRUN"
"""Variable of main: the ProjectRun's name, by which a program that starts further runs knows whose part they are."""
NAMESPACE_VARIABLE: Final = "MLP_NAMESPACE"
"""Variable of main: the ProjectRun's namespace."""

# Variables of the init containers, from the downward API.
POD_UID_VARIABLE: Final = "MLP_POD_UID"
POD_NAME_VARIABLE: Final = "MLP_POD_NAME"
POD_NAMESPACE_VARIABLE: Final = "MLP_POD_NAMESPACE"
"""Whose mark keeps an environment in the cache from being deleted: metadata.uid, metadata.name, metadata.namespace."""
