"""What a workspace's answers and its silence mean, in words that say what to check. Never a secret among them.

Pure: reads replies and exceptions, sends nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mlp.errors import WorkspaceDenied, WorkspaceError, WorkspaceNotFound, WorkspaceRefused, WorkspaceUnavailable
from mlp.tracking.diagnosis import causes_of
from mlp.tracking.texts import mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Meaning", "Reply"]

_BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTIONS: Final = range(300, 400)
_BUSY_CODES: Final = frozenset(
    {
        "ABORTED",
        "COULD_NOT_ACQUIRE_LOCK",
        "DEADLINE_EXCEEDED",
        "REQUEST_LIMIT_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "TEMPORARILY_UNAVAILABLE",
        "WORKSPACE_TEMPORARILY_UNAVAILABLE",
    }
)
_DENIALS: Final = frozenset({"CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNAUTHORIZED"})
_ABSENCES: Final = frozenset({"DIRECTORY_NOT_FOUND", "NOT_FOUND", "RESOURCE_DOES_NOT_EXIST"})
_TOO_LARGE: Final = frozenset({"MAX_BLOCK_SIZE_EXCEEDED", "MAX_NOTEBOOK_SIZE_EXCEEDED", "MAX_READ_SIZE_EXCEEDED"})
_PAYLOAD: Final = 413
"""The status for a request that is too large, from whatever is on the way."""
_LONGEST: Final = 1000
_OF_STRANGERS: Final = 200
"""Characters of what is said by something that is no workspace."""
_LONGEST_PAUSE: Final = 600.0
"""Seconds that a workspace may ask to be left alone. Longer ones are taken for a mistake."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        status: HTTP's code.
        headers: By name in lower case.
        body: All of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def is_fine(self) -> bool:
        """Whether what was asked has been done."""
        return 200 <= self.status < 300  # noqa: PLR2004 -- the codes of success

    @property
    def content(self) -> dict[str, Any] | None:
        """The JSON object in it; None if there is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    @property
    def code(self) -> str:
        """What Databricks calls the error; "" where it is not Databricks that answers so."""
        code = (self.content or {}).get("error_code")
        return code if isinstance(code, str) else ""

    @property
    def message(self) -> str:
        """What is said of the error, or the beginning of whatever came instead."""
        found = self.content or {}
        # The OAuth endpoints have their own form (RFC 6749).
        said = [found.get(name) for name in ("message", "error_description", "error", "error_code")]
        text = next((text for text in said if isinstance(text, str) and text), None)
        return text if text is not None else self.body[: 4 * _LONGEST].decode(errors="replace")

    @property
    def after(self) -> float:
        """Seconds for which we are asked to wait; a date instead of them is not worth believing two clocks for."""
        text = self.headers.get("retry-after", "").strip()
        return min(float(text), _LONGEST_PAUSE) if text.isascii() and text.isdecimal() else 0.0

    @property
    def is_absence(self) -> bool:
        """Whether Databricks itself says that there is no such thing. A page of some proxy does not."""
        if self.code in _ABSENCES:
            return True
        # A run whose history is over, or that never was: 400, and words.
        return self.status in {400, 404} and bool(self.code) and "does not exist" in self.message


class Meaning:
    """Says what is wrong with one workspace."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def failure(self, reply: Reply, path: str, secrets: Iterable[str]) -> WorkspaceError:
        """An answer came, and is none that was wanted.

        Args:
            reply: The answer.
            path: What was asked for.
            secrets: What must not appear in the message.
        """
        status, code = reply.status, reply.code
        said = _cleaned(reply.message, secrets)
        if not code:
            # What is not Databricks may be anything that we reach, and whoever has named it may not.
            said = said[:_OF_STRANGERS]
        if status in _REDIRECTIONS:
            return self._redirection(reply, secrets)
        if status in _BUSY or code in _BUSY_CODES:
            return WorkspaceUnavailable(f"{self._shown} fails ({status}): {said}", after=reply.after)
        if status in {401, 403} or code in _DENIALS:
            return self._denial(reply, said)
        if reply.is_absence:
            return WorkspaceNotFound(f"{self._shown}: {said}")
        if status == _PAYLOAD or code in _TOO_LARGE:
            return WorkspaceRefused(
                f"{self._shown} takes no files or requests of that size ({said}). Volumes take larger files than "
                "workspace files and DBFS do."
            )
        if code == "ENDPOINT_NOT_FOUND" or not code:
            return self._stranger(reply, path, said)
        kind = WorkspaceRefused if 400 <= status < 500 else WorkspaceError  # noqa: PLR2004 -- what is wrong with a request
        return kind(f"{self._shown} refuses this ({status}): {said}")

    def _denial(self, reply: Reply, said: str) -> WorkspaceError:
        if "DBFS root is disabled" in said:
            return WorkspaceDenied(
                f"{self._shown} has no DBFS root ({said}). Upload to a volume (/Volumes/CATALOG/SCHEMA/VOLUME/…) or to "
                "workspace files (/Workspace/…) instead."
            )
        who = "the workspace" if reply.code else "something in the workspace's place"
        return WorkspaceDenied(f"{self._shown}: {who} does not allow this ({reply.status}): {said}")

    def _stranger(self, reply: Reply, path: str, said: str) -> WorkspaceError:
        return WorkspaceError(
            f"{self._shown} is no Databricks workspace, or lacks an interface: {path} gave {reply.status} "
            f"({said}). Check the host."
        )

    def said(self, reply: Reply, secrets: Iterable[str]) -> str:
        """What an answer says of an error, as a sentence."""
        return f"{_cleaned(reply.message, secrets).rstrip('.')}."

    def misunderstanding(self, path: str, given: str) -> WorkspaceError:
        """The answer is fine as HTTP has it, and is not Databricks'."""
        return WorkspaceError(
            f"{self._shown} answers, but not as Databricks does ({path} gave {given}). Check the host, and whether "
            "something in between asks for a login."
        )

    def silence(self, error: BaseException, timeout: float, secrets: Iterable[str]) -> WorkspaceError:
        """No answer came, or only a part of one."""
        import requests  # noqa: PLC0415 -- whoever calls has loaded it

        causes = list(causes_of(error))
        untrusted = next((cause.verify_message for cause in causes if hasattr(cause, "verify_message")), None)
        if untrusted is not None:
            return WorkspaceError(
                f"The certificate of {self._shown} is not trusted: {untrusted}. Name a file with the authority that "
                "signed it in REQUESTS_CA_BUNDLE."
            )
        if isinstance(error, requests.Timeout):
            reason = f"nothing came within {timeout:g} seconds"
        else:
            reason = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), "")
            reason = reason or str(causes[-1])
        where = "The proxy to" if isinstance(error, requests.exceptions.ProxyError) else "The workspace"
        return WorkspaceUnavailable(
            f"{where} {self._shown} does not answer: {_cleaned(reason, secrets)}. Check the host, and the network "
            "between (HTTPS_PROXY, NO_PROXY)."
        )

    def slowness(self, seconds: float) -> WorkspaceError:
        """An answer came so slowly that it was given up."""
        return WorkspaceUnavailable(f"{self._shown} answers too slowly: no end of it after {seconds:g} seconds.")

    def excess(self, largest: int) -> WorkspaceError:
        """An answer had no end."""
        return WorkspaceError(f"{self._shown} gave an answer of more than {largest:,} bytes, which was given up.")

    def other(self, error: object, secrets: Iterable[str]) -> WorkspaceError:
        """Something that no other of these is about."""
        return WorkspaceError(f"{self._shown} cannot be asked: {_cleaned(str(error), secrets)}.")

    def _redirection(self, reply: Reply, secrets: Iterable[str]) -> WorkspaceError:
        try:
            there = urlsplit(reply.headers.get("location", ""))
            place = f"{there.scheme}://{there.netloc.rpartition('@')[2]}{there.path}" if there.netloc else there.path
        except ValueError:
            place = "a malformed address"
        return WorkspaceError(
            f"{self._shown} redirects to {_cleaned(place, secrets)}, where credentials are not sent. If that is the "
            "workspace, name it as the host; if it is a page to log in, the credentials are wrong."
        )


def _cleaned(text: str, secrets: Iterable[str]) -> str:
    masked = mask(text, tuple(secrets))
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in masked).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
