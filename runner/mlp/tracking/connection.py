"""HTTP to an MLflow server: requests with credentials, sent again where that may help.

What a failure means is `diagnosis`'s to say, what is asked `rest`'s. Imports requests when the first request is sent:
a tenth of a second that programs without a tracking server need not wait for.
"""

from __future__ import annotations

import io
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from mlp.errors import TrackingUnavailable, UsageError
from mlp.tracking.credentials import ServerAccess, Tls
from mlp.tracking.diagnosis import Advice, Diagnosis
from mlp.tracking.retrying import Patience, persist
from mlp.tracking.sockets import Sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import requests

__all__ = ["Connection", "Limits"]

API: Final = "/api/2.0/mlflow/"
CONNECT_TIMEOUT: Final = 10.0
READ_TIMEOUT: Final = 30.0
# Of a server that has never answered, the address is probably wrong: say so soon. One that has answered will again.
AT_FIRST: Final = Patience(attempts=3, seconds=10.0)
LATER: Final = Patience(attempts=100, seconds=30.0)
REDIRECTIONS: Final = frozenset({301, 302, 303, 307, 308})
HOPS: Final = 5
BLOCK: Final = 1 << 16
CONNECTIONS: Final = 64
"""How many are kept open."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a server may ask of those who did not choose it.

    Attributes:
        timeout: Seconds that a connection or an answer may take.
        patience: How long failing requests are worth repeating.
        largest: Bytes of an answer.
    """

    timeout: float
    patience: Patience
    largest: int


