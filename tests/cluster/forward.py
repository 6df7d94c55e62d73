"""`python -m tests.cluster.forward PID IP PORT into|out-of LOCAL`: a way between this machine and a cluster's network.

`into`: LOCAL (a free port for 0) of 127.0.0.1 leads to IP:PORT there. `out-of`: IP:PORT there (a free port for 0)
leads to LOCAL of 127.0.0.1 here, so that pods reach servers that know nothing of clusters. Prints the port it listens
on and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import threading

from tests.cluster.lifeline import end_with_owner, enter


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction until its end, and pass the end on."""
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


async def serve(listener: socket.socket, ip: str, port: int) -> None:
    """Accept connections until SIGTERM."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(ip, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        far_writer.close()
        writer.close()

    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    end_with_owner()
    async with await asyncio.start_server(connected, sock=listener):
        print(listener.getsockname()[1], flush=True)
        await ended.wait()


def into(pid: int, ip: str, port: int, local: int) -> None:
    """Listen here, then go there: a socket belongs to the namespace it was made in."""
    with socket.create_server(("127.0.0.1", local), backlog=512) as listener:
        enter(pid, "net")
        asyncio.run(serve(listener, ip, port))


def out_of(pid: int, ip: str, port: int, local: int) -> None:
    """Listen there, and stay here."""
    listeners = []

    def listen() -> None:  # in a thread of its own: entering a namespace has no way back
        enter(pid, "net")
        listeners.append(socket.create_server((ip, port), backlog=512))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    with listeners[0] as listener:
        asyncio.run(serve(listener, "127.0.0.1", local))


if __name__ == "__main__":
    {"into": into, "out-of": out_of}[sys.argv[4]](int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[5]))
