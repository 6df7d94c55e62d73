"""The ProjectRun that stands for what was asked on a command line or in a call. No cluster is asked here."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlp.errors import UsageError
from mlp.resources import ProjectRun
from mlp.resources.names import API_VERSION, KIND, MAX_NAME_LENGTH
from mlp.source.location import project_name

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Request", "project_run", "suffixed", "with_request"]

_SUFFIX_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels, and nothing that looks like something else: as Kubernetes' own generated names."""
_SUFFIX_LENGTH: Final = 5
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""RFC 1123, as Kubernetes asks of most names."""

_MANAGERS: Final = {name.lower(): name for name in ("Auto", "Conda", "Virtualenv", "Local", "Image")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What someone asks for, in the words of the command line. None and empty mean: not asked.

    Attributes:
        uri: The project's Git URI; ``#subdirectory`` may follow.
        entry_point: An entry point, or a script's path in the project.
        version: A branch, tag or commit.
        parameters: Values by name.
        auth_secret: The name of a Secret with Git credentials.
        env_manager: auto, conda, virtualenv, local or image.
        image: The image that the command runs in.
        service_account: The pod's ServiceAccount.
        cpu: What main asks for.
        memory: What main asks for and may use at most.
    """

    uri: str | None = None
    entry_point: str | None = None
    version: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    auth_secret: str | None = None
    env_manager: str | None = None
    image: str | None = None
    service_account: str | None = None
    cpu: str | None = None
    memory: str | None = None

    def to_spec(self) -> dict[str, Any]:
        """The fields of a ProjectRun's spec that are asked for."""
        secret = {"name": self.auth_secret} if self.auth_secret else None
        requests = _given({"cpu": self.cpu, "memory": self.memory})
        # A pod over its memory request is the first to go when a node runs short; one over its limit is killed alone.
        resources = _given({"requests": requests, "limits": _given({"memory": self.memory})})
        manager = _manager(self.env_manager) or ("Image" if self.image else None)
        kubernetes = _given({"serviceAccountName": self.service_account, "resources": resources})
        return _given(
            {
                "project": _given(
                    {
                        "uri": _git_uri(self.uri) if self.uri else None,
                        "version": self.version,
                        "entryPoint": self.entry_point,
                        "authSecretRef": secret,
                    }
                ),
                "parameters": [{"name": name, "value": value} for name, value in self.parameters.items()],
                "environment": _given({"manager": manager, "image": self.image}),
                "backend": _given({"kubernetes": kubernetes}),
            }
        )


def project_run(
    request: Request, *, name: str | None = None, generate_name: str | None = None, namespace: str | None = None
) -> dict[str, Any]:
    """The manifest of a new ProjectRun.

    Without a name it gets one made here, of the project, the entry point and five random characters: so it is known
    before the cluster is asked, `kubectl apply` takes the manifest too, and sending it twice makes one run.

    Args:
        request: What is asked for; with a URI.
        name: The object's name.
        generate_name: Let the cluster append to this instead.
        namespace: The object's namespace; left to the connection if None.

    Raises:
        UsageError: A value that no ProjectRun can have; each is named by its field.
    """
    metadata = _given({"name": name, "generateName": generate_name, "namespace": namespace})
    for given in (name, generate_name and generate_name.rstrip("-.")):
        if given and not _NAME.fullmatch(given):
            raise UsageError(
                f"'{given}' cannot be the name of a ProjectRun: use small letters, digits, '-' and '.', with a "
                "letter or a digit at both ends."
            )
    if not name and not generate_name:
        metadata = {"name": _new_name(request), **metadata}
    manifest = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": request.to_spec()}
    ProjectRun.parse(manifest)
    return manifest


def with_request(manifest: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """A manifest from a file, with what was asked for beside it. Parameters go by their names.

    Raises:
        UsageError: The manifest is not valid, before or with what was asked for.
    """
    ProjectRun.parse(manifest)
    asked = request.to_spec()
    spec = dict(manifest["spec"])
    if "uri" in asked.get("project", {}):
        # What lies at another URI has other versions and directories.
        kept = {key: spec["project"][key] for key in ("entryPoint", "submodules", "lfs") if key in spec["project"]}
        spec["project"] = kept
    if parameters := asked.pop("parameters", None):
        given = {parameter["name"] for parameter in parameters}
        before = [parameter for parameter in spec.get("parameters") or () if parameter["name"] not in given]
        spec["parameters"] = [*before, *parameters]
    result = {**manifest, "spec": _merged(spec, asked)}
    ProjectRun.parse(result)
    return result


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say something: not None, not empty."""
    return {key: value for key, value in fields.items() if value is not None and value not in ({}, [])}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        inner = result.get(key)
        result[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def _git_uri(uri: str) -> str:
    text = uri.strip().strip("'\"").strip()
    if Path(text.partition("#")[0]).is_dir():
        raise UsageError(
            f"'{uri}' is a directory on this machine, which a cluster cannot see. Push it to a Git repository and "
            "submit that one's URI, or run it here with 'mlp run'."
        )
    return text


def _manager(name: str | None) -> str | None:
    if name is None:
        return None
    if (manager := _MANAGERS.get(name.lower())) is None:
        raise UsageError(f"There is no environment manager '{name}'. Choose one of: {', '.join(_MANAGERS)}.")
    return manager


def _new_name(request: Request) -> str:
    base, _, subdirectory = (request.uri or "").partition("#")
    words = (project_name(base, subdirectory), request.entry_point or "main")
    return suffixed("-".join(re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in words).strip("-") or "run")


def suffixed(stem: str) -> str:
    """A name for a new ProjectRun: a stem, shortened where it must be, and five random characters."""
    suffix = "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(_SUFFIX_LENGTH))
    return f"{stem[: MAX_NAME_LENGTH - _SUFFIX_LENGTH - 1].rstrip('-.')}-{suffix}"
