"""Git as a source of projects: which commit a version is, what its root holds, and the files themselves.

Three operations, each with one deadline, each through the `git` program. Synchronous: callers with an event loop put
them in a thread. Only checked values reach Git's command line: URIs that mlp.source.location accepted, commits of 40
hexadecimal digits and full names of refs; a version or a path goes in by standard input, or behind a colon.
"""

from __future__ import annotations

import re
import shutil
from posixpath import dirname, join, normpath
from typing import TYPE_CHECKING, Final

from mlp.errors import SourceInvalid, SourceNotFound, UsageError
from mlp.source.bringing import bring, clear
from mlp.source.diagnosis import refused_object, version_not_found
from mlp.source.files import Snapshot
from mlp.source.location import project_name, redact
from mlp.source.program import Outcome
from mlp.source.session import Session, open_session
from mlp.source.submodules import bring_submodules
from mlp.source.versions import (
    Refs,
    Resolution,
    ambiguous,
    check_version,
    is_full_commit,
    is_short_commit,
    scope,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlp.source.access import Access

__all__ = ["Git"]

LARGEST_TEXT: Final = 1 << 20
"""Bytes of a file that `Git.read` will take into memory."""

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_REF: Final = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]+")
_SYMBOLIC_LINK: Final = "120000"
_GITLINK: Final = "160000"
_LINKS_FOLLOWED: Final = 8


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
                tree = _list(session, repository, commit, subdirectory)
                contents, outcome = _contents(session, repository, tree, wanted)
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

        Raises:
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
        except BaseException:
            clear(into) if existed else shutil.rmtree(into)
            raise

    def _choose(self, session: Session, refs: Refs, version: str | None) -> Resolution:
        if version is None:
            return refs.default(session.uri)
        if is_full_commit(version):
            return refs.tip(version) or _look_for(session, version.lower(), refs)
        if named := refs.named(version, session.uri):
            return named
        if is_short_commit(version):
            return refs.tip(version) or _look_deeper(session, version.lower(), refs)
        raise refs.unknown(version, session.uri)


def _check(commit: str, ref: str | None) -> None:
    if not _COMMIT.fullmatch(commit):
        raise UsageError(f"'{commit}' is not a full commit ID of 40 hexadecimal digits.")
    if ref is not None and not _REF.fullmatch(ref):
        raise UsageError(f"'{ref}' is not the full name of a ref.")


def _look_for(session: Session, commit: str, refs: Refs) -> Resolution:
    """A full commit ID that no branch or tag stands on."""
    repository = _bare(session)
    outcome = session.attempt(
        "fetch", "--quiet", "--no-tags", "--depth=1", "--filter=tree:0", "--end-of-options", "origin", commit,
        within=repository,
    )  # fmt: skip
    if outcome.status == 0:
        # The ID of an annotated tag's own object names the commit that is tagged.
        peeled = session.attempt("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", within=repository)
        if peeled.status == 0:
            return Resolution(peeled.stdout.decode().strip())
        raise version_not_found(commit, session.uri, "that is the ID of another object, not of a commit.")
    if not refused_object(outcome.stderr):
        raise session.diagnose(outcome)
    if "not our ref" in outcome.stderr:
        raise version_not_found(commit, session.uri, "no commit has that ID.")
    return _look_deeper(session, commit, refs)


def _look_deeper(session: Session, prefix: str, refs: Refs) -> Resolution:
    """A commit ID by its first digits, among all commits that branches and tags lead to."""
    repository = _bare(session)
    session.run(
        "fetch", "--quiet", "--no-tags", "--filter=tree:0", "--end-of-options", "origin",
        "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", within=repository,
    )  # fmt: skip
    objects = session.run("rev-parse", f"--disambiguate={prefix}", within=repository).decode()
    checked = session.run("cat-file", "--batch-check", within=repository, stdin=objects).decode()
    commits = [line.split()[0] for line in checked.splitlines() if line.split()[1] == "commit"]
    if len(commits) > 1:
        raise ambiguous(prefix, commits)
    if not commits:
        raise refs.unknown(prefix, session.uri)
    leads_there = session.run(
        "for-each-ref", "--count=1", "--format=%(refname)", f"--contains={commits[0]}", within=repository
    )
    return Resolution(commits[0], leads_there.decode().strip() or None)


def _bare(session: Session) -> Path:
    repository = session.directory / "commits"
    shutil.rmtree(repository, ignore_errors=True)
    repository.mkdir()
    session.run("init", "--quiet", "--bare", "--template=", within=repository)
    session.run("remote", "add", "origin", session.uri, within=repository)
    return repository


def _list(session: Session, repository: Path, commit: str, subdirectory: str) -> dict[str, tuple[str, str]]:
    """Every file below the project's root: its mode and object, by path."""
    if subdirectory:
        entry = session.run("ls-tree", "-z", commit, "--", f"{subdirectory}", within=repository).decode()
        _check_directory(entry, session.uri, subdirectory)
    output = session.run("ls-tree", "-r", "-z", f"{commit}:{subdirectory}", within=repository)
    tree: dict[str, tuple[str, str]] = {}
    for line in output.decode(errors="surrogateescape").split("\0"):
        attributes, _, path = line.partition("\t")
        if path:
            mode, _, name = attributes.split()
            tree[path] = mode, name
    # A submodule is a directory, and what is in it is not known here.
    return {path: entry for path, entry in tree.items() if entry[0] != _GITLINK}


def _check_directory(entry: str, uri: str, subdirectory: str) -> None:
    kind = entry.split()[1] if entry else ""
    if kind == "commit":
        raise SourceInvalid(
            f"'{subdirectory}' is a submodule of {redact(uri)}. Name the submodule's own repository as the project."
        )
    if kind != "tree":
        why = " (it is a file)" if kind else ""
        raise SourceNotFound(f"Could not find subdirectory {subdirectory} of {redact(uri)}{why}")


def _contents(
    session: Session, repository: Path, tree: Mapping[str, tuple[str, str]], wanted: Callable[[str], bool]
) -> tuple[dict[str, bytes], Outcome]:
    """The contents of the wanted files in the root, and the last call's outcome."""
    contents: dict[str, bytes] = {}
    outcome = Outcome(0, b"", "")
    for name in tree:
        if "/" in name or not wanted(name):
            continue
        path = name
        for _ in range(_LINKS_FOLLOWED):
            mode, blob = tree[path]
            outcome = session.attempt("cat-file", "-s", blob, within=repository)
            if outcome.status != 0:
                return contents, outcome
            if int(outcome.stdout) > LARGEST_TEXT:
                raise SourceInvalid(f"{name} of {redact(session.uri)} is larger than {LARGEST_TEXT >> 20} MiB.")
            outcome = session.attempt("cat-file", "blob", blob, within=repository)
            if mode != _SYMBOLIC_LINK:
                contents[name] = outcome.stdout
                break
            path = normpath(join(dirname(path), outcome.stdout.decode(errors="replace")))
            if path not in tree:
                break
    return contents, outcome


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
