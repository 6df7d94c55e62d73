"""Servers that are no workspace, or a very strange one: what they answer is up to a function."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["answer", "nobody", "serving"]


@contextlib.contextmanager
def serving(act: Callable[[socket.socket, bytes], object]) -> Iterator[str]:
    """Serve on this machine: `act` gets each connection, and the head of the request that came on it."""
    over = threading.Event()
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []

    def work(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            act(connection, _head(connection))

    def accept() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                connections.append(connection)
                threads.append(threading.Thread(target=work, args=(connection,), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            accepting.join()
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(60)
            for connection in connections:
                connection.close()


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    """An address at which nobody listens, and nobody else will."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"


def answer(
    status: str, body: bytes, *, kind: str = "application/json", headers: str = ""
) -> Callable[[socket.socket, bytes], None]:
    """Always the same answer."""

    def act(connection: socket.socket, _: bytes) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}"
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)

    return act


def _head(connection: socket.socket) -> bytes:
    """A request, with as much of its body as it says there is."""
    connection.settimeout(60)
    received = b""
    while b"\r\n\r\n" not in received:
        if not (block := connection.recv(65536)):
            return received
        received += block
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length and (block := connection.recv(65536)):
        body += block
    return head + b"\r\n\r\n" + body
