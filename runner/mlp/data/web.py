"""HTTP for those schemes that speak it: one session, streams, and what statuses and broken connections mean.

Proxies, certificates and ~/.netrc are the user's own, as requests finds them. No message repeats what requests says,
for it says whole URLs, which may hold a password or a signature. Knows nothing of what is asked for.
requests takes a tenth of a second to import: only schemes import this, when they are met.
"""

from __future__ import annotations

import contextlib
import email.utils
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import requests
import urllib3
from requests.adapters import HTTPAdapter

from mlp.data.origin import Changed, Later
from mlp.errors import DataAccessDenied, DataError, DataInvalid, DataNotFound, DataUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Web"]

_CONNECT: Final = 15.0
_SILENCE: Final = 60.0  # seconds without a byte
_LONGEST_BODY: Final = 300  # characters of a server's explanation


class Web:
    """A session with one server."""

    def __init__(self, *, threads: int, shown: str, way_to_authenticate: str, verify: bool | str | None = None) -> None:
        """Prepare; nothing is asked yet.

        Args:
            threads: How many connections there may be.
            shown: What is downloaded, for people.
            way_to_authenticate: What a user can do about missing or wrong credentials.
            verify: requests' setting for certificates, if it is not to be the user's own.
        """
        self.shown = shown
        self._way = way_to_authenticate
        self.session = requests.Session()
        if verify is not None:
            self.session.verify = verify
        for prefix in ("http://", "https://"):
            self.session.mount(prefix, HTTPAdapter(pool_connections=2, pool_maxsize=threads))

    @contextmanager
    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        method: str = "GET",
        absent: tuple[int, ...] = (),
    ) -> Iterator[requests.Response]:
        """Ask, and give the answer while its body is still to be read.

        Args:
            url: Where.
            headers: Beside those of every request.
            params: The query.
            method: GET or HEAD.
            absent: Statuses that the caller wants to see although they mean an error.

        Raises:
            DataError: What the status means, or what befell the connection, also while the body is read.
        """
        try:
            # What is served compressed on the way could neither be continued nor checked.
            with self.session.request(
                method,
                url,
                params=params,
                headers={"Accept-Encoding": "identity", **(headers or {})},
                stream=True,
                timeout=(_CONNECT, _SILENCE),
            ) as response:
                if response.status_code >= 400 and response.status_code not in absent:  # noqa: PLR2004 -- HTTP's
                    raise self._meaning(response)
                yield response
        except requests.exceptions.SSLError:
            raise DataAccessDenied(
                f"The server of {self.shown} could not prove who it is. Name its authority's certificate in "
                f"REQUESTS_CA_BUNDLE."
            ) from None
        except (
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.MissingSchema,
            requests.exceptions.TooManyRedirects,
            urllib3.exceptions.LocationParseError,
        ) as error:
            raise DataInvalid(f"{self.shown} leads nowhere that can be asked ({type(error).__name__}).") from None
        except requests.exceptions.ProxyError as error:
            raise DataUnavailable(
                f"The proxy on the way to {self.shown} did not let us through: {_why(error)}."
            ) from None
        except (
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            ConnectionError,
            TimeoutError,
        ) as error:
            raise DataUnavailable(f"The connection to the server of {self.shown} failed: {_why(error)}.") from None

    def json(self, url: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401 -- those of `get`
        """Ask for a JSON object.

        Raises:
            DataError: As `get`; DataUnavailable where the answer is no JSON object.
        """
        with self.get(url, **options) as response:
            try:
                value = response.json()
            except ValueError:
                value = None
        if not isinstance(value, dict):
            raise DataUnavailable(f"The server of {self.shown} answered with something that is not a JSON object.")
        return value

    def close(self) -> None:
        """Close all connections."""
        self.session.close()

    def _meaning(self, response: requests.Response) -> DataError:
        status = response.status_code
        said = f"HTTP {status}{_explanation(response)}"
        match status:
            case 401 | 407:
                return DataAccessDenied(f"The server wants other credentials for {self.shown} ({said}). {self._way}")
            case 403:
                return DataAccessDenied(f"The server does not allow to read {self.shown} ({said}). {self._way}")
            case 404 | 410:
                return DataNotFound(f"There is no {self.shown} ({said}), or these credentials may not see it.")
            case 412 | 416:
                return Changed(f"{self.shown} was replaced while it was read ({said}).")
            case 408 | 425 | 429 | 500 | 502 | 503 | 504:
                unavailable = f"The server could not give {self.shown} ({said})."
                if (seconds := _retry_after(response)) is not None:
                    return Later(unavailable, seconds=seconds)
                return DataUnavailable(unavailable)
            case _ if status >= 500:  # noqa: PLR2004 -- HTTP's
                return DataUnavailable(f"The server could not give {self.shown} ({said}).")
        return DataInvalid(f"The server refuses the request for {self.shown} ({said}).")


def _retry_after(response: requests.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None


def _explanation(response: requests.Response) -> str:
    """What the server says of an error, in MLflow's and Databricks' form, or its reason phrase."""
    said = response.reason or ""
    if response.headers.get("Content-Type", "").startswith("application/json"):
        with contextlib.suppress(ValueError, OSError):
            value = response.json()
            if isinstance(value, dict):
                code, message = value.get("error_code"), value.get("message")
                said = ": ".join(str(part) for part in (code, message) if part) or said
    return f": {' '.join(said.split())[:_LONGEST_BODY]}" if said else ""


def _why(error: BaseException) -> str:
    """What befell a connection, in the system's words and without any URL."""
    seen: list[BaseException] = [error]
    for each in seen:
        if isinstance(each, socket.gaierror):
            return f"its name is not known ({each.strerror})"
        if isinstance(each, TimeoutError) or "Timeout" in type(each).__name__:
            return "it did not answer in time"
        if isinstance(each, OSError) and each.errno is not None and each.strerror:
            return each.strerror
        inner = [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
        seen += [one for one in inner if isinstance(one, BaseException) and one not in seen]
    return "it was cut off"
