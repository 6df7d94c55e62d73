"""Git as a source of projects: which commit a version is, what its root holds, and the files themselves.

Three operations, each with one deadline, each through the `git` program. Synchronous: callers with an event loop put
them in a thread. Only checked values reach Git's command line: URIs that mlp.source.location accepted, commits of 40
hexadecimal digits and full names of refs; a path goes in by standard input, behind ``--``, or behind a colon.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Final

from mlp.errors import SourceInvalid, SourceNotFound, UsageError
from mlp.source.bringing import bring, clear
from mlp.source.commits import look_deeper, look_for
from mlp.source.files import Snapshot
from mlp.source.lfs import bring_large_files
from mlp.source.location import project_name
from mlp.source.redaction import redact
from mlp.source.session import Session, open_session
from mlp.source.submodules import bring_submodules
from mlp.source.trees import contents_of, list_files
from mlp.source.versions import (
    Refs,
    Resolution,
    check_version,
    is_full_commit,
    is_short_commit,
    scope,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlp.source.access import Access
    from mlp.source.program import Outcome

__all__ = ["Git"]

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_REF: Final = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]+")


class Git:
    """Git repositories, reached in one way."""

    def __init__(self, access: Access, *, timeout: float = 300.0) -> None:
        """Remember how to reach servers.

        Args:
            access: How.
            timeout: Seconds for one operation, however many calls it takes.
        """
        self._access = access
        self._timeout = timeout

    def resolve(self, uri: str, version: str | None) -> Resolution:
        """Find the commit that a version names.

        Args:
            uri: The repository, as `locate` gave it.
            version: A branch, a tag, a full ref name, a full or short commit ID; None for the remote's HEAD.

        Raises:
            SourceNotFound: There is no such repository or version.
            SourceInvalid: The version names several things, or the transport is not allowed.
            AuthenticationFailed: The server wants other credentials.
            SourceUnavailable: The server was not reached in time.
        """
        wanted = None if version is None or version.strip() == "HEAD" else check_version(version, uri)
        with open_session(uri, self._access, timeout=self._timeout) as session:
            output = session.run("ls-remote", "--quiet", "--symref", *scope(wanted), "--end-of-options", uri)
            refs = Refs.parse(output)
            found = self._choose(session, refs, wanted)
        if not _COMMIT.fullmatch(found.commit):
            raise SourceInvalid(
                f"{redact(uri)} uses SHA-256 object names, which are not supported. Use a SHA-1 repository."
            )
        return Resolution(found.commit, found.ref, version)

    def read(
        self,
        uri: str,
        commit: str,
        *,
        ref: str | None = None,
        subdirectory: str = "",
        wanted: Callable[[str], bool],
    ) -> Snapshot:
        """List a commit's files, and bring those of the project's root that are wanted.

        Args:
            uri: The repository.
            commit: What `resolve` found.
            ref: Likewise, for servers that serve nothing but branches and tags.
            subdirectory: The project's directory in the repository.
            wanted: Whether the content of a file in the project's root is wanted, by its name.

        Raises:
            SourceNotFound: The repository has no such commit or directory.
            SourceInvalid: A wanted file is larger than a mebibyte.
            SourceError: As in `resolve`.
        """
        _check(commit, ref)
        snapshot: list[Snapshot] = []
        with open_session(uri, self._access, timeout=self._timeout) as session:
            repository = session.directory / "repository"
            repository.mkdir()

            def begin() -> None:
                session.run("init", "--quiet", "--bare", "--template=", within=repository)
                session.run("remote", "add", "origin", uri, within=repository)

            def finish() -> Outcome:
                tree = list_files(session, repository, commit, subdirectory)
                contents, outcome = contents_of(session, repository, tree, wanted)
                snapshot[:] = [Snapshot(project_name(uri, subdirectory), frozenset(tree), contents)]
                return outcome

            bring(session, repository, commit, ref=ref, partial=True, begin=begin, finish=finish)
        return snapshot[0]

    def fetch(
        self,
        uri: str,
        commit: str,
        into: Path,
        *,
        ref: str | None = None,
        subdirectory: str = "",
        submodules: bool = True,
        lfs: bool = True,
    ) -> None:
        """Check a commit out into an empty directory.

        Where only a subdirectory is wanted, only it (and the files beside it on the way down) is brought. On failure
        nothing is left.

        Args:
            uri: The repository.
            commit: What `resolve` found.
            into: An empty directory, or one that is not there yet.
            ref: What `resolve` found beside the commit.
            subdirectory: The project's directory in the repository.
            submodules: Whether submodules are brought too.
            lfs: Whether contents are brought where the commit has pointers of Git LFS.

        Raises:
            SourceInvalid: There are such pointers, and no program `git-lfs`.
            SourceError: As in `resolve` and `read`.
            UsageError: The directory is not empty.
        """
        _check(commit, ref)
        existed = into.is_dir()
        into.mkdir(parents=True, exist_ok=True)
        if any(into.iterdir()):
            raise UsageError(f"{into} is not empty, so no project can be fetched into it.")
        try:
            with open_session(uri, self._access, timeout=self._timeout) as session:
                _check_out(session, into, commit, ref, subdirectory)
                if submodules:
                    bring_submodules(session, into, subdirectory=subdirectory)
                _verify(session, into, commit, subdirectory)
                bring_large_files(session, into, wanted=lfs)
        except BaseException:
            clear(into) if existed else shutil.rmtree(into)
            raise

    def _choose(self, session: Session, refs: Refs, version: str | None) -> Resolution:
        if version is None:
            return refs.default(session.uri)
        if is_full_commit(version):
            return refs.tip(version) or look_for(session, version.lower(), refs)
        if named := refs.named(version, session.uri):
            return named
        if is_short_commit(version):
            return refs.tip(version) or look_deeper(session, version.lower(), refs)
        raise refs.unknown(version, session.uri)


def _check(commit: str, ref: str | None) -> None:
    if not _COMMIT.fullmatch(commit):
        raise UsageError(f"'{commit}' is not a full commit ID of 40 hexadecimal digits.")
    if ref is not None and not _REF.fullmatch(ref):
        raise UsageError(f"'{ref}' is not the full name of a ref.")


def _check_out(session: Session, into: Path, commit: str, ref: str | None, subdirectory: str) -> None:
    def begin() -> None:
        session.run("init", "--quiet", "--template=", within=into)
        session.run("remote", "add", "origin", session.uri, within=into)
        if subdirectory:
            session.run("sparse-checkout", "set", "--cone", "--stdin", within=into, stdin=f"{subdirectory}\n")

    def finish() -> Outcome:
        return session.attempt("checkout", "--quiet", "--detach", commit, within=into)

    bring(session, into, commit, ref=ref, partial=bool(subdirectory), begin=begin, finish=finish)


def _verify(session: Session, into: Path, commit: str, subdirectory: str) -> None:
    head = session.run("rev-parse", "--verify", "HEAD", within=into).decode().strip()
    if head != commit:
        raise SourceInvalid(f"{redact(session.uri)} gave commit {head} where {commit} was asked for.")
    inside = into / subdirectory
    if not inside.is_dir():
        raise SourceNotFound(f"Could not find subdirectory {subdirectory} of {redact(session.uri)}")
    if not inside.resolve().is_relative_to(into.resolve()):
        raise SourceInvalid(f"The subdirectory '{subdirectory}' is a symbolic link that leads out of the repository.")
