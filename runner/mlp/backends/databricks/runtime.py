"""The wheel of mlp itself, made from what is installed here, so that the cluster runs the same code as we do.

No index has to have this version: what runs a project there is what resolved it here. The wheel holds the package `mlp`
alone, and names what it needs as the installed distribution does. The same files give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import sys
import zipfile
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EXTRAS", "Runtime", "runtime"]

EXTRAS: Final = ("conda", "data")
"""What runs of some projects need beyond the rest: environments, and s3://."""

_DISTRIBUTION: Final = "mlp-operator"
_NAME: Final = "mlp_remote"
_DIGITS: Final = 16
_TIME: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o100644 << 16
_EXTRA: Final = re.compile(r"""extra\s*==\s*['"]([\w.-]+)['"]""")


@dataclass(frozen=True, slots=True)
class Runtime:
    """A wheel.

    Attributes:
        name: The file's name, in which a digest of what is in it stands: what has the same name is the same.
        content: The file.
    """

    name: str
    content: bytes = field(repr=False)


@cache
def runtime() -> Runtime:
    """The wheel of what is installed here. Made once by each process.

    Raises:
        UsageError: mlp is imported from files that nobody has installed, so that nothing says what they need; or from
            an archive, where its files are not to be had.
    """
    try:
        about = metadata.metadata(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise UsageError(
            f"Runs on Databricks are sent the installed package, and {_DISTRIBUTION} is not installed: "
            f"pip install {_DISTRIBUTION}"
        ) from None
    # A local version's plus sign is a sign that URLs and file systems treat each in its own way.
    version = about["Version"].partition("+")[0]
    files = dict(_files())
    if "mlp/__init__.py" not in files:
        raise UsageError(
            f"Runs on Databricks are sent the installed package, and here it is inside of an archive. Install it into "
            f"a directory: pip install {_DISTRIBUTION}"
        )
    described = _metadata(version, about["Requires-Python"], metadata.requires(_DISTRIBUTION) or [])
    # The build tag begins with a digit, and tells builds of one version apart.
    build = f"0{_digest(files, described)}"
    directory = f"{_NAME}-{version}.dist-info"
    files[f"{directory}/METADATA"] = described
    files[f"{directory}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: mlp\nRoot-Is-Purelib: true\nTag: py3-none-any\nBuild: {build}\n"
    ).encode()
    record = f"{directory}/RECORD"
    files[record] = "".join([*map(_recorded, files.items()), f"{record},,\n"]).encode()
    return Runtime(f"{_NAME}-{version}-{build}-py3-none-any.whl", _packed(files))


def _files() -> Iterator[tuple[str, bytes]]:
    """What is in the package, sorted: modules and the data beside them, but nothing that Python or an editor left."""
    found: dict[str, Path] = {}
    for root in map(Path, sys.modules["mlp"].__path__):
        for path in root.rglob("*"):
            inside = path.relative_to(root)
            if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in inside.parts):
                found.setdefault(f"mlp/{inside.as_posix()}", path)
    for name in sorted(found):
        if not name.endswith((".pyc", "~")):
            yield name, found[name].read_bytes()


def _metadata(version: str, python: str, requirements: list[str]) -> bytes:
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {_NAME.replace('_', '-')}",
        f"Version: {version}",
        f"Requires-Python: {python}",
        *(f"Provides-Extra: {extra}" for extra in EXTRAS),
        *(f"Requires-Dist: {each}" for each in requirements if (_EXTRA.findall(each) or [""])[0] in {"", *EXTRAS}),
    ]
    return "\n".join([*lines, ""]).encode()


def _digest(files: dict[str, bytes], described: bytes) -> str:
    whole = hashlib.sha256(described)
    for name, content in files.items():
        whole.update(f"{name}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()[:_DIGITS]


def _recorded(file: tuple[str, bytes]) -> str:
    name, content = file
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"


def _packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, _TIME)
            info.external_attr = _MODE
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer.getvalue()