class Connection:
    """An MLflow server. Safe for use by many threads."""

    def __init__(
        self,
        server: str,
        *,
        shown: str,
        authenticate: Callable[[], Mapping[str, str]],
        tls: Tls,
        secrets: Iterable[str] = (),
        variables: Mapping[str, str],
        limits: Limits | None = None,
        advice: Advice | None = None,
    ) -> None:
        """Remember how to reach a server; nothing is sent yet.

        Args:
            server: Its URL, without credentials.
            shown: Its name for messages.
            authenticate: Gives the headers that say who asks, anew for each request.
            tls: Whom to believe.
            secrets: What must not appear in messages.
            variables: The environment, for MLflow's settings.
            limits: For servers that somebody else has named; ~/.netrc is not asked either then.
            advice: What to tell those who have to put things right.
        """
        self._server = server.rstrip("/")
        self._base = self._server + API
        self._authenticate = authenticate
        self._tls = tls
        self._limits = limits
        self._timeouts = (CONNECT_TIMEOUT, _seconds(variables, "MLFLOW_HTTP_REQUEST_TIMEOUT", READ_TIMEOUT))
        if limits is not None:
            self._timeouts = (limits.timeout, limits.timeout)
        self._shown = shown
        self._diagnosis = Diagnosis(self._server, shown=shown, secrets=secrets, timeouts=self._timeouts, advice=advice)
        self._workspace = variables.get("MLFLOW_WORKSPACE", "").strip()
        self._lock = threading.Lock()
        self._session: requests.Session | None = None
        self._sockets = Sockets()
        self._has_answered = False

    @property
    def access(self) -> ServerAccess:
        """How to reach the server without us, as of now: credentials may be renewed."""
        workspace = {"X-MLFLOW-WORKSPACE": self._workspace} if self._workspace else {}
        return ServerAccess(self._server, {**workspace, **self._authenticate()}, self._tls)

    @property
    def patience(self) -> Patience:
        """How long failing requests are worth repeating."""
        if self._limits is not None:
            return self._limits.patience
        return LATER if self._has_answered else AT_FIRST

    def get(self, path: str, query: Mapping[str, str | int], *, patience: Patience | None = None) -> dict[str, Any]:
        """Read, again and again if need be."""
        return persist(lambda: self.once("GET", path, query=query), patience or self.patience)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send what may arrive more than once without harm, again and again if need be."""
        return persist(lambda: self.once("POST", path, body=body), self.patience)

    def once(
        self, method: str, path: str, *, query: Mapping[str, str | int] | None = None, body: object = None
    ) -> dict[str, Any]:
        """Send one request.

        Raises:
            Unanswered: Something went wrong that may be over soon. The server may have done what was asked, or not.
            TrackingDenied: The server does not let us.
            TrackingNotFound: There is no such thing.
            Refused: The server does not like what was sent.
            TrackingError: Anything else.
        """
        response = self._send(method, self._base + path, query, body)
        self._has_answered = True
        if response.ok:
            return self._understand(response, path)
        raise self._diagnosis.failure(response, API + path)

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def abort(self) -> None:
        """End what is under way in other threads, however slowly the server lets it go on. Nothing can be sent then."""
        self._sockets.cut()

    def _send(self, method: str, url: str, query: Mapping[str, str | int] | None, body: object) -> requests.Response:
        import requests  # noqa: PLC0415 -- see above
        import urllib3  # noqa: PLC0415

        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self._limits is not None:
            # What is small on its way may be large here.
            headers["Accept-Encoding"] = "identity"
        if self._workspace:
            headers["X-MLFLOW-WORKSPACE"] = self._workspace
        content = json.dumps(body, ensure_ascii=False).encode(errors="replace") if body is not None else None
        try:
            for _ in range(HOPS):
                self._go_on()
                response = self._opened().request(
                    method,
                    url,
                    params=query,
                    data=content,
                    headers=headers,
                    auth=self._signed(),
                    timeout=self._timeouts,
                    verify=self._tls.verify,
                    cert=self._tls.certificate,
                    # requests would make a GET of a POST, and knows no host that must not see our credentials.
                    allow_redirects=False,
                    stream=self._limits is not None,
                )
                if response.status_code not in REDIRECTIONS:
                    response = response if self._limits is None else self._bounded(response, self._limits.largest)
                    # What was cut may look like an answer that has ended.
                    self._go_on()
                    return response
                response.close()
                url, query = self._next(method, url, response), None
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            urllib3.exceptions.HTTPError,
        ) as error:
            self._go_on()  # how a connection that was cut ends is chance
            raise self._diagnosis.interruption(error) from None
        except (requests.RequestException, OSError) as error:
            self._go_on()
            raise self._diagnosis.other(error) from None
        raise self._diagnosis.other("it redirects without end")

    def part(self, name: str, path: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """An object of an answer that must be there.

        Raises:
            TrackingError: It is not.
        """
        part: object = answer.get(name)
        if not isinstance(part, dict):
            raise self._diagnosis.misunderstanding(API + path, "no " + name)
        return part

    def _opened(self) -> requests.Session:
        import requests  # noqa: PLC0415 -- see above

        with self._lock:
            if self._session is None:
                self._session = requests.Session()
                # With the usual ten, more threads would make urllib3 throw connections away, and say so each time.
                adapter = self._sockets.adapter(CONNECTIONS)
                self._session.mount("http://", adapter)
                self._session.mount("https://", adapter)
            return self._session

    def _signed(self) -> Callable[[requests.PreparedRequest], requests.PreparedRequest] | None:
        """None lets requests look into ~/.netrc, as MLflow's client does; headers alone would lose against that."""
        credentials = self._authenticate()
        if not credentials and self._limits is None:
            return None

        def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers.update(credentials)
            return request

        return sign

    def _next(self, method: str, url: str, response: requests.Response) -> str:
        target = urljoin(url, response.headers.get("Location", ""))
        here, there = urlsplit(url), urlsplit(target)
        keeps_method = method == "GET" or response.status_code in {307, 308}
        is_same = (there.scheme, there.netloc) == (here.scheme, here.netloc)
        is_safer = there.scheme == "https" and there.hostname == here.hostname
        if keeps_method and (is_same or is_safer):
            return target
        raise self._diagnosis.redirection(target)

    def _go_on(self) -> None:
        if self._sockets.are_cut:
            raise TrackingUnavailable(f"{self._shown} was given up: its answers take too long.")

    def _bounded(self, response: requests.Response, largest: int) -> requests.Response:
        """An answer whose body is here, and no larger than we can do with."""
        body = bytearray()
        try:
            # To its end: only there is it seen whether something is missing.
            while len(body) <= largest and (block := response.raw.read(BLOCK, decode_content=False)):
                body += block
        finally:
            response.close()
        if len(body) > largest:
            raise self._diagnosis.other(f"its answer has more than {largest:,} bytes")
        response.raw = io.BytesIO(body)
        return response

    def _understand(self, response: requests.Response, path: str) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if isinstance(answer, dict):
            return answer
        raise self._diagnosis.misunderstanding(API + path, response.headers.get("Content-Type", "something untyped"))


def _seconds(variables: Mapping[str, str], name: str, default: float) -> float:
    text = variables.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        raise UsageError(f"{name} is '{text}', which is no number of seconds.") from None
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{name} is '{text}': it must be more than 0 seconds.")
    return seconds
