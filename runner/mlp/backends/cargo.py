"""A project on this machine, packed so that a pod can have it: in a ConfigMap if it is small, else in a store.

What is sent is said, with its size and the commit that it comes from, before it is sent; nothing is written anywhere
here but what `Cargo.stage` is asked to. No cluster is known.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlp.errors import UsageError
from mlp.resources.names import BUNDLE_KEY
from mlp.source.bundle import BOUNDS, Bundle, pack
from mlp.source.bundle.packing import size_in_words
from mlp.source.changes import SentFrom, sent_from
from mlp.tracking import names

if TYPE_CHECKING:
    from mlp.source import Location

__all__ = ["CONFIG_MAP_LIMIT", "Cargo", "config_map", "pack_project"]

Object = dict[str, Any]

CONFIG_MAP_LIMIT: Final = 1_000_000
"""Bytes of content in a ConfigMap: the API server takes 1,048,576 with the keys, and etcd little more in all."""

_SUFFIX: Final = ".tar.gz"
_MEDIA_TYPE: Final = "application/gzip"
_DIGITS: Final = 7


@dataclass(frozen=True, slots=True)
class Cargo:
    """A packed project on its way.

    Attributes:
        bundle: What is sent.
        subdirectory: The project's directory in it.
        origin: The working tree that it comes from, if any.
        staging: Where it is staged; None for a ConfigMap.
    """

    bundle: Bundle
    subdirectory: str = ""
    origin: SentFrom | None = None
    staging: str | None = None

    @property
    def uri(self) -> str | None:
        """Where it will lie in a store."""
        if self.staging is None:
            return None
        from mlp.data.staging import staged_uri  # noqa: PLC0415 -- only large projects need it

        return staged_uri(self.staging, self.bundle.sha256, suffix=_SUFFIX)

    def project(self, config_map_name: str) -> Object:
        """The fields of spec.project.

        Args:
            config_map_name: The ConfigMap that it is to be in, if it is to be in one.
        """
        place = {"configMapName": config_map_name} if self.uri is None else {"uri": self.uri}
        inside = {"subdirectory": self.subdirectory} if self.subdirectory else {}
        return {"bundle": {**place, "sha256": self.bundle.sha256}, **inside}

    def tags(self) -> dict[str, str]:
        """What MLflow's record says of it: MLflow's names, and whether more was sent than a commit holds."""
        if self.origin is None:
            return {}
        tags = {
            names.GIT_COMMIT: self.origin.commit,
            names.GIT_REPO_URL: self.origin.repository,
            names.GIT_BRANCH: self.origin.branch,
            names.SOURCE_DIRTY: "true" if self.origin.dirty else "false",
        }
        return {name: value for name, value in tags.items() if value}

    def said(self) -> str:
        """What and how much is sent, for people."""
        count = f"{self.bundle.files:,} file{'' if self.bundle.files == 1 else 's'}"
        where = f" to {self.uri}" if self.uri else ""
        return f"Sending {count}, {size_in_words(len(self.bundle.content))}{where}{_words(self.origin)}"

    def stage(self) -> bool:
        """Put it into the store, with the caller's own credentials; whether it was not there yet.

        Raises:
            DataError: The store cannot be reached, or refuses it.
        """
        if self.staging is None:
            return False
        from mlp.data.staging import stage  # noqa: PLC0415 -- only large projects need it

        return stage(self.bundle.content, self.staging, suffix=_SUFFIX, media_type=_MEDIA_TYPE).sent


def pack_project(location: Location, *, staging: str | None = None, limit: int | None = None) -> Cargo:
    """Pack a project on this machine.

    Args:
        location: A directory; all of it is packed, and its subdirectory is where the project is.
        staging: ``s3://BUCKET/PREFIX`` for what is too large for a ConfigMap.
        limit: Bytes that may be sent at most, packed.

    Raises:
        SourceInvalid: It is larger, or something in it cannot be packed.
        SourceUnavailable: A file changed meanwhile.
        UsageError: The limit is above what is ever taken.
        DataInvalid: Nothing can be staged there.
    """
    if limit is not None and not 0 < limit <= BOUNDS.packed:
        raise UsageError(f"The limit for a bundle is between 1 byte and {size_in_words(BOUNDS.packed)}.")
    most = limit or BOUNDS.packed
    if staging is None:
        most = min(most, CONFIG_MAP_LIMIT)
    advice = (
        "What is larger goes through a store: give --staging s3://BUCKET/PREFIX (or MLP_STAGING); or push it to a Git "
        "repository, and keep data where path parameters can name it (s3://…)."
        if staging is None and most == CONFIG_MAP_LIMIT
        else "Data belongs where path parameters can name it (s3://…)."
    )
    bundle = pack(Path(location.uri), limit=most, advice=advice)
    origin = sent_from(location, bundle.paths)
    staging = staging if len(bundle.content) > CONFIG_MAP_LIMIT else None
    cargo = Cargo(bundle, location.subdirectory, origin, staging)
    _ = cargo.uri  # a place that is none is told of at once
    return cargo


def config_map(name: str, contents: dict[str, bytes], *, labels: dict[str, str], namespace: str | None) -> Object:
    """A ConfigMap that nobody can change.

    Args:
        name: Its name.
        contents: What is in it, by key.
        labels: Its labels.
        namespace: Its namespace; left to the connection if None.
    """
    place = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **place, **({"labels": labels} if labels else {})},
        "immutable": True,
        "binaryData": {key: base64.b64encode(content).decode() for key, content in contents.items()},
    }


def bundle_contents(cargo: Cargo) -> dict[str, bytes]:
    """What a ConfigMap holds for a project; nothing if that is in a store."""
    return {BUNDLE_KEY: cargo.bundle.content} if cargo.staging is None else {}


def _words(origin: SentFrom | None) -> str:
    if origin is None:
        return ""
    if origin.commit is None:
        return " (not committed)"
    return f" (commit {origin.commit[:_DIGITS]}{' with changes' if origin.dirty else ''})"
