"""Large files that a repository keeps apart: small pointers in the commit, contents on an LFS server.

A checkout without Git's extension succeeds and leaves the pointers, which a project then reads as data. So pointers are
looked for, and their contents brought by `git-lfs` through the same access as everything else, or the run ends here.
Git itself writes the contents, through a filter that is set for that one call: neither the user's filters nor those of
the machine count, and only files that are checked out are brought.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from typing import TYPE_CHECKING, Final

from mlp.errors import AuthenticationFailed, MlpError, SourceInvalid, SourceNotFound, SourceUnavailable
from mlp.source.location import host_name
from mlp.source.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlp.source.program import Outcome
    from mlp.source.session import Session

__all__ = ["bring_large_files", "is_pointer"]

_log = logging.getLogger(__name__)

_BEGINNINGS: Final = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_LARGEST_POINTER: Final = 1024
"""Bytes that a pointer has fewer than, says the format's description."""

_GITLINK: Final = "160000"
_FILTER: Final = (
    *("-c", "filter.lfs.process=git-lfs filter-process"),
    *("-c", "filter.lfs.required=true"),
    # Otherwise a project could ask for failures to be passed over. The defaults of the next two try for minutes, also
    # where credentials are missing. And it would leave hooks behind.
    *("-c", "lfs.skipDownloadErrors=false"),
    *("-c", "lfs.transfer.maxRetries=3"),
    *("-c", "lfs.transfer.maxRetryDelay=3"),
    *("-c", "core.hooksPath=/dev/null"),
)
_MISSING: Final = re.compile(r"object does not exist|\[404\]|repository or object not found", re.IGNORECASE)
_REFUSED: Final = re.compile(
    r"authenticat|authoriz|credentials for .* not found|could not read (username|password)|\b40[13]\b", re.IGNORECASE
)


def is_pointer(file: Path) -> bool:
    """Whether a file is not itself but a pointer to its content."""
    if file.is_symlink() or not file.is_file() or file.stat().st_size >= _LARGEST_POINTER:
        return False
    with file.open("rb") as opened:
        return opened.read(64).startswith(_BEGINNINGS)


def bring_large_files(session: Session, work_tree: Path, *, wanted: bool) -> None:
    """Put contents into the place of pointers, in a checked out commit and its submodules.

    Args:
        session: How to call Git.
        work_tree: Where the commit is checked out.
        wanted: Whether contents are wanted; without them the pointers stay, and a warning names one.

    Raises:
        SourceInvalid: There are pointers, and no program `git-lfs`; or they lead to a server that is not allowed.
        SourceNotFound: The server does not have a content.
        SourceError: A content cannot be brought.
    """
    for repository in _repositories(session, work_tree):
        pointers, lookalikes = _pointers(session, repository)
        shown = repository.relative_to(work_tree)
        if lookalikes:
            _log.warning(
                "%s looks like a pointer of Git LFS, but .gitattributes does not say that its content is kept there. "
                "It stays as it is.",
                (shown / lookalikes[0]).as_posix(),
            )
        if not pointers:
            continue
        first = (shown / pointers[0]).as_posix()
        if not wanted:
            _log.warning("%s of Git LFS, as asked (the first is %s)", _staying(len(pointers)), first)
            continue
        if session.attempt("lfs", "version", within=repository).status != 0:
            raise _no_client(session, first)
        if session.access.isolated:
            _permit(session, repository)
        _bring(session, repository, pointers, first)


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"


def _staying(number: int) -> str:
    return "1 file stays a pointer" if number == 1 else f"{number} files stay pointers"


def _repositories(session: Session, work_tree: Path) -> Iterator[Path]:
    """A work tree, and those of its submodules that were brought."""
    yield work_tree
    for mode, path in _entries(session, work_tree):
        if mode == _GITLINK and (work_tree / path / ".git").exists():
            yield from _repositories(session, work_tree / path)


def _entries(session: Session, work_tree: Path) -> Iterator[tuple[str, str]]:
    """Mode and path of all that a commit has."""
    output = os.fsdecode(session.run("ls-files", "--stage", "-z", within=work_tree))
    for entry in filter(None, output.split("\0")):
        attributes, _, path = entry.partition("\t")
        yield attributes.split()[0], path


