"""Requirements as pip writes them: files that name files are taken apart into the lines that they amount to.

The lines go into the environment's hash, so a changed requirements.txt makes another environment; and they are all that
the builder gets, so it needs no file of the project, apart from what a line itself names. What a requirement means is
uv's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlp.errors import EnvironmentInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Line", "Requirements", "inline", "local_paths"]

_COMMENT: Final = re.compile(r"(^|\s)#.*$")
_INCLUDE: Final = re.compile(r"(?:(-r)\s*|(--requirement)[\s=]+|(-c)\s*|(--constraint)[\s=]+)(?P<file>.+)$")
_LARGEST: Final = 1024 * 1024
_EDITABLE: Final = re.compile(r"(?:-e\s*|--editable[\s=]+)(?P<target>.+)$")
_EXTRAS: Final = re.compile(r"\[[^\]]*\]$")
_OPTION_AFTER: Final = re.compile(r"\s+(--|;).*$")
_ARCHIVES: Final = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz")


@dataclass(frozen=True, slots=True)
class Line:
    """One line, and where it stands."""

    text: str
    place: str


@dataclass(frozen=True, slots=True)
class Requirements:
    """What was written, without files that name files.

    Attributes:
        lines: Requirements and options, in their order.
        constraints: The lines of all constraints files.
    """

    lines: tuple[Line, ...] = ()
    constraints: tuple[Line, ...] = ()


def inline(lines: Iterable[Line], directories: Sequence[Path]) -> Requirements:
    """Put the content of ``-r`` and ``-c`` files in their place.

    Args:
        lines: What an environment file says.
        directories: Where relative files are looked for: in the first of these that has them. A file that another one
            names is looked for beside that one first, as pip does.

    Raises:
        EnvironmentInvalid: A file is missing, unreadable, not text, absurdly large, or includes itself.
    """
    requirements: list[Line] = []
    constraints: list[Line] = []
    _walk(lines, tuple(directories), (), requirements, constraints)
    return Requirements(tuple(requirements), tuple(constraints))


def _walk(
    lines: Iterable[Line],
    directories: tuple[Path, ...],
    open_files: tuple[Path, ...],
    requirements: list[Line],
    constraints: list[Line],
) -> None:
    for line in lines:
        text = _COMMENT.sub("", line.text).strip()
        included = _INCLUDE.match(text)
        if not text:
            continue
        # What lies on a server is read by uv, at the time of the build.
        if included is None or "://" in included["file"]:
            requirements.append(Line(text, line.place))
            continue
        file = _find(included["file"].strip().strip("'\""), directories, line)
        if file in open_files:
            raise EnvironmentInvalid(f"{line.place}: {included['file']} includes itself.")
        into = constraints if included[3] or included[4] else requirements
        _walk(_lines_of(file, line), (file.parent, *directories), (*open_files, file), into, constraints)


def _find(written: str, directories: tuple[Path, ...], line: Line) -> Path:
    for directory in directories:
        file = (directory / written).resolve()
        if file.is_file():
            return file
    raise EnvironmentInvalid(
        f"{line.place}: there is no file {written} in {directories[-1]}; give a path relative to the project."
    )


def _lines_of(file: Path, line: Line) -> Iterator[Line]:
    try:
        if file.stat().st_size > _LARGEST:
            raise EnvironmentInvalid(f"{line.place}: {file.name} is larger than {_LARGEST} bytes, which is not read.")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise EnvironmentInvalid(f"{line.place}: {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise EnvironmentInvalid(f"{line.place}: {file} is not text in UTF-8.") from None
    begun, first = "", 0
    for number, physical in enumerate(text.splitlines(), start=1):
        first = first if begun else number
        # pip joins lines before it looks for comments, but a comment does not continue.
        if physical.endswith("\\") and not _COMMENT.search(physical):
            begun += physical[:-1]
            continue
        yield Line(begun + physical, f"{file.name}:{first}")
        begun = ""
    if begun:
        yield Line(begun, f"{file.name}:{first}")


def local_paths(lines: Iterable[Line], directory: Path) -> Iterator[tuple[str, Path]]:
    """The directories and archives on this machine that lines want installed: ``.``, ``-e ./lib``, ``pkg.whl``.

    Yields:
        The line's text, and the path.

    Raises:
        EnvironmentInvalid: There is no such directory or file.
    """
    for line in lines:
        if (target := _local_target(line.text)) is None:
            continue
        path = (directory / target).resolve()
        if not path.exists():
            raise EnvironmentInvalid(f"{line.place}: there is no {target} in {directory}, which {line.text!r} names.")
        yield line.text, path


def _local_target(text: str) -> str | None:
    editable = _EDITABLE.match(text)
    target = _OPTION_AFTER.sub("", (editable["target"] if editable else text).strip()).strip("'\"")
    if not editable and "@" in target and (direct := re.match(r"[\w.\[\], -]+@\s*(\S+)$", target)):
        target = direct[1]
        if not target.startswith("file:"):
            return None
    if target.startswith("file:"):
        from urllib.parse import unquote, urlsplit  # noqa: PLC0415 -- rarely written

        return unquote(urlsplit(target).path)
    if "://" in target or target.startswith("-") or "$" in target:
        return None
    target = _EXTRAS.sub("", target)
    written_as_path = target in {".", ".."} or "/" in target or target.endswith(_ARCHIVES)
    return target if target and (editable or written_as_path) else None
