"""Building an image from its Dockerfile with buildah, unless its inputs are those of last time.

An image is named by a hash of all that goes into it, so a build with nothing changed costs the reading of some files.
buildah's store keeps the layers below: a change of our own code rebuilds the package's layer alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.cluster import packages
from tests.cluster.layout import REPOSITORY, cache_directory
from tests.images import base, index

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_LAYERS: Final = 150
"""Images in buildah's store, layers counted, beyond which it is started anew: changes of code leave some behind."""
KEPT: Final = 3
"""Archives of each kind that are kept: several checkouts may share the cache."""


@dataclass(frozen=True, slots=True)
class Image:
    """One of the project's images."""

    name: str
    dockerfile: str

    @property
    def short(self) -> str:
        """The name without registry and tag."""
        return self.name.rpartition("/")[2].partition(":")[0]


RUNNER: Final = Image("mlp.test/runner:1", "runner/Dockerfile")
OPERATOR: Final = Image("mlp.test/operator:1", "operator/Dockerfile")


def build(image: Image) -> Path:
    """The image's archive (docker-archive, what `docker load` and `ctr image import` take), built if need be."""
    images = cache_directory() / "images"
    done = images / f"{image.short}-{key(image)}.tar"
    if done.exists():
        done.touch()  # it is of use: others go first
        return done
    if not packages.is_root():
        raise packages.Missing("images are built as root (mmdebstrap and buildah make mounts)")
    packages.require(packages.IMAGES)
    images.mkdir(parents=True, exist_ok=True)
    with (images / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        while not done.exists():
            print(f"building {image.name}", file=sys.stderr, flush=True)
            unfinished = _build(image, images / f".{image.short}.tar")
            # Somebody may be editing: an archive must have what its name says.
            after = images / f"{image.short}-{key(image)}.tar"
            if after == done:
                unfinished.replace(done)
            done = after
        _drop_old(images, f"{image.short}-*.tar")
        _drop_old(images, "base-*.tar")
    return done


def key(image: Image) -> str:
    """Names an image by all that goes into it: a hash."""
    digest = hashlib.sha256(f"{image.name} {base.key()}".encode())
    for path in inputs(image):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(REPOSITORY)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:20]


def inputs(image: Image) -> list[Path]:
    """The files that the Dockerfile copies (as .dockerignore lets them through), and itself."""
    files = [REPOSITORY / name for name in (image.dockerfile, "pyproject.toml", "uv.lock", "README.md", "LICENSE")]
    for package in ("runner", "operator"):
        found = (REPOSITORY / package).rglob("*")
        files += sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)
    return files


def _drop_old(images: Path, pattern: str) -> None:
    for old in sorted(images.glob(pattern), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        old.unlink()


def _build(image: Image, archive: Path) -> Path:
    store = _Store(cache_directory() / "buildah")
    store.start_anew_when_full()
    base_name = f"mlp.test/base:{base.key()}"
    if not store.has(base_name):
        store.make_base(base_name, base.archive())
    arguments = ["--isolation=chroot", "--layers", "--pull-never", f"--build-arg=BASE={base_name}"]
    with _secrets() as secrets:
        store.run("build", *arguments, *secrets, f"--file={image.dockerfile}", f"--tag={image.name}", str(REPOSITORY))
    archive.unlink(missing_ok=True)
    # Not OCI's own archive: buildah would compress its layers, which takes longer than all the rest.
    store.run("push", "--quiet", image.name, f"docker-archive:{archive}:{image.name}")
    return archive


@contextmanager
def _secrets() -> Iterator[list[str]]:
    """Files that tell a build how to reach the package index, as arguments of buildah; no image has them."""
    found = index.settings(index.files(Path.home()))
    certificates = index.certificates(found)
    with tempfile.TemporaryDirectory() as directory:
        conf = Path(directory) / "pip.conf"
        conf.write_text(index.pip_conf(found, certificates=certificates))
        arguments = [f"--secret=id=pip.conf,src={conf}"]
        if certificates is not None:
            arguments.append(f"--secret=id=ca.pem,src={certificates}")
        yield arguments


class _Store:
    """buildah's images and layers, in a directory of ours."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(self, command: str, *arguments: str) -> str:
        """Run one of buildah's commands; its output."""
        places = (
            f"--root={self.directory / 'root'}",
            f"--runroot={self.directory / 'run'}",
            "--storage-driver=overlay",
        )
        words = ["buildah", *places, command, *arguments]
        done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"buildah {command} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout.strip()

    def has(self, name: str) -> bool:
        """Is there an image of this name."""
        return name in self.run("images", "--format", "{{.Name}}:{{.Tag}}").split()

    def make_base(self, name: str, archive: Path) -> None:
        """Make an image of one layer from a root file system."""
        container = self.run("from", "scratch")
        self.run("add", "--quiet", container, str(archive), "/")
        self.run("commit", "--quiet", "--rm", container, name)

    def start_anew_when_full(self) -> None:
        """Drop everything once there is too much."""
        if self.directory.exists() and len(self.run("images", "--all", "--quiet").split()) > MOST_LAYERS:
            self._unmount()
            shutil.rmtree(self.directory)

    def _unmount(self) -> None:
        """Unmount the layers that a build has left behind which was killed: no directory goes from under a mount."""
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mounted in reversed([place for place in mounts if Path(place).is_relative_to(self.directory)]):
            subprocess.run(["umount", "--lazy", mounted], check=True)
