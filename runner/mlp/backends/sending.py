"""What goes to a cluster when something is submitted: ProjectRuns, and the ConfigMaps that each of them owns.

A run on its own is enough where its project lies in Git. What lies on this machine is packed, checked as its pod will
see it, and put beside the run; what is too large for that goes into a store first. No cluster is known here.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlp.backends.cargo import Cargo, bundle_contents, config_map, pack_project
from mlp.backends.files_along import FilesAlong
from mlp.backends.sent_checking import check_sent
from mlp.backends.submission import Request, project_run, suffixed, with_request
from mlp.errors import SourceInvalid, UsageError
from mlp.resources import ProjectRun
from mlp.resources.names import RUN_LABEL
from mlp.source import locate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlp.source import Location

__all__ = ["STAGING_VARIABLE", "Luggage", "Submission", "is_local"]

Object = dict[str, Any]

STAGING_VARIABLE: Final = "MLP_STAGING"
"""Names the place for projects that are too large for a ConfigMap, where no option does."""

_PROJECT: Final = "project"
_FILES: Final = "files"
_DIGITS: Final = 12
"""Of a digest, for a name that tells contents apart."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A run, and what it owns.

    Attributes:
        run: The ProjectRun's manifest.
        config_maps: ConfigMaps that have to follow it.
    """

    run: Object
    config_maps: tuple[Object, ...] = ()


def is_local(uri: str) -> bool:
    """Whether a URI names a directory of this machine."""
    text = uri.strip().strip("'\"").strip()
    return Path(text.partition("#")[0]).is_dir()


class Luggage:
    """What of this machine goes along with whatever is submitted: the project, files, both or nothing.

    Args:
        request: What is asked for.
        files: Files to be sent along, by the parameter that each is the value of.
        staging: ``s3://BUCKET/PREFIX`` for projects that are too large for a ConfigMap.
        limit: Bytes of a packed project at most.

    Raises:
        SourceError: The project cannot be packed.
        ParameterInvalid: A file cannot be sent along.
        UsageError: Things that exclude each other.
    """

    def __init__(
        self,
        request: Request,
        *,
        files: Mapping[str, Path] | None = None,
        staging: str | None = None,
        limit: int | None = None,
    ) -> None:
        self._along = FilesAlong(files or {})
        self._source: Path | None = None
        self._warnings: tuple[str, ...] = ()
        self.cargo: Cargo | None = None
        """The packed project, if it is one of this machine."""
        if request.uri is not None and not request.project and is_local(request.uri):
            location = _located(request)
            self._source = Path(location.uri)
            self.cargo = pack_project(location, staging=staging, limit=limit)
            request = dataclasses.replace(request, tags={**self.cargo.tags(), **request.tags})
        self._request = dataclasses.replace(request, parameters={**request.parameters, **self._along.parameters})

    def said(self) -> list[str]:
        """What and how much is sent, for people, and what looks like a slip in the run that was made last."""
        sent = [line for line in (self.cargo.said() if self.cargo else "", self._along.said()) if line]
        return [*(f"Warning: {warning}" for warning in self._warnings), *sent]

    def stage(self) -> None:
        """Put into a store what goes there."""
        if self.cargo is not None:
            self.cargo.stage()

    def new(
        self,
        *,
        name: str | None = None,
        generate_name: str | None = None,
        namespace: str | None = None,
        finish: Callable[[Object], Object] = lambda run: run,
    ) -> Submission:
        """The submission of a new run.

        Args:
            name: As for `mlp.backends.submission.project_run`.
            generate_name: Likewise.
            namespace: Likewise.
            finish: Makes the manifest what is sent in the end.
        """

        def made(request: Request) -> Object:
            return finish(project_run(request, name=name, generate_name=generate_name, namespace=namespace))

        return self._submission(made)

    def of(self, manifest: Mapping[str, Any], finish: Callable[[Object], Object] = lambda run: run) -> Submission:
        """The submission of a run from a file.

        Args:
            manifest: What stands there; what was asked for takes precedence.
            finish: Makes the manifest what is sent in the end.
        """
        return self._submission(lambda request: finish(with_request(manifest, request)))

    def _submission(self, made: Callable[[Request], Object]) -> Submission:
        contents = {_PROJECT: bundle_contents(self.cargo) if self.cargo else {}, _FILES: self._along.contents}
        # Names that nobody else has: a deleted run's ConfigMap may be there for a while.
        names = {kind: suffixed(f"{kind}-{_digest(content)}") for kind, content in contents.items()}
        request = self._request
        if self.cargo is not None:
            request = dataclasses.replace(request, project=self.cargo.project(names[_PROJECT]))
        if self._along.contents:
            request = dataclasses.replace(request, pod={**request.pod, **self._along.pod(names[_FILES])})
        run = made(request)
        if self.cargo is not None and self._source is not None:
            self._warnings = check_sent(self.cargo, self._source, ProjectRun.parse(run))
        metadata = run["metadata"]
        labels = {RUN_LABEL: metadata["name"]} if metadata.get("name") else {}
        return Submission(
            run,
            tuple(
                config_map(names[kind], content, labels=labels, namespace=metadata.get("namespace"))
                for kind, content in contents.items()
                if content
            ),
        )


def _digest(contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for content in contents.values():
        digest.update(content)
    return digest.hexdigest()[:_DIGITS]


def _located(request: Request) -> Location:
    for option, given in (("version (-v)", request.version), ("auth_secret (--auth-secret)", request.auth_secret)):
        if given:
            raise UsageError(
                f"{option} is for a project in a Git repository, and '{request.uri}' is a directory on this machine, "
                "which is sent as it is. Leave it out, or give the repository's URI."
            )
    location = locate(str(request.uri), local=True)
    if location.kind != "directory":
        raise SourceInvalid(
            f"'{request.uri}' is a Git repository without files of its own. Give the URI by which a cluster "
            "reaches it, or a clone of it."
        )
    return location
