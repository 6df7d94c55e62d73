"""Where a project comes from: a Git repository, a directory or a zip archive.

`locate` understands a URI, `Git` resolves versions and brings files, `fetch_archive` unpacks, `Access` says how servers
may be reached, `Snapshot` and `DirectoryFiles` show what a project's root holds, and `provenance` tells what of it all
is worth recording. Nothing here knows what a project is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp.lazily import lazily
from mlp.source.provenance import Provenance, provenance, repository_provenance

if TYPE_CHECKING:
    from mlp.source.access import Access
    from mlp.source.archive import fetch_archive
    from mlp.source.files import DirectoryFiles, Snapshot
    from mlp.source.git import Git
    from mlp.source.location import Location, locate
    from mlp.source.redaction import redact
    from mlp.source.unpacking import Bounds
    from mlp.source.versions import Resolution
    from mlp.source.working_tree import repository_of

__all__ = [
    "Access",
    "Bounds",
    "DirectoryFiles",
    "Git",
    "Location",
    "Provenance",
    "Resolution",
    "Snapshot",
    "fetch_archive",
    "locate",
    "provenance",
    "redact",
    "repository_of",
    "repository_provenance",
]

__getattr__ = lazily(
    __name__,
    {
        "access": ("Access",),
        "archive": ("fetch_archive",),
        "files": ("DirectoryFiles", "Snapshot"),
        "git": ("Git",),
        "location": ("Location", "locate"),
        "redaction": ("redact",),
        "unpacking": ("Bounds",),
        "versions": ("Resolution",),
        "working_tree": ("repository_of",),
    },
)
