"""HTTP to a workspace: each request bounded in time and in the size of its answer, whatever the other side does.

Not the SDK's ApiClient: that sends POSTs again by itself, whether they had an effect or not, reads answers without
bound, waits for up to five minutes, and its classes drop fields and words that they do not know. What an answer means
is `replies`' to say, whether to ask again `workspace`'s. Imports requests when the first request is sent.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from mlp.backends.databricks.replies import Meaning, Reply
from mlp.errors import WorkspaceUnavailable
from mlp.tracking.sockets import Sockets
from mlp.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import requests

    from mlp.tracking.credentials import Tls

__all__ = ["ORDINARY", "Transport"]

ORDINARY: Final = 8 << 20
"""Bytes of an answer that holds no more than facts."""
_BLOCK: Final = 1 << 16
_IDLE: Final = 8
"""Connections that are kept for later."""
_SLOWEST: Final = 128 * 1024
"""Bytes a second at which an upload is still worth waiting for."""


class Transport:
    """Sends to one host. Safe for use by many threads."""

    def __init__(self, host: str, *, shown: str, tls: Tls, timeout: float, largest: int) -> None:
        """Remember where to send; nothing is sent yet.

        Args:
            host: The URL that paths are put behind.
            shown: Its name for messages.
            tls: Whom to believe.
            timeout: Seconds for a connection, and for the whole of an answer.
            largest: Bytes of an answer.
        """
        self._host = host
        self._tls = tls
        self._timeout = timeout
        self._largest = largest
        self.meaning = Meaning(shown)
        """Says what is wrong with what comes back."""
        self._shown = shown
        self._lock = threading.Lock()
        self._idle: list[_Line] = []
        self._busy: set[_Line] = set()
        self._over = threading.Event()

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str],
        secrets: Iterable[str] = (),
        largest: int = ORDINARY,
    ) -> Reply:
        """Send one request, once.

        Args:
            method: HTTP's.
            path: Behind the host.
            query: Behind the path.
            content: The body.
            headers: Who asks, and what the body is.
            secrets: What must not appear in messages.
            largest: Bytes of the answer, if that is less than is taken at all. As objects, JSON takes many times as
                much memory.

        Raises:
            WorkspaceUnavailable: There is no whole answer. The request may have had its effect, or not.
            WorkspaceError: The host's certificate is not trusted, or its answer is too large.
        """
        import requests  # noqa: PLC0415 -- see above
        import urllib3  # noqa: PLC0415

        # What a body takes on its way is not the other side's fault.
        limit = 2 * self._timeout + len(content or b"") / _SLOWEST
        line = self._take()
        watch = threading.Timer(limit, line.cut)
        watch.daemon = True
        watch.start()
        reply: Reply | None = None
        try:
            response = line.session().request(
                method,
                self._host + path,
                params=query,
                data=content,
                # What is small on its way may be large here.
                headers={"Accept-Encoding": "identity", "User-Agent": f"mlp/{__version__}"},
                # A function, or requests would look into ~/.netrc; headers alone would lose against that.
                auth=_signer(headers),
                timeout=(self._timeout, self._timeout),
                verify=self._tls.verify,
                cert=self._tls.certificate,
                allow_redirects=False,
                stream=True,
            )
            reply = self._read(response, min(largest, self._largest))
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            urllib3.exceptions.HTTPError,
        ) as error:
            if not line.is_cut:
                raise self.meaning.silence(error, self._timeout, secrets) from None
        except (requests.RequestException, OSError) as error:
            if not line.is_cut:
                raise self.meaning.other(error, secrets) from None
        finally:
            watch.cancel()
            is_cut = line.is_cut
            self._give_back(line, reusable=reply is not None and not is_cut)
        # What was cut may look like an answer that has ended.
        if reply is not None and not is_cut:
            return reply
        raise self._given_up() if self._over.is_set() else self.meaning.slowness(limit)

    def wait(self, seconds: float) -> None:
        """Let time pass, but not after the end.

        Raises:
            WorkspaceUnavailable: It is over.
        """
        if self._over.wait(seconds):
            raise self._given_up()

    def abort(self) -> None:
        """End what is under way in other threads, however slowly the server lets it go on. Nothing can be sent then."""
        self._over.set()
        with self._lock:
            busy = list(self._busy)
        for line in busy:
            line.cut()
        self.close()

    def close(self) -> None:
        """Close what is open and idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for line in idle:
            line.close()

    def _take(self) -> _Line:
        with self._lock:
            if self._over.is_set():
                raise self._given_up()
            line = self._idle.pop() if self._idle else _Line()
            self._busy.add(line)
            return line

    def _give_back(self, line: _Line, *, reusable: bool) -> None:
        with self._lock:
            self._busy.discard(line)
            if reusable and not self._over.is_set() and len(self._idle) < _IDLE:
                self._idle.append(line)
                return
        line.close()

    def _read(self, response: requests.Response, largest: int) -> Reply:
        body = bytearray()
        try:
            # To its end: only there is it seen whether something is missing.
            while len(body) <= largest and (block := response.raw.read(_BLOCK, decode_content=False)):
                body += block
        finally:
            response.close()
        if len(body) > largest:
            raise self.meaning.excess(largest)
        return Reply(response.status_code, {name.lower(): text for name, text in response.headers.items()}, bytes(body))

    def _given_up(self) -> WorkspaceUnavailable:
        return WorkspaceUnavailable(f"{self._shown} was given up: nothing more is asked.")


class _Line:
    """A connection, for one request at a time: what cuts it ends that request and no other."""

    def __init__(self) -> None:
        self._sockets = Sockets()
        self._session: requests.Session | None = None

    @property
    def is_cut(self) -> bool:
        return self._sockets.are_cut

    def session(self) -> requests.Session:
        import requests  # noqa: PLC0415 -- see above

        if self._session is None:
            self._session = requests.Session()
            adapter = self._sockets.adapter(1)
            self._session.mount("http://", adapter)
            self._session.mount("https://", adapter)
        return self._session

    def cut(self) -> None:
        self._sockets.cut()

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


def _signer(headers: Mapping[str, str]) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(headers)
        return request

    return sign
