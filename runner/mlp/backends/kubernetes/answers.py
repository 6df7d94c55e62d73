"""What the API server's refusals, and its silence, mean to a user.

The client raises two families of exceptions, its own for an answer and urllib3's for none; both become mlp's here, with
the field, the name or the permission that matters, and without headers and bodies.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from mlp.errors import AuthenticationFailed, ClusterError, ClusterUnreachable, RunNotFound, UsageError
from mlp.resources.crd import FILE_NAME
from mlp.resources.names import PLURAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3 import BaseHTTPResponse

    from mlp.errors import MlpError

__all__ = ["checked", "lines_of", "translated"]

_BUSY: Final = frozenset({429, 500, 502, 503, 504})
"""What an API server says that restarts, has too much to do or lost its store for a moment; or a balancer for it."""


@contextmanager
def translated(server: str) -> Iterator[None]:
    """Turn the client's exceptions into ours.

    Args:
        server: The API server's address, for the message that it is silent.
    """
    try:
        yield
    except ApiException as answer:
        raise _error(answer, server) from None
    except (HTTPError, OSError) as silence:
        raise _unreachable(server, _why(silence)) from None


def checked(answer: BaseHTTPResponse) -> BaseHTTPResponse:
    """An answer that was asked for as a stream, if it is a good one.

    Raises:
        ApiException: It is not; what the client itself would have raised.
    """
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise ApiException.from_response(http_resp=answer, body=None, data=None)
    return answer


def lines_of(answer: BaseHTTPResponse) -> Iterator[bytes]:
    """The lines of an answer as they come, without line ends."""
    parts: list[bytes] = []
    try:
        for chunk in checked(answer).stream(amt=None, decode_content=False):
            first, *lines = chunk.split(b"\n")
            # A progress bar is one line, of hours perhaps: it is not put together anew for each piece.
            parts.append(first)
            if lines:
                yield b"".join(parts)
                *whole, last = lines
                yield from whole
                parts = [last]
        if rest := b"".join(parts):
            yield rest
    finally:
        answer.close()
        answer.release_conn()


def _why(silence: Exception) -> str:
    # urllib3 puts the address of its own objects in front of what the system said.
    text = str(getattr(silence, "reason", None) or silence)
    return text.rpartition(">: ")[2] or type(silence).__name__


def _unreachable(server: str, why: str) -> ClusterUnreachable:
    return ClusterUnreachable(
        f"The cluster at {server} cannot be reached ({why}). Check the network and the kubeconfig."
    )


def _error(answer: ApiException, server: str) -> MlpError:
    status = _status(answer)
    message = status.get("message") or f"{answer.reason or 'no reason given'} (HTTP {answer.status})"
    details = status.get("details") or {}
    match answer.status:
        case 0 | None:  # the client's own, around a failed handshake
            return _unreachable(server, message.removesuffix(" (HTTP 0)").replace("\n", ": "))
        case 401:
            return AuthenticationFailed(
                "The cluster does not accept the kubeconfig's credentials. Log in again, or choose another --context."
            )
        case 403 if "system:anonymous" in message:
            return AuthenticationFailed(f"The kubeconfig has no credentials for this cluster: {message}.")
        case 403:
            return ClusterError(f"The cluster does not allow it: {message}")
        case 404:
            return _not_found(message, details)
        case 409 if status.get("reason") == "AlreadyExists" and details.get("kind") == PLURAL:
            return ClusterError(
                f"There is a ProjectRun '{details.get('name')}' already. A run is one execution: give the new one "
                "another name, or leave --name out to get one made."
            )
        case 400 | 422:
            return UsageError(_fields(details) or message)
        case _:
            kind = ClusterUnreachable if answer.status in _BUSY else ClusterError
            return kind(f"The cluster answered: {message}")


def _not_found(message: str, details: dict[str, Any]) -> ClusterError:
    match details.get("kind"):
        case "projectruns":
            return RunNotFound(f"There is no ProjectRun '{details.get('name')}' in this namespace. See 'mlp list -A'.")
        case None:
            return ClusterError(
                f"The cluster knows no ProjectRuns. Install mlp there first: kubectl apply -f crds/{FILE_NAME}"
            )
        case _:
            return ClusterError(f"{message}.")


def _status(answer: ApiException) -> dict[str, Any]:
    """The Status object in an answer; empty where a proxy, or a path that does not exist, answered in plain text."""
    try:
        status = json.loads(answer.body or "")
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}


def _fields(details: dict[str, Any]) -> str:
    """One line for each field that the API server names."""
    causes = [cause for cause in details.get("causes") or () if cause.get("message")]
    return "\n".join(
        f"{cause['field']}: {cause['message']}" if cause.get("field", "<nil>") != "<nil>" else cause["message"]
        for cause in causes
    )
