"""Write an OCI image archive with one program in it: a pause image for a cluster without a registry.

Deterministic: the same program gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What the kernel calls this machine, and what images call it."""


def write_program_image(archive: Path, *, name: str, program: Path, entrypoint: Sequence[str], user: str) -> None:
    """Write an image called `name` whose only file is `program`, as the first word of `entrypoint`."""
    layer = _tar({entrypoint[0].lstrip("/"): (program.read_bytes(), 0o755)})
    target = {"architecture": ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux"}
    config = _json(
        {
            **target,
            "config": {"Entrypoint": list(entrypoint), "User": user, "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor(config, "config.v1+json"),
            "layers": [_descriptor(layer, "layer.v1.tar")],
        }
    )
    entry = _descriptor(manifest, "manifest.v1+json") | {
        "platform": target,
        "annotations": {
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.rsplit(":", 1)[-1],
        },
    }
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "manifests": [entry]}),
    }
    files |= {"blobs/" + _digest(blob).replace(":", "/"): blob for blob in (layer, config, manifest)}
    archive.write_bytes(_tar({path: (data, 0o644) for path, data in files.items()}))


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, (data, mode) in sorted(files.items()):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), mode
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def _descriptor(blob: bytes, kind: str) -> dict[str, Any]:
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
