"""MLflow's signature, turned into a request of the backend that a call names, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlp.projects.choice import choose_backend, choose_configuration, tell_unused
from mlp.projects.in_a_cluster import submit, wait_for
from mlp.projects.on_databricks import submit_to_databricks
from mlp.projects.requests import local_request, manifest_request
from mlp.projects.staying import wait_for_databricks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from mlp.backends import SubmittedRun
    from mlp.projects.choice import Configuration
    from mlp.resources import ProjectRun

__all__ = ["run", "run_manifest"]


def run(  # noqa: PLR0913, PLR0917 -- MLflow's signature
    uri: str | PathLike[str],
    entry_point: str = "main",
    version: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    docker_args: Mapping[str, Any] | None = None,
    experiment_name: str | None = None,
    experiment_id: str | None = None,
    backend: str | None = None,
    backend_config: Configuration | None = None,
    storage_dir: str | PathLike[str] | None = None,
    synchronous: bool = True,  # noqa: FBT001, FBT002 -- MLflow's signature
    run_id: str | None = None,
    run_name: str | None = None,
    env_manager: str | None = None,
    build_image: bool = False,  # noqa: FBT001, FBT002 -- MLflow's signature
    docker_auth: Mapping[str, str] | None = None,
    *,
    tracking_uri: str | None = None,
    git_username: str | None = None,
    git_password: str | None = None,
    mode: str | None = None,
    cluster_spec: Configuration | None = None,
    use_conda: bool = True,
    validate: bool = True,
) -> SubmittedRun:
    """Run a project.

    Args:
        uri: A Git URL, ``user@host:path``, a directory or a zip archive; ``#subdirectory`` may follow.
        entry_point: A name from the MLproject file, or a script's path from the project's root.
        version: A branch, tag or commit. A version of a directory in a Git repository is cloned; the directory itself
            stays as it is.
        parameters: Values by name; each is turned into text.
        docker_args: Options of ``docker run`` by name, for projects with a docker_env; True for one without a value.
        experiment_name: The experiment to record the run in, made if there is none of the name.
        experiment_id: The same by its ID. Without either MLFLOW_EXPERIMENT_ID and MLFLOW_EXPERIMENT_NAME count, and
            then the default experiment.
        backend: ``local`` (the default), ``kubernetes`` or ``databricks``.
        backend_config: For Kubernetes, as a mapping, as JSON or as the path of a ``.json`` file: where to run
            (namespace, context, kubeconfig, name), fields of the ProjectRun by short keys (image, memory, …) or whole
            (spec), and MLflow's kube-context and kube-job-template-path. docs/run.md has all of them. For Databricks,
            in the same forms: on what to run (new_cluster or all of a cluster spec as MLflow takes it,
            existing_cluster_id, serverless), and how (libraries, upload_to, project_source, timeout_seconds, …).
            docs/databricks.md has all of them.
        storage_dir: Where data for ``path`` parameters is downloaded to, and stays. Without one it goes to a temporary
            directory that is removed with the run.
        synchronous: Wait for the run. Else it goes on in the background. The interpreter waits at its end for runs on
            this machine; runs in a cluster or on Databricks need nobody.
        run_id: A run in the tracking store to be continued, instead of a new one.
        run_name: The run's name in the tracking store.
        env_manager: ``local`` for the current environment, ``conda``, ``virtualenv`` or ``uv``; None for what
            MLP_ENV_MANAGER says, or else the project.
        build_image: Refused: no image is built.
        docker_auth: Refused: log in with ``docker login``.
        tracking_uri: The tracking store; None for MLFLOW_TRACKING_URI.
        git_username: The user for Git over https; None for MLFLOW_GIT_USERNAME.
        git_password: Their password or token; None for MLFLOW_GIT_PASSWORD.
        mode: An older name of `backend`.
        cluster_spec: An older name of `backend_config`.
        use_conda: False is an older way to say ``env_manager="local"``.
        validate: Whether values have to fit their declared types.

    Returns:
        The run: ended and successful, or under way.

    Raises:
        RunFailed: The command failed (synchronous runs only). It has the exit status and the last lines.
        RunError: The run ended badly otherwise, or was cancelled (synchronous runs only).
        ExecutionException: Anything else that is wrong: the source, the project, a parameter, data, the environment.
        UsageError: The call itself is wrong.
        ClusterError: The cluster cannot be reached, or does not allow it.
        WorkspaceError: The same of a Databricks workspace.
        KeyboardInterrupt: The command was interrupted; elsewhere than here, the waiting: the run goes on.
    """
    chosen = choose_backend(backend, mode, build_image=build_image, docker_auth=docker_auth)
    configuration = choose_configuration(backend_config, cluster_spec)
    request = local_request(
        uri,
        entry_point,
        version,
        parameters,
        docker_args=docker_args,
        experiment_name=experiment_name,
        experiment_id=experiment_id,
        storage_dir=storage_dir,
        run_id=run_id,
        run_name=run_name,
        env_manager=env_manager,
        tracking_uri=tracking_uri,
        git_username=git_username,
        git_password=git_password,
        use_conda=use_conda,
        validate=validate,
    )
    if chosen == "kubernetes":
        submitted = submit(request, configuration)
        return wait_for(submitted) if synchronous else submitted
    if chosen == "databricks":
        sent = submit_to_databricks(request, configuration)
        if synchronous:
            return wait_for_databricks(sent)
        # Its end is recorded, whether or not anybody asks.
        sent.follow()
        return sent
    tell_unused(configuration)
    from mlp.backends import local  # noqa: PLC0415

    return local.run(request) if synchronous else local.start(request)


def run_manifest(
    manifest: ProjectRun | str | PathLike[str],
    *,
    uri: str | PathLike[str] | None = None,
    entry_point: str | None = None,
    version: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    env_manager: str | None = None,
    synchronous: bool = True,
    validate: bool = True,
) -> SubmittedRun:
    """Run what a ProjectRun describes on this machine, without any cluster.

    Args:
        manifest: A ProjectRun, or the path of a YAML file with one.
        uri: Take the project from here. The manifest's version and subdirectory belong to its own URI and then do not
            count.
        entry_point: Instead of the manifest's.
        version: Instead of the manifest's.
        parameters: Instead of the manifest's of the same names, or beside them.
        env_manager: Instead of the manifest's.
        synchronous: As for `run`.
        validate: As for `run`.

    Returns:
        The run, as `run` does.

    Raises:
        UsageError: The manifest is not valid, or needs something that only a cluster has.
        ExecutionException: As for `run`.
    """
    from mlp.backends import local  # noqa: PLC0415

    request = manifest_request(
        manifest,
        uri=uri,
        parameters=parameters,
        entry_point=entry_point,
        version=version,
        env_manager=env_manager,
        validate=validate,
    )
    return local.run(request) if synchronous else local.start(request)
