"""Where a project comes from: a Git repository or a directory.

`locate` understands a URI, `Git` resolves versions and brings files, `Access` says how servers may be reached, and
`Snapshot` and `DirectoryFiles` show what a project's root holds. Nothing here knows what a project is.
"""

from __future__ import annotations

from mlp.source.access import Access
from mlp.source.files import DirectoryFiles, Snapshot
from mlp.source.git import Git
from mlp.source.location import Location, locate, redact
from mlp.source.provenance import Provenance, provenance
from mlp.source.versions import Resolution
from mlp.source.working_tree import repository_of

__all__ = [
    "Access",
    "DirectoryFiles",
    "Git",
    "Location",
    "Provenance",
    "Resolution",
    "Snapshot",
    "locate",
    "provenance",
    "redact",
    "repository_of",
]