def _pointers(session: Session, work_tree: Path) -> tuple[list[str], list[str]]:
    """Files with a pointer in their place, and files that happen to look like one."""
    paths = [path for mode, path in _entries(session, work_tree) if mode != _GITLINK and is_pointer(work_tree / path)]
    if not paths:
        return [], []
    answer = session.run("check-attr", "--stdin", "-z", "filter", within=work_tree, stdin="\0".join(paths) + "\0")
    fields = os.fsdecode(answer).split("\0")
    kept = {path for path, value in zip(fields[::3], fields[2::3], strict=False) if value == "lfs"}
    return [path for path in paths if path in kept], [path for path in paths if path not in kept]


def _permit(session: Session, work_tree: Path) -> None:
    """Refuse an LFS server on another host: the project's author may name any in the file .lfsconfig."""
    if not (work_tree / ".lfsconfig").is_file():
        return
    names = r"^(lfs\.url|remote\..*\.lfsurl)$"
    outcome = session.attempt("config", "--file", ".lfsconfig", "--null", "--get-regexp", names, within=work_tree)
    if outcome.status not in {0, 1}:
        raise SourceInvalid(f"The file .lfsconfig of {redact(session.uri)} cannot be read.")
    for entry in filter(None, outcome.stdout.decode(errors="replace").split("\0")):
        uri = entry.partition("\n")[2]
        session.access.permit(uri)
        host, own = host_name(uri), host_name(session.uri)
        if host != own and not session.access.allow_other_hosts:
            raise SourceInvalid(
                f"The file .lfsconfig names another host, {host or 'this machine'} ({redact(uri)}), than the project's "
                f"({own or 'this machine'}). Keep large files beside the repository; whoever runs the operator can "
                "allow other hosts."
            )


def _bring(session: Session, work_tree: Path, pointers: list[str], first: str) -> None:
    # A file that is as the index says would not be written again.
    for path in pointers:
        (work_tree / path).unlink()
    outcome = session.attempt(
        *_FILTER, "--literal-pathspecs", "checkout", "--quiet", "--pathspec-from-file=-", "--pathspec-file-nul", "HEAD",
        within=work_tree, stdin="\0".join(pointers),
    )  # fmt: skip
    if outcome.status != 0:
        raise _diagnose(session, outcome, first)
    left = [path for path in pointers if is_pointer(work_tree / path)]
    if left:
        _log.warning("%s of Git LFS, as the project's .lfsconfig asks (the first is %s)", _staying(len(left)), left[0])
    # The work tree has them now; a second copy would take as much room again.
    kept = session.run("rev-parse", "--git-path", "lfs", within=work_tree).decode().strip()
    shutil.rmtree(work_tree / kept, ignore_errors=True)
    _log.info("Fetched the content of %s from Git LFS", _files(len(pointers) - len(left)))


def _no_client(session: Session, first: str) -> SourceInvalid:
    way_out = (
        "Use an image that has the package git-lfs"
        if session.access.isolated
        else "Install it (Debian and Ubuntu: apt-get install git-lfs; Fedora: dnf install git-lfs; macOS: brew install "
        "git-lfs)"
    )
    return SourceInvalid(
        f"'{first}' of {redact(session.uri)} is kept in Git LFS, and there is no program git-lfs to fetch it. "
        f"{way_out}, or run the project without its large files (GIT_LFS_SKIP_SMUDGE=1), which leaves pointers in "
        "their place."
    )


def _diagnose(session: Session, outcome: Outcome, first: str) -> MlpError:
    """What a failed download means. The words are git-lfs's own, which stand among Git's."""
    telling = [line for line in outcome.stderr.splitlines() if re.search(r"batch response|Smudge error|LFS:", line)]
    said = redact((telling or outcome.stderr.splitlines() or ["it ended without a word"])[0].strip().rstrip("."))
    uri = redact(session.uri)
    if _REFUSED.search(outcome.stderr):
        way_out = session.access.way_to_authenticate(session.uri)
        return AuthenticationFailed(f"The LFS server of {uri} wants other credentials ({said}). {way_out}")
    if _MISSING.search(outcome.stderr):
        return SourceNotFound(
            f"The LFS server of {uri} does not have the content of a file ({said}). Whoever has it can upload it: "
            "`git lfs push --all origin`."
        )
    return SourceUnavailable(f"'{first}' and others of {uri} could not be fetched from Git LFS ({said}).")
