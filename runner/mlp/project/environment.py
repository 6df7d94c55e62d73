"""Which environment a project asks for. What is in the files that it names is another room's business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from mlp.project.files import inside

if TYPE_CHECKING:
    from mlp.errors import ProjectInvalid
    from mlp.project.files import ProjectFiles
    from mlp.project.problems import Findings
    from mlp.project.values import Mapping, Value

__all__ = ["ENVIRONMENT_KEYS", "Environment", "conventional_environment", "read_environment"]

ENVIRONMENT_KEYS: Final = ("python_env", "conda_env", "docker_env")

_DOCKER_KEYS: Final = ("image", "volumes", "environment")
_PREFIX: Final = "Project configuration (MLproject file) was invalid: "
_NO_IMAGE: Final = f"{_PREFIX}Docker environment specified but no image attribute found."
_VOLUMES: Final = (
    f"{_PREFIX}Docker volumes must be a list of strings, e.g.: "
    """'["/path1/:/path1", "/path2/:/path2"])"""
)
_VARIABLES: Final = (
    f"{_PREFIX}environment must be a list containing either strings (to copy environment variables from host system) "
    "or lists of string pairs (to define new environment variables)."
    """E.g.: '[["NEW_VAR", "new_value"], "VAR_TO_COPY_FROM_HOST"])"""
)


@dataclass(frozen=True, slots=True)
class Environment:
    """What a project's commands need around them.

    Attributes:
        kind: ``none`` where the project says nothing.
        file: The environment file's path relative to the project's root, for conda and python.
        image: The image, for docker.
        volumes: ``host:container`` pairs, for docker.
        variables: Names of variables to copy from the machine that runs the project, and pairs of name and value to
            set, for docker.
    """

    kind: Literal["none", "conda", "python", "docker"] = "none"
    file: str | None = None
    image: str | None = None
    volumes: tuple[str, ...] = ()
    variables: tuple[str | tuple[str, str], ...] = ()


def conventional_environment(files: ProjectFiles) -> Environment:
    """The environment of a project that names none: its python_env.yaml, else its conda.yaml, else nothing."""
    if files.has("python_env.yaml"):
        return Environment("python", file="python_env.yaml")
    if files.has("conda.yaml"):
        return Environment("conda", file="conda.yaml")
    return Environment()


def read_environment(project: Mapping, files: ProjectFiles, findings: Findings) -> Environment:
    """Read the environment keys of a project's file.

    Args:
        project: The whole file.
        files: The project's files.
        findings: Where it is noted that there are several, that one is malformed, or names a file that is not there.
    """
    fields = [key for key in project.entries if key in ENVIRONMENT_KEYS]
    if len(fields) > 1:
        listed = ", ".join(map(repr, fields))
        findings.add(
            project.keys[fields[1]].invalid(f"Project cannot contain multiple environment fields: {{{listed}}}")
        )
    found: list[Environment] = []
    with findings.apart():
        if "docker_env" in project.entries:
            found.append(_docker(project.entries["docker_env"], findings))
    with findings.apart():
        if python_env := _file(project, "python_env"):
            found.append(Environment("python", file=_existing(python_env, "python_env file", files)))
    with findings.apart():
        if conda_env := _file(project, "conda_env"):
            found.append(Environment("conda", file=_existing(conda_env, "conda environment file", files)))
    return found[0] if found else conventional_environment(files)


def _file(project: Mapping, key: str) -> Value | None:
    """The value of a key that names a file. Null and an empty text mean that there is none, as in MLflow."""
    value = project.given(key)
    if value is None or value.data == "":
        return None
    if not isinstance(value.data, str):
        raise value.invalid(f"{key} is {value.kind}, but it must be the path of a file in the project.")
    return value


def _existing(value: Value, what: str, files: ProjectFiles) -> str:
    written = str(value.data)
    path = inside(written)
    if path is None:
        raise value.invalid(
            f"The {what} {written} lies outside the project; give a path relative to the project's root."
        )
    if not files.has(path):
        raise value.invalid(f"Project specified {what} {written}, but no such file was found.")
    return path


def _docker(value: Value, findings: Findings) -> Environment:
    if value.empty:
        raise value.invalid(_NO_IMAGE)
    docker = value.mapping(
        "docker_env", wanted="a mapping with an image, such as {image: 'python:3.12'}", findings=findings
    )
    docker.only(_DOCKER_KEYS, findings)
    image = ""
    volumes: list[str] = []
    variables: list[str | tuple[str, str]] = []
    with findings.apart():
        image = _image(docker.given("image"), docker_env=value)
    with findings.apart():
        for volume in _list(docker.given("volumes"), _VOLUMES):
            if not isinstance(volume.data, str):
                raise volume.invalid(_VOLUMES)
            volumes.append(volume.data)
    with findings.apart():
        variables += map(_variable, _list(docker.given("environment"), _VARIABLES))
    return Environment(kind="docker", image=image, volumes=tuple(volumes), variables=tuple(variables))


def _image(image: Value | None, *, docker_env: Value) -> str:
    if image is None or image.data == "":
        raise docker_env.invalid(_NO_IMAGE)
    if not isinstance(image.data, str):
        raise image.no_text("the image of docker_env")
    return image.data


def _list(value: Value | None, message: str) -> tuple[Value, ...]:
    if value is None:
        return ()
    if not isinstance(value.data, list):
        raise value.invalid(message)
    return tuple(value.items())


def _variable(value: Value) -> str | tuple[str, str]:
    match value.data:
        case str() as name if _is_variable(name):
            return name
        # MLflow writes any value as Python's text of it: numbers and booleans are let through.
        case [str() as name, (str() | bool() | int() | float()) as content] if _is_variable(name):
            return (name, str(content))
    raise _not_a_variable(value)


def _is_variable(name: str) -> bool:
    return bool(name) and "=" not in name and "\0" not in name


def _not_a_variable(value: Value) -> ProjectInvalid:
    if isinstance(value.data, str) and "=" in value.data:
        name, _, content = value.data.partition("=")
        return value.invalid(f'{_VARIABLES} To set {name}, write ["{name}", "{content}"].')
    return value.invalid(_VARIABLES)
