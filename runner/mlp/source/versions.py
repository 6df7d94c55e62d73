"""Which commit a version names, from the list of refs that a server shows.

Pure: the answer of ``git ls-remote`` in, a resolution, an error, or "the list does not say" out. What lies deeper than
the tips of branches and tags is for mlp.source.git to find.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlp.errors import SourceInvalid, SourceNotFound
from mlp.source.diagnosis import version_not_found
from mlp.source.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Refs", "Resolution", "ambiguous", "check_version", "is_full_commit", "is_short_commit", "scope"]

_FULL: Final = re.compile(r"[0-9a-fA-F]{40}")
_SHORT: Final = re.compile(r"[0-9a-fA-F]{4,39}")
_CERTAIN: Final = 7
"""From this many digits on, the tip of a branch or tag that begins with them is taken without looking deeper."""

# What `git check-ref-format` forbids.
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|/\.|\.lock(?:/|$)|[/.]$|^@$|^$")


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a version turned out to be.

    Attributes:
        commit: 40 hexadecimal digits.
        ref: The full name of the branch or tag, where one leads to the commit; some servers serve nothing else.
        version: What the user asked for.
    """

    commit: str
    ref: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Refs:
    """What a server shows of a repository.

    Attributes:
        commits: Commits by the full name of the ref; annotated tags are followed to what they tag.
        head: The branch that the repository's HEAD stands on.
    """

    commits: Mapping[str, str]
    head: str | None

    @classmethod
    def parse(cls, output: bytes) -> Refs:
        """Read the output of ``git ls-remote --symref``."""
        commits: dict[str, str] = {}
        head = None
        for line in output.decode(errors="replace").splitlines():
            target, _, name = line.partition("\t")
            if target.startswith("ref: "):
                head = target.removeprefix("ref: ") if name == "HEAD" else head
            elif name.endswith("^{}"):
                commits[name.removesuffix("^{}")] = target
            else:
                commits.setdefault(name, target)
        return cls(commits, head)

    def named(self, version: str, uri: str) -> Resolution | None:
        """The branch or tag of that name.

        Raises:
            SourceInvalid: There are both.
        """
        if version.startswith("refs/"):
            commit = self.commits.get(version)
            return Resolution(commit, version, version) if commit else None
        branch, tag = f"refs/heads/{version}", f"refs/tags/{version}"
        match self.commits.get(branch), self.commits.get(tag):
            case str(), str():
                raise SourceInvalid(
                    f"'{version}' is both a branch and a tag of {redact(uri)}. "
                    f"Say which is meant: '{branch}' or '{tag}'."
                )
            case str() as commit, None:
                return Resolution(commit, branch, version)
            case None, str() as commit:
                return Resolution(commit, tag, version)
        return None

    def default(self, uri: str) -> Resolution:
        """What the repository's HEAD is.

        Raises:
            SourceNotFound: The repository is empty, or its HEAD leads nowhere.
        """
        if commit := self.commits.get("HEAD"):
            return Resolution(commit, self.head)
        branches = self._names("refs/heads/")
        if not branches and not self._names("refs/tags/"):
            raise SourceNotFound(f"The Git repository {redact(uri)} is empty. Push a commit to it first.")
        raise SourceNotFound(
            f"Failed to find HEAD branch. {redact(uri)} does not say which of its branches is the default one; "
            f"name a version. Branches: {', '.join(branches[:10])}{', …' if len(branches) > 10 else ''}."  # noqa: PLR2004
        )

    def tip(self, prefix: str) -> Resolution | None:
        """The commit at the tip of a branch or tag that begins with these digits, if it is the only one.

        Raises:
            SourceInvalid: Several tips begin with them.
        """
        prefix = prefix.lower()
        found = {commit: name for name, commit in reversed(tuple(self.commits.items())) if commit.startswith(prefix)}
        if len(found) > 1:
            raise ambiguous(prefix, sorted(found))
        if not found or len(prefix) < _CERTAIN:
            return None
        commit, name = next(iter(found.items()))
        return Resolution(commit, name, prefix)

    def unknown(self, version: str, uri: str) -> SourceNotFound:
        """The error for a version that there is not, with the names that come close."""
        names = [*self._names("refs/heads/"), *self._names("refs/tags/")]
        if not names:
            return SourceNotFound(f"The Git repository {redact(uri)} is empty. Push a commit to it first.")
        close = difflib.get_close_matches(version.rpartition("/")[2], names, n=3) or difflib.get_close_matches(
            version, names, n=3
        )
        suggestion = f" Did you mean {' or '.join(repr(name) for name in close)}?" if close else ""
        return version_not_found(version, uri, f"no branch, tag or commit has that name.{suggestion}")

    def _names(self, prefix: str) -> list[str]:
        return sorted(name.removeprefix(prefix) for name in self.commits if name.startswith(prefix))


def check_version(version: str, uri: str) -> str:
    """A version without surrounding white space, if a branch, a tag or a commit can be called that.

    Raises:
        SourceNotFound: None can.
    """
    version = version.strip()
    if _FORBIDDEN.search(version):
        shown = version if version.isprintable() else repr(version)
        why = "a version is the name of a branch or a tag, or the ID of a commit, and none can be written like that."
        raise version_not_found(shown, uri, why)
    return version


def is_full_commit(version: str) -> bool:
    """Whether this is the whole ID of a commit."""
    return _FULL.fullmatch(version) is not None


def is_short_commit(version: str) -> bool:
    """Whether this may be the beginning of a commit's ID."""
    return _SHORT.fullmatch(version) is not None


def scope(version: str | None) -> list[str]:
    """The options of ``git ls-remote`` that keep a server from listing more than can matter (every pull request)."""
    return [] if version is None or version.startswith("refs/") else ["--heads", "--tags"]


def ambiguous(prefix: str, commits: list[str]) -> SourceInvalid:
    """The error for a short commit ID that several commits begin with."""
    shown = ", ".join(commits[:5]) + (", …" if len(commits) > 5 else "")  # noqa: PLR2004
    return SourceInvalid(f"The commit ID '{prefix}' is short for several commits: {shown}. Give more digits.")
