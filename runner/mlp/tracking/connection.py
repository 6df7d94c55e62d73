"""HTTP to an MLflow server: one request and what its failure means, in words that say what to check.

Knows of MLflow only how its API reports errors. Imports requests when the first request is sent: a tenth of a second
that programs without a tracking server need not wait for.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from mlp.errors import TrackingDenied, TrackingError, TrackingNotFound, UsageError
from mlp.tracking.credentials import ServerAccess, Tls, spellings
from mlp.tracking.retrying import Patience, Unanswered, persist
from mlp.tracking.store import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import requests

__all__ = ["Connection"]

API: Final = "/api/2.0/mlflow/"
CONNECT_TIMEOUT: Final = 10.0
READ_TIMEOUT: Final = 30.0
# Of a server that has never answered, the address is probably wrong: say so soon. One that has answered will again.
AT_FIRST: Final = Patience(attempts=3, seconds=10.0)
LATER: Final = Patience(attempts=100, seconds=30.0)
BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
REDIRECTIONS: Final = frozenset({301, 302, 303, 307, 308})
HOPS: Final = 5
CONNECTIONS: Final = 64
"""How many are kept open."""
TOO_LARGE: Final = 413
SHOWN: Final = 1000
"""How many characters of a server's explanation are shown."""


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
    ) -> None:
        """Remember how to reach a server; nothing is sent yet.

        Args:
            server: Its URL, without credentials.
            shown: Its name for messages.
            authenticate: Gives the headers that say who asks, anew for each request.
            tls: Whom to believe.
            secrets: What must not appear in messages.
            variables: The environment, for MLflow's settings.
        """
        self._server = server.rstrip("/")
        self._base = self._server + API
        self._shown = shown
        self._authenticate = authenticate
        self._tls = tls
        self._secrets = sorted({text for secret in secrets for text in spellings(secret)}, key=len, reverse=True)
        self._timeout = _seconds(variables, "MLFLOW_HTTP_REQUEST_TIMEOUT", READ_TIMEOUT)
        self._workspace = variables.get("MLFLOW_WORKSPACE", "").strip()
        self._lock = threading.Lock()
        self._session: requests.Session | None = None
        self._has_answered = False

    @property
    def access(self) -> ServerAccess:
        """How to reach the server without us, as of now: credentials may be renewed."""
        workspace = {"X-MLFLOW-WORKSPACE": self._workspace} if self._workspace else {}
        return ServerAccess(self._server, {**workspace, **self._authenticate()}, self._tls)

    @property
    def patience(self) -> Patience:
        """How long failing requests are worth repeating."""
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
        raise self._failure(response, path)

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def _send(self, method: str, url: str, query: Mapping[str, str | int] | None, body: object) -> requests.Response:
        import requests  # noqa: PLC0415 -- see above

        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self._workspace:
            headers["X-MLFLOW-WORKSPACE"] = self._workspace
        content = json.dumps(body, ensure_ascii=False).encode(errors="replace") if body is not None else None
        try:
            for _ in range(HOPS):
                response = self._opened().request(
                    method,
                    url,
                    params=query,
                    data=content,
                    headers=headers,
                    auth=self._signed(),
                    timeout=(CONNECT_TIMEOUT, self._timeout),
                    verify=self._tls.verify,
                    cert=self._tls.certificate,
                    # requests would make a GET of a POST, and knows no host that must not see our credentials.
                    allow_redirects=False,
                )
                if response.status_code not in REDIRECTIONS:
                    return response
                url, query = self._next(method, url, response), None
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise self._interruption(error) from None
        except (requests.RequestException, OSError) as error:
            raise TrackingError(f"{self._shown} cannot be asked: {self._clean(error)}.") from None
        raise TrackingError(f"{self._shown} redirects without end.")

    def _opened(self) -> requests.Session:
        import requests  # noqa: PLC0415 -- see above

        with self._lock:
            if self._session is None:
                self._session = requests.Session()
                # With the usual ten, more threads would make urllib3 throw connections away, and say so each time.
                adapter = requests.adapters.HTTPAdapter(pool_maxsize=CONNECTIONS)
                self._session.mount("http://", adapter)
                self._session.mount("https://", adapter)
            return self._session

    def _signed(self) -> Callable[[requests.PreparedRequest], requests.PreparedRequest] | None:
        """None lets requests look into ~/.netrc, as MLflow's client does; headers alone would lose against that."""
        credentials = self._authenticate()
        if not credentials:
            return None

        def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers.update(credentials)
            return request

        return sign

    def _next(self, method: str, url: str, response: requests.Response) -> str:
        target = urljoin(url, response.headers.get("Location", ""))
        here, there = urlsplit(url), urlsplit(target)
        keeps_method = method == "GET" or response.status_code in {307, 308}
        if keeps_method and there.hostname == here.hostname and there.scheme in {here.scheme, "https"}:
            return target
        address = f"{there.scheme}://{there.hostname or ''}{f':{there.port}' if there.port else ''}{there.path}"
        raise TrackingError(
            f"{self._shown} redirects to {self._clean(address)}. If that is the tracking server, name it in "
            "MLFLOW_TRACKING_URI; if it is a page to log in, the server wants credentials that mlp was not given "
            "(MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD)."
        )

    def _interruption(self, error: Exception) -> TrackingError:
        import requests  # noqa: PLC0415 -- see above

        causes = list(_causes(error))
        untrusted = next((cause.verify_message for cause in causes if hasattr(cause, "verify_message")), None)
        if untrusted is not None:
            return TrackingError(
                f"The certificate of {self._shown} is not trusted: {untrusted}. Name a file with the authority that "
                "signed it in MLFLOW_TRACKING_SERVER_CERT_PATH (or REQUESTS_CA_BUNDLE)."
            )
        if isinstance(error, requests.ReadTimeout):
            reason = f"no answer within {self._timeout:g} seconds (MLFLOW_HTTP_REQUEST_TIMEOUT)"
        elif isinstance(error, requests.ConnectTimeout):
            reason = f"no connection within {CONNECT_TIMEOUT:g} seconds"
        else:
            reason = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), "")
            reason = reason or str(causes[-1])
        where = "The proxy to" if isinstance(error, requests.exceptions.ProxyError) else "The tracking server"
        return Unanswered(
            f"{where} {self._shown} does not answer: {self._clean(reason)}. Check that it runs, that the address is "
            "right (MLFLOW_TRACKING_URI, or the one that was given), and the network between (HTTPS_PROXY, NO_PROXY). "
            "MLP_TRACKING=off runs without tracking."
        )

    def _understand(self, response: requests.Response, path: str) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if isinstance(answer, dict):
            return answer
        raise self.misunderstanding(path, response.headers.get("Content-Type", "something untyped"))

    def misunderstanding(self, path: str, given: str) -> TrackingError:
        """The server answered with something that MLflow would not."""
        return TrackingError(
            f"{self._shown} answers, but not as an MLflow server does ({API}{path} gave {given}). Check "
            "MLFLOW_TRACKING_URI, and whether something in between asks for a login."
        )

    def _failure(self, response: requests.Response, path: str) -> TrackingError:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        known = isinstance(answer, dict) and "error_code" in answer
        code = answer["error_code"] if known else ""
        said = self._clean((answer.get("message") or code) if known else response.text.strip())[:SHOWN]
        status = response.status_code
        if status == 403 and "Invalid Host header" in said:  # noqa: PLR2004 -- as in the line below
            return TrackingDenied(
                f"{self._shown} refuses the name under which it was asked for ({said}). Start the server with "
                f"--allowed-hosts (or MLFLOW_SERVER_ALLOWED_HOSTS) naming '{urlsplit(self._base).netloc}'. Its /health "
                "answers all the same."
            )
        if status in {401, 403} or code in {"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}:
            return TrackingDenied(self._denial(status, said))
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
            f"{self._shown} is no MLflow server, or has another prefix: {API}{path} gave {status} "
            f"({said.partition(chr(10))[0][:100]}). Check MLFLOW_TRACKING_URI."
        )

    def _denial(self, status: int, said: str) -> str:
        wanted = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        if not self._secrets:
            return f"{self._shown} wants credentials ({status}): set {wanted}."
        text = said.partition("\n")[0][:200]
        return f"{self._shown} does not allow this with the credentials that it got ({status}): {text}"

    def _clean(self, text: object) -> str:
        cleaned = str(text)
        for secret in self._secrets:
            cleaned = cleaned.replace(secret, "***")
        return cleaned


def _causes(error: BaseException) -> Iterable[BaseException]:
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


def _seconds(variables: Mapping[str, str], name: str, default: float) -> float:
    text = variables.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        raise UsageError(f"{name} is '{text}', which is no number of seconds.") from None
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{name} is '{text}': it must be more than 0 seconds.")
    return seconds


def _wanted_pause(response: requests.Response) -> float:
    # The other form of Retry-After, a date, is not worth believing two clocks for.
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0
