"""A directory as one file: packed on the machine where somebody works, unpacked where the project runs.

`pack` makes a tar archive, compressed by gzip, of what belongs to a project; the same tree is the same bytes, whoever
packs it and whenever (as long as zlib compresses alike), and `pack_checkout` one of all of a commit. `unpack` brings
it back, believing nothing in it, and `snapshot` looks into it without a disk. Nothing here knows how an archive
travels, nor what a project is.
"""

from __future__ import annotations

from mlp.source.bundle.inside import snapshot
from mlp.source.bundle.packing import Bundle, pack, pack_checkout
from mlp.source.bundle.reading import BOUNDS
from mlp.source.bundle.unpacking import unpack

__all__ = ["BOUNDS", "Bundle", "pack", "pack_checkout", "snapshot", "unpack"]
