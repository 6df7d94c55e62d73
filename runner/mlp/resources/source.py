"""Where a run's project comes from: a Git repository or a bundle, and which part of it runs.

What Git could misunderstand (options, other transports) and what would end up in logs (credentials) is refused here,
before anything is stored.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from mlp.resources.model import Flag, Rule, SpecModel, bounded, exactly_one
from mlp.resources.pod import LocalObjectReference, Name

__all__ = ["Bundle", "ProjectSource", "cel_literal", "matches", "no_credentials"]

# The same expressions for CEL (RE2) and for Python: no look-around, and [0-9] instead of \d.
_HTTP_USER = "^(?i)https?://[^/?#]*@"
_USER_AND_MORE = "^[A-Za-z][A-Za-z0-9+.-]*://[^/?#@]*:[^/?#]*@"
_GIT_URI = (
    "^((https?|ssh)://[^/\\s-][^\\s]*|file:///[^\\s]*|[A-Za-z0-9_][A-Za-z0-9_.+-]*@[A-Za-z0-9\\[][^/\\s]*:[^\\s]+)$"
)


def matches(expression: str, text: str) -> bool:
    """Whether an expression matches, as CEL's function of this name."""
    # Python wants an inline flag in front of everything; RE2 takes it there too.
    return re.search(expression.replace("^(?i)", "(?i)^"), text) is not None


def cel_literal(expression: str) -> str:
    """The expression as a CEL string literal."""
    return "'" + expression.replace("\\", "\\\\").replace("'", "\\'") + "'"


def no_credentials(field: str, message: str) -> Rule:
    """The rule that a field with a URI has no user's secret in it: not for HTTP at all, no password elsewhere."""

    def holds(model: Any) -> bool:  # noqa: ANN401 -- any model that has the field
        uri = getattr(model, field) or ""
        return not matches(_HTTP_USER, uri) and not matches(_USER_AND_MORE, uri)

    return Rule(
        f"!has(self.{field}) || !(self.{field}.matches({cel_literal(_HTTP_USER)}) || "
        f"self.{field}.matches({cel_literal(_USER_AND_MORE)}))",
        message,
        holds,
        field=field,
        # "Invalid value" would print the password.
        forbids=True,
    )


class Bundle(SpecModel):
    """A project that was packed and uploaded, as `mlp submit .` does."""

    config_map_name: Name | None = None
    """A ConfigMap that holds the archive."""
    uri: Annotated[str, bounded(2048, pattern=r"^[a-z][a-z0-9+.-]*://[^\s]+$")] | None = None
    """Where the archive lies, such as s3://bucket/key."""
    sha256: Annotated[str, bounded(64, pattern=r"^[0-9a-f]{64}$")]
    """The archive's SHA-256 digest, in hexadecimal: what runs is what was submitted."""

    rules = (
        exactly_one("config_map_name", "uri"),
        no_credentials("uri", "credentials must not stand in the uri; name a Secret in spec.data.secretRef"),
    )


class ProjectSource(SpecModel):
    """The project and the part of it that runs: exactly one of uri and bundle."""

    uri: Annotated[str, bounded(2048, shortest=1)] | None = None
    """The project's Git repository: https://…, ssh://… or user@host:path. "#directory" at its end names a directory."""
    bundle: Bundle | None = None
    """A packed project instead of a repository."""
    version: Annotated[str, bounded(256, shortest=1)] | None = None
    """A branch, a tag or a commit, full or short; the repository's default branch if unset. It is resolved once: the
    commit that runs stands in status.source.commit."""
    subdirectory: Annotated[str, bounded(1024)] = ""
    """The project's directory inside the repository or the bundle; the root if empty."""
    entry_point: Annotated[str, bounded(1024, shortest=1)] = "main"
    """An entry point of the MLproject file, or the path of a .py or .sh file in the project."""
    auth_secret_ref: LocalObjectReference | None = None
    """A Secret of type kubernetes.io/basic-auth, or kubernetes.io/ssh-auth with the key known_hosts beside its own, for
    reading the repository."""
    submodules: Flag = True
    """Whether the repository's submodules are fetched too."""
    lfs: Flag = False
    """Whether files kept in Git LFS are fetched too."""

    rules = (
        exactly_one("uri", "bundle"),
        no_credentials("uri", "credentials must not stand in the uri; name a Secret in spec.project.authSecretRef"),
        Rule(
            f"!has(self.uri) || self.uri.matches({cel_literal(_GIT_URI)})",
            "the uri must be https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH",
            lambda project: project.uri is None or matches(_GIT_URI, project.uri),
            field="uri",
            forbids=True,
        ),
        Rule(
            "!(has(self.uri) && self.uri.contains('#') && self.subdirectory != '')",
            "name the subdirectory once: behind '#' in the uri, or in subdirectory",
            lambda project: not ("#" in (project.uri or "") and project.subdirectory),
            field="subdirectory",
        ),
        Rule(
            "!self.subdirectory.startsWith('/') && !self.subdirectory.split('/').exists(part, part == '..')",
            "the subdirectory must be a path inside the project, without '..'",
            lambda project: not project.subdirectory.startswith("/") and ".." not in project.subdirectory.split("/"),
            field="subdirectory",
        ),
        Rule(
            "!has(self.version) || self.version.matches('^[^-\\\\s][^\\\\s]*$')",
            "the version must be a branch, a tag or a commit: no blanks, and no '-' in front",
            lambda project: project.version is None or matches(r"^[^-\s][^\s]*$", project.version),
            field="version",
        ),
        Rule(
            "has(self.uri) || !(has(self.version) || has(self.authSecretRef))",
            "version and authSecretRef belong to a uri, not to a bundle",
            lambda project: project.uri is not None or (project.version is None and project.auth_secret_ref is None),
        ),
    )
