"""What went wrong with a tracking server, in words that say what to check. Never a secret among them.

Reads answers and exceptions; sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mlp.errors import TrackingDenied, TrackingError, TrackingNotFound
from mlp.tracking.credentials import spellings
from mlp.tracking.retrying import Unanswered
from mlp.tracking.store import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    import requests

__all__ = ["Advice", "Diagnosis", "causes_of"]

BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
TOO_LARGE: Final = 413


@dataclass(frozen=True, slots=True)
class Advice:
    """Where those who read a message set things right. The defaults are for somebody at a command line.

    Attributes:
        address: Where the server's address stands.
        credentials: Where credentials are to be put.
        authority: Where to name the authority that signed the server's certificate.
        patience: What sets how long we wait; behind a blank, or nothing.
        refused: What to look at where credentials are refused; a sentence behind a blank, or nothing.
        network: What the network between may depend on.
        otherwise: What to do without the server; a sentence behind a blank, or nothing.
        shown: How many characters of a server's explanation are shown. Few to those who may have named a server that
            they cannot reach themselves.
    """

    address: str = "MLFLOW_TRACKING_URI"
    credentials: str = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    authority: str = (
        "Name a file with the authority that signed it in MLFLOW_TRACKING_SERVER_CERT_PATH (or REQUESTS_CA_BUNDLE)"
    )
    patience: str = " (MLFLOW_HTTP_REQUEST_TIMEOUT)"
    refused: str = ""
    network: str = "HTTPS_PROXY, NO_PROXY"
    otherwise: str = " MLP_TRACKING=off runs without tracking."
    shown: int = 1000


class Diagnosis:
    """Says what is wrong with one server."""

    def __init__(
        self,
        server: str,
        *,
        shown: str,
        secrets: Iterable[str],
        timeouts: tuple[float, float],
        advice: Advice | None = None,
    ) -> None:
        """Know the server.

        Args:
            server: Its URL, without credentials.
            shown: Its name for messages.
            secrets: What must not appear in messages.
            timeouts: For how many seconds we wait for a connection and for an answer.
            advice: Where things are set right.
        """
        self._server = server
        self._shown = shown
        self._secrets = sorted({text for secret in secrets for text in spellings(secret)}, key=len, reverse=True)
        self._timeouts = timeouts
        self._advice = advice or Advice()

    def interruption(self, error: Exception) -> TrackingError:
        """No answer came."""
        import requests  # noqa: PLC0415 -- whoever calls has loaded it

        causes = list(causes_of(error))
        untrusted = next((cause.verify_message for cause in causes if hasattr(cause, "verify_message")), None)
        if untrusted is not None:
            return TrackingError(
                f"The certificate of {self._shown} is not trusted: {untrusted}. {self._advice.authority}."
            )
        if isinstance(error, requests.ReadTimeout):
            reason = f"no answer within {self._timeouts[1]:g} seconds{self._advice.patience}"
        elif isinstance(error, requests.ConnectTimeout):
            reason = f"no connection within {self._timeouts[0]:g} seconds"
        else:
            reason = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), "")
            reason = reason or str(causes[-1])
        where = "The proxy to" if isinstance(error, requests.exceptions.ProxyError) else "The tracking server"
        return Unanswered(
            f"{where} {self._shown} does not answer: {self._clean(reason)}. Check that it runs, that the address is "
            f"right ({self._advice.address}, or the one that was given), and the network between "
            f"({self._advice.network}).{self._advice.otherwise}"
        )

    def redirection(self, address: str) -> TrackingError:
        """The server wants us to go elsewhere."""
        there = urlsplit(address)
        place = f"{there.scheme}://{there.hostname or ''}{f':{there.port}' if there.port else ''}{there.path}"
        return TrackingError(
            f"{self._shown} redirects to {self._clean(place)}. If that is the tracking server, name it in "
            f"{self._advice.address}; if it is a page to log in, the server wants credentials that mlp was not given: "
            f"{self._advice.credentials}."
        )

    def other(self, error: object) -> TrackingError:
        """Something that no other of these is about: what is wrong, in a clause."""
        return TrackingError(f"{self._shown} cannot be asked: {self._clean(error)}.")

    def misunderstanding(self, path: str, given: str) -> TrackingError:
        """The server answered with something that MLflow would not."""
        return TrackingError(
            f"{self._shown} answers, but not as an MLflow server does ({path} gave {given}). Check "
            f"{self._advice.address}, and whether something in between asks for a login."
        )

    def failure(self, response: requests.Response, path: str) -> TrackingError:
        """An answer came, and is none that we wanted."""
        try:
            answer = response.json()
        except ValueError:
            answer = None
        known = isinstance(answer, dict) and "error_code" in answer
        code = answer["error_code"] if known else ""
        said = self._clean((answer.get("message") or code) if known else response.text.strip())[: self._advice.shown]
        status = response.status_code
        if status == 403 and "Invalid Host header" in said:  # noqa: PLR2004 -- as in the line below
            return TrackingDenied(
                f"{self._shown} refuses the name under which it was asked for ({said}). Start the server with "
                f"--allowed-hosts (or MLFLOW_SERVER_ALLOWED_HOSTS) naming '{urlsplit(self._server).netloc}'. "
                "Its /health answers all the same."
            )
        if status in {401, 403} or code in {"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}:
            return TrackingDenied(self._denial(response, said))
        if code == "RESOURCE_DOES_NOT_EXIST":
            return TrackingNotFound(f"{self._shown}: {said}")
        if status in BUSY or code in {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"}:
            return Unanswered(f"{self._shown} fails ({status}): {said}", after=_wanted_pause(response))
        if status == TOO_LARGE:
            # Proxies allow less than MLflow does: often a megabyte.
            return Refused(f"{self._shown} takes no requests of that size: {said}")
        if known:
            kind = Refused if code in {"INVALID_PARAMETER_VALUE", "BAD_REQUEST"} else TrackingError
            return kind(f"{self._shown} refuses: {said}")
        return TrackingError(
            f"{self._shown} is no MLflow server, or has another prefix: {path} gave {status} "
            f"({said.partition(chr(10))[0][:100]}). Check {self._advice.address}."
        )

    def _denial(self, response: requests.Response, said: str) -> str:
        status = response.status_code
        if "Authorization" not in response.request.headers:
            return f"{self._shown} wants credentials ({status}): {self._advice.credentials}."
        text = said.partition("\n")[0][:200]
        return (
            f"{self._shown} does not allow this with the credentials that it got ({status}): {text}"
            f"{self._advice.refused}"
        )

    def _clean(self, text: object) -> str:
        cleaned = str(text)
        for secret in self._secrets:
            cleaned = cleaned.replace(secret, "***")
        return cleaned


def causes_of(error: BaseException) -> Iterable[BaseException]:
    """An error and what led to it, outermost first. requests and urllib3 keep theirs in different places."""
    seen: set[int] = set()
    current: object = error
    while isinstance(current, BaseException) and id(current) not in seen:
        seen.add(id(current))
        yield current
        inner = getattr(current, "reason", None)
        if not isinstance(inner, BaseException):
            inner = current.args[0] if current.args and isinstance(current.args[0], BaseException) else None
        current = inner or current.__cause__ or current.__context__


def _wanted_pause(response: requests.Response) -> float:
    # The other form of Retry-After, a date, is not worth believing two clocks for.
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0
