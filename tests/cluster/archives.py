"""Image archives as `docker save` writes them: several as one stream, in which layers that they share come once.

A base image is most of what a test's images are; reading it once instead of once an image halves the time to load them.
"""

from __future__ import annotations

import io
import json
import tarfile
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write_merged(archives: Sequence[Path], out: IO[bytes]) -> None:
    """Write one docker-archive with the images of all `archives` to a stream."""
    manifest: list[dict[str, Any]] = []
    written: set[str] = set()
    with tarfile.open(fileobj=out, mode="w|") as merged:
        for path in archives:
            with tarfile.open(path) as archive:
                listed = archive.extractfile("manifest.json")
                if listed is None:
                    raise ValueError(f"{path} is no docker-archive: it has no manifest.json")
                images = json.load(listed)
                manifest += images
                for name in [name for image in images for name in (image["Config"], *image["Layers"])]:
                    if name not in written:
                        merged.addfile(archive.getmember(name), archive.extractfile(name))
                        written.add(name)
        text = json.dumps(manifest).encode()
        member = tarfile.TarInfo("manifest.json")
        member.size = len(text)
        merged.addfile(member, io.BytesIO(text))
