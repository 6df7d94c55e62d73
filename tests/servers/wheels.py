"""Wheels made on the spot, and the pages of a package index (PEP 503) for them: plain files, to be served or found.

`wheel` makes one of a few lines of text. `repacked` makes one of a package that is installed beside the tests, so that
real packages, with all that they depend on, can be had where no package index can be reached.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INSTALLERS = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
"""What an installer adds to a package's information."""


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


def repacked(directory: Path, name: str) -> Path:
    """The wheel of an installed package, for the Python that runs the tests. Its scripts are left out."""
    installed = metadata.distribution(name)
    files: dict[str, bytes] = {}
    for file in installed.files or ():
        outside = file.parts[0] == ".." or "__pycache__" in file.parts
        if not outside and not (file.parts[0].endswith(".dist-info") and file.name in INSTALLERS):
            files[file.as_posix()] = file.locate().read_bytes()
    info = next(path for path in files if path.endswith(".dist-info/METADATA")).partition("/")[0]
    tags = re.findall(r"^Tag: (\S+)-(\S+)-(\S+)$", files[f"{info}/WHEEL"].decode(), re.MULTILINE)
    tag = "-".join(".".join(dict.fromkeys(each)) for each in zip(*tags, strict=True))
    record = "".join(f"{path},{_digest(data)},{len(data)}\n" for path, data in files.items())
    directory.mkdir(parents=True, exist_ok=True)
    file_name = directory / f"{info.removesuffix('.dist-info')}-{tag}.whl"
    with zipfile.ZipFile(file_name, "w") as archive:
        for path, data in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(path, data)
    return file_name


def needed_by(name: str) -> Iterator[str]:
    """An installed package and all that it depends on."""
    found, left = {}, [name]
    while left:
        installed = metadata.distribution(left.pop())
        if (canonical := _canonical(installed.name)) in found:
            continue
        found[canonical] = True
        yield canonical
        wanted = map(Requirement, installed.requires or ())
        left += [each.name for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


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
        self._write_page(name, sorted((self.root / "files").glob(f"{name}-*.whl")))
        return file

    def add_installed(self, name: str) -> None:
        """Publish an installed package and all that it depends on."""
        for each in needed_by(name):
            self._write_page(each, [repacked(self.root / "files", each)])

    def _write_page(self, name: str, files: list[Path]) -> None:
        page = self.root / "simple" / name.replace("_", "-")
        page.mkdir(exist_ok=True)
        links = map(self._link, files)
        (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")

    def _link(self, file: Path) -> str:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return f'<a href="../../files/{file.name}#sha256={digest}">{file.name}</a>\n'
