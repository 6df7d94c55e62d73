"""The tags by which MLflow tells where a project's run came from. Pure."""

from __future__ import annotations

from mlp.tracking import names

__all__ = ["project_tags"]


def project_tags(  # noqa: PLR0913 -- one for each tag
    *,
    source: str,
    entry_point: str,
    backend: str,
    project: str | None = None,
    user: str | None = None,
    commit: str | None = None,
    repository: str | None = None,
    branch: str | None = None,
    environment: str | None = None,
    image: str | None = None,
    parent: str | None = None,
) -> dict[str, str]:
    """MLflow's tags of a project's run, and the project's name, which MLflow does not keep.

    Args:
        source: Where the project came from, without credentials.
        entry_point: The entry point.
        backend: Where it runs.
        project: Its name in the MLproject file.
        user: Who runs it.
        commit: 40 hexadecimal digits.
        repository: The repository's address.
        branch: The branch that was asked for.
        environment: MLflow's word for what the command runs in: conda, virtualenv, docker.
        image: The image, for docker.
        parent: The run that this one was started in.

    Returns:
        No tag for what is not known.
    """
    tags = {
        names.USER: user,
        names.SOURCE_NAME: source,
        names.SOURCE_TYPE: names.SOURCE_TYPE_PROJECT,
        names.PROJECT_ENTRY_POINT: entry_point,
        names.PROJECT_BACKEND: backend,
        names.PROJECT_NAME: project,
        names.PROJECT_ENV: environment,
        names.DOCKER_IMAGE_URI: image,
        names.GIT_COMMIT: commit,
        names.GIT_REPO_URL: repository,
        names.GIT_BRANCH: branch,
        names.PARENT_RUN_ID: parent,
    }
    return {name: value for name, value in tags.items() if value}
