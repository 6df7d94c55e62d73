"""What a failed call of Git means for a user.

Git says on stderr, in words that have hardly changed in ten years (LC_ALL=C keeps them English), what it met: it tells
by no exit code whether a password was wrong, a repository is missing, or the network is down. Pure: text in, error out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlp.errors import AuthenticationFailed, MlpError, SourceInvalid, SourceNotFound, SourceUnavailable
from mlp.source.location import host_name, transport
from mlp.source.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["diagnose", "refused_object", "version_not_found"]


@dataclass(frozen=True, slots=True)
class _Case:
    pattern: re.Pattern[str]
    error: Callable[[str], MlpError]
    message: str
    """Has the fields ``uri``, ``said`` (the line of Git's that tells), ``scan`` (the command that shows an SSH server's
    keys) and ``authenticate`` (the way out)."""


def _case(pattern: str, error: Callable[[str], MlpError], message: str) -> _Case:
    return _Case(re.compile(pattern, re.IGNORECASE), error, message)


# We and the server do not trust each other: no other way to ask would help.
_OF_TRUST: Final = (
    _case(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        AuthenticationFailed,
        "The server of {uri} does not have the host key that known_hosts expects ({said}). If the server's key was "
        "changed on purpose, put the new one into known_hosts; if not, somebody may be in between.",
    ),
    _case(
        r"No \S+ host key is known for|Host key verification failed",
        AuthenticationFailed,
        "Nothing in known_hosts says that the server of {uri} is the right one ({said}). Add its host key, which "
        "`{scan}` shows, after comparing it with the fingerprints that the server's owner publishes.",
    ),
    _case(
        r"could not read (Username|Password) for",
        AuthenticationFailed,
        "{uri} asks for credentials: it is private, or it does not exist (many servers say the same for both). "
        "{authenticate}",
    ),
    _case(
        r"Authentication failed for|requested URL returned error: 40[13]|HTTP Basic: Access denied"
        r"|Invalid credentials",
        AuthenticationFailed,
        "The Git server refused the credentials for {uri} ({said}). {authenticate}",
    ),
    _case(
        r"Permission denied|Too many authentication failures|Load key .* (invalid format|error in libcrypto)",
        AuthenticationFailed,
        "The server refused the SSH key for {uri} ({said}). {authenticate}",
    ),
    _case(
        r"certificate|SSL peer|self.signed",
        AuthenticationFailed,
        "The server of {uri} could not prove who it is ({said}). If an authority of your own has signed its "
        "certificate, name that authority's file in GIT_SSL_CAINFO or SSL_CERT_FILE.",
    ),
    _case(
        r"Received HTTP code 407 from proxy|CONNECT tunnel failed, response 407|requested URL returned error: 407",
        AuthenticationFailed,
        "The proxy on the way to {uri} wants other credentials ({said}). They belong into the variable that names the "
        "proxy (HTTPS_PROXY, http_proxy).",
    ),
)

# The first that matches tells: ssh says "Permission denied" and then Git that the remote end hung up.
_CASES: Final = (
    *_OF_TRUST,
    _case(
        r"transport '[^']*' not allowed|protocol '[^']*' is not supported|remote helper .* aborted"
        r"|Unable to find remote|strange (hostname|pathname)|is not a valid remote|unable to parse URL",
        SourceInvalid,
        "Git will not fetch {uri}: {said}.",
    ),
    _case(
        r"detected dubious ownership",
        SourceInvalid,
        "The repository {uri} belongs to another user of this machine. If that is meant, say so to Git: "
        "`git config --global --add safe.directory PATH`.",
    ),
    _case(
        r"requested URL returned error: (404|410)|repository '[^']*' not found|repository not found|could not be found"
        r"|does not appear to be a git repository|does not exist|no such (repository|file or directory)"
        r"|not valid: is this a git repository",
        SourceNotFound,
        "There is no Git repository at {uri} ({said}), or these credentials may not see it.",
    ),
    _case(
        r"died of signal 25|File too large",  # SIGXFSZ, EFBIG: Access.largest_file
        SourceInvalid,
        "The server of {uri} does not send parts of a repository, and the whole of this one is too large to be read "
        "here. Let the server allow partial clones (uploadpack.allowFilter), or move the project into a smaller "
        "repository.",
    ),
    _case(
        r"No space left on device|disk quota exceeded",
        SourceUnavailable,
        "There is no room left on the disk to fetch {uri} ({said}).",
    ),
)

# Everything else is taken for temporary: an unknown answer is more often an accident of a server than of its user.
_UNAVAILABLE: Final = "The Git server of {uri} could not be reached or failed ({said})."

_REFUSED_OBJECT: Final = re.compile(
    r"unadvertised object|not our ref|couldn't find remote ref|no such remote ref|from promisor remote"
    r"|does not support (shallow|filter)|dumb http transport|filtering not (recognized|supported)"
    r"|Direct fetching of that commit failed",
    re.IGNORECASE,
)

_TELLING: Final = re.compile(
    r"^(?:remote: )?(?:fatal|error|ssh|remote|ERROR|kex_exchange_identification)[:\s]|denied|failed", re.IGNORECASE
)
_NOISE: Final = re.compile(r"^(?:fatal: )?(?:Could not read from remote repository|clone of .* failed|\s*$)|^hint: ")


def diagnose(stderr: str, *, uri: str, way_to_authenticate: str) -> MlpError:
    """The error that tells a user what stopped Git, without credentials."""
    for case in _CASES:
        if match := case.pattern.search(stderr):
            said = _line_of(stderr, match.start())
            fields = {"uri": redact(uri), "said": redact(said), "scan": _scan(uri), "authenticate": way_to_authenticate}
            return case.error(case.message.format(**fields))
    return SourceUnavailable(_UNAVAILABLE.format(uri=redact(uri), said=redact(_telling_line(stderr))))


def _scan(uri: str) -> str:
    """The command that shows the keys of the server of a repository that is reached by SSH."""
    host = transport(uri)[1]
    port = host.rpartition(":")[2] if "://" in uri and host[-1:] != "]" and ":" in host else ""
    return f"ssh-keyscan {f'-p {port} ' if port else ''}{host_name(uri)}"


def refused_object(stderr: str) -> bool:
    """Whether a server that is well and lets us in refuses to serve in this way, so that another way may work."""
    return _REFUSED_OBJECT.search(stderr) is not None and not any(case.pattern.search(stderr) for case in _OF_TRUST)


def version_not_found(version: str, uri: str, why: str) -> SourceNotFound:
    """The error for a version that a repository does not have, in MLflow's words (which programs look for)."""
    return SourceNotFound(
        f"Unable to checkout version '{redact(version)}' of git repo {redact(uri)}"
        f"- please ensure that the version exists in the repo. Error: {why}"
    )


def _line_of(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    return _plain(text[start : end if end >= 0 else None])


def _telling_line(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if not _NOISE.search(line)]
    telling = [line for line in lines if _TELLING.search(line)]
    return _plain((telling or lines or ["it ended without a word"])[0])


def _plain(line: str) -> str:
    """A line without Git's own prefix and full stop, and not longer than a message can bear."""
    plain = re.sub(r"^(?:fatal|error|remote|ssh): ", "", line.strip()).rstrip(".")
    return plain if len(plain) <= 300 else plain[:299] + "…"  # noqa: PLR2004 -- a line's worth
