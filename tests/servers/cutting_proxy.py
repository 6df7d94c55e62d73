"""A TCP proxy that cuts every connection after a while: what load balancers and bad networks do to a long answer."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def cutting_proxy(host: str, port: int, *, after: float) -> Iterator[tuple[int, list[float]]]:
    """Serve on a port of 127.0.0.1; give the port, and a list that grows with each cut."""
    cuts: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        ended = threading.Event()
        acceptor = threading.Thread(target=_accept, args=(listener, (host, port), after, cuts, ended))
        acceptor.start()
        try:
            yield listener.getsockname()[1], cuts
        finally:
            ended.set()
            acceptor.join()


def _accept(
    listener: socket.socket, target: tuple[str, int], after: float, cuts: list[float], ended: threading.Event
) -> None:
    threads = []
    while not ended.is_set():
        with contextlib.suppress(TimeoutError):
            client, _ = listener.accept()
            threads.append(threading.Thread(target=_serve, args=(client, target, after, cuts, ended)))
            threads[-1].start()
    for thread in threads:
        thread.join()


def _serve(
    client: socket.socket, target: tuple[str, int], after: float, cuts: list[float], ended: threading.Event
) -> None:
    with client, socket.create_connection(target) as server:
        pumps = [threading.Thread(target=_pump, args=pair) for pair in ((client, server), (server, client))]
        for pump in pumps:
            pump.start()
        until = time.monotonic() + after
        while time.monotonic() < until and not ended.is_set() and any(pump.is_alive() for pump in pumps):
            time.sleep(0.05)
        if any(pump.is_alive() for pump in pumps):
            cuts.append(time.monotonic())
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for pump in pumps:
            pump.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
