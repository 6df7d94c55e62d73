"""The names that MLflow gives to tags and environment variables, and our own few.

They are a format that other programs read (MLflow's UI, its plugins, people's queries), so they stand in one place.
Nothing here does anything.
"""

from __future__ import annotations

from typing import Final

RUN_NAME: Final = "mlflow.runName"
PARENT_RUN_ID: Final = "mlflow.parentRunId"
USER: Final = "mlflow.user"

SOURCE_NAME: Final = "mlflow.source.name"
SOURCE_TYPE: Final = "mlflow.source.type"
SOURCE_TYPE_PROJECT: Final = "PROJECT"
"""The value of SOURCE_TYPE for every run of a project."""
GIT_COMMIT: Final = "mlflow.source.git.commit"
GIT_BRANCH: Final = "mlflow.source.git.branch"
GIT_REPO_URL: Final = "mlflow.source.git.repoURL"

PROJECT_ENTRY_POINT: Final = "mlflow.project.entryPoint"
PROJECT_ENV: Final = "mlflow.project.env"
PROJECT_BACKEND: Final = "mlflow.project.backend"

DOCKER_IMAGE_URI: Final = "mlflow.docker.image.uri"
DOCKER_IMAGE_ID: Final = "mlflow.docker.image.id"

DATABRICKS_RUN_URL: Final = "mlflow.databricks.runURL"
DATABRICKS_SHELL_JOB_ID: Final = "mlflow.databricks.shellJobID"
DATABRICKS_SHELL_JOB_RUN_ID: Final = "mlflow.databricks.shellJobRunID"
DATABRICKS_WEBAPP_URL: Final = "mlflow.databricks.webappURL"

PROJECT_NAME: Final = "mlp.project.name"
"""The name that the MLproject file gives the project; MLflow records it nowhere."""
UID: Final = "mlp.uid"
"""One text for each run that was asked for, by which a run is found whose creation was answered by a broken line."""

PROJECTRUN_UID: Final = "mlp.projectrun.uid"
"""The uid of the ProjectRun that this run is the record of: what UID is elsewhere."""
PROJECTRUN_NAME: Final = "mlp.projectrun.name"
PROJECTRUN_NAMESPACE: Final = "mlp.projectrun.namespace"
SOURCE_SHA256: Final = "mlp.source.sha256"
"""The digest of the archive that the project came in."""
SOURCE_DIRTY: Final = "mlp.source.dirty"
"""Whether that archive has more, or something else, than the commit: ``true`` or ``false``."""
REASON: Final = "mlp.reason"
"""Why a run has failed or was ended, in one word."""
MESSAGE: Final = "mlp.message"
"""The same in a sentence."""

ENV_RUN_ID: Final = "MLFLOW_RUN_ID"
ENV_TRACKING_URI: Final = "MLFLOW_TRACKING_URI"
ENV_EXPERIMENT_ID: Final = "MLFLOW_EXPERIMENT_ID"
ENV_EXPERIMENT_NAME: Final = "MLFLOW_EXPERIMENT_NAME"
ENV_USERNAME: Final = "MLFLOW_TRACKING_USERNAME"
ENV_PASSWORD: Final = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105 -- the name of a variable, not a password
ENV_SWITCH: Final = "MLP_TRACKING"
"""``off`` switches tracking off where no URI is given in the call itself."""
