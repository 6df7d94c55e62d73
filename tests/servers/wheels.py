"""Wheels made on the spot, and the pages of a package index (PEP 503) for them: plain files, to be served or found."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def wheel(directory: Path, name: str, version: str = "1.0", *, requires=(), modules=None, scripts=None) -> Path:
    """A pure Python wheel; by default with one module of its name that knows its version."""
    modules = modules or {f"{name}.py": f"version = {version!r}\ndef main(): print({name!r}, version)\n"}
    info = f"{name}-{version}.dist-info"
    files = {
        **modules,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + "".join(f"Requires-Dist: {each}\n" for each in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if scripts:
        lines = "".join(f"{script} = {target}\n" for script, target in scripts.items())
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}"
    record = "".join(f"{path},{_digest(text.encode())},{len(text.encode())}\n" for path, text in files.items())
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)
    return file


def _digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


class Index:
    """A package index in a directory; its address is that of ``simple`` below wherever the directory is served."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "simple").mkdir(parents=True, exist_ok=True)

    def add(self, name: str, version: str = "1.0", **content) -> Path:
        """Publish a wheel."""
        file = wheel(self.root / "files", name, version, **content)
        page = self.root / "simple" / name.replace("_", "-")
        page.mkdir(exist_ok=True)
        links = (self._link(each) for each in sorted((self.root / "files").glob(f"{name}-*.whl")))
        (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")
        return file

    def _link(self, file: Path) -> str:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return f'<a href="../../files/{file.name}#sha256={digest}">{file.name}</a>\n'
