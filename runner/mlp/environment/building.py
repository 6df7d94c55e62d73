"""A build, seen from outside: a process of its own that can be ended at any moment with everything it started.

It is a process because py-rattler crashes a few percent of interpreters at their exit, and because extraction and
linking cannot be stopped otherwise. So nothing is concluded from its exit status: the marker decides, and the builder's
own words say why there is none. It ends when our end of its standard input closes, that is: also when we are killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from mlp import errors
from mlp.errors import MlpError, PreparationError, RunCancelled

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from mlp.environment.layout import Layout
    from mlp.environment.specification import Specification

__all__ = ["Building"]

_PAUSE: Final = 0.1
_BLOCK: Final = 1 << 16
_REMEMBERED: Final = 30
# What surrounds us must not decide what a build of another interpreter finds.
_NOT_HANDED_ON: Final = ("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "PYTHONHOME", "UV_PYTHON", "UV_PROJECT")


class Building:
    """One build.

    Args:
        layout: Where the environment will lie.
        name: Its name there.
        specification: What it will be.
        say: Gets a line at each step.
        refresh: Whether what the caches know of indexes may be stale.
    """

    def __init__(
        self, layout: Layout, name: str, specification: Specification, say: Callable[[str], None], *, refresh: bool
    ) -> None:
        self._name = name
        self._refresh = refresh
        self._layout = layout
        self._specification = specification
        self._say = say
        self._error: MlpError | None = None
        self._last_words: list[str] = []

    def run(self, lock: int, cancelled: threading.Event | None) -> None:
        """Build. Nothing of it is left running afterwards, however it ends.

        Args:
            lock: The descriptor of the environment's lock, which the builder and all that it starts inherit.
            cancelled: Set by whoever no longer wants the environment.

        Raises:
            MlpError: What the builder said; or that it was cancelled, took too long, or ended without a word.
        """
        order = {
            **self._specification.order(),
            "root": str(self._layout.root),
            "name": self._name,
            "refresh": self._refresh,
        }
        with subprocess.Popen(
            # -P: the current directory is a project's, and may hold a module of any name.
            [sys.executable, "-P", "-m", "mlp.environment.builder", str(lock)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(lock,),
            start_new_session=True,
            bufsize=0,
            env=self._surroundings(),
        ) as process:
            try:
                status = self._follow(process, json.dumps(order).encode() + b"\n", cancelled)
            finally:
                _end(process)
        if self._error is not None:
            raise self._error
        if self._layout.ready(self._name) is None:
            said = "".join(f"\n{line}" for line in self._last_words)
            raise PreparationError(
                f"The builder of {self._specification.name} ended {_ending(status)} before it was done.{said}"
            )

    def _surroundings(self) -> Mapping[str, str]:
        return {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}

    def _follow(self, process: subprocess.Popen[bytes], order: bytes, cancelled: threading.Event | None) -> int:
        """Hand over the order, pass on what the builder says, and wait for its end."""
        assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 -- they are pipes
        limit = self._specification.settings.time_limit
        given_up = time.monotonic() + limit
        # A builder that is gone already says why, or nothing at all; both are noticed below.
        with contextlib.suppress(BrokenPipeError):
            while order:
                order = order[process.stdin.write(order) :]
        lines = {process.stdout: _Lines(self._hear), process.stderr: _Lines(self._note)}
        with selectors.DefaultSelector() as selector:
            for stream in lines:
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ)
            while True:
                # Asked before the last read: whatever was written before the end is then there to be read.
                ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
                for key, _ in selector.select(0 if ended else _PAUSE):
                    if not lines[key.fileobj].read(key.fd):  # type: ignore[index]
                        selector.unregister(key.fileobj)
                if ended is not None:
                    for stream, each in lines.items():
                        while each.read(stream.fileno()):
                            pass
                    return -ended.si_status if ended.si_code != os.CLD_EXITED else ended.si_status
                if cancelled is not None and cancelled.is_set():
                    raise RunCancelled("The run was cancelled while its environment was built.")
                if time.monotonic() > given_up:
                    raise PreparationError(
                        f"Building {self._specification.name} took longer than {limit:g} s and was given up. "
                        "MLP_ENV_BUILD_TIMEOUT allows more."
                    )
                if not selector.get_map():
                    time.sleep(_PAUSE)

    def _hear(self, line: str) -> None:
        """One event of the builder's."""
        try:
            event: dict[str, Any] = json.loads(line)
            said, message = str(event["event"]), str(event["message"])
        except (ValueError, TypeError, KeyError):
            # A package's own link script, perhaps.
            self._note(line)
            return
        if said == "progress":
            self._say(message)
        else:
            kind = getattr(errors, said, PreparationError)
            self._error = kind(self._specification.secrets.mask(message))

    def _note(self, line: str) -> None:
        self._last_words = [*self._last_words, self._specification.secrets.mask(line)][-_REMEMBERED:]


class _Lines:
    """Bytes that arrive in pieces, handed on line by line."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = b""

    def read(self, descriptor: int) -> bool:
        """Read what is there; whether there was anything."""
        try:
            block = os.read(descriptor, _BLOCK)
        except BlockingIOError:
            return False
        *whole, self._rest = (self._rest + block).split(b"\n") if block else (self._rest, b"")
        for line in whole:
            if line:
                self._take(line.decode(errors="replace"))
        return bool(block)


def _ending(status: int) -> str:
    return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the builder and all that it started: also what outlived it."""
    # The leader has not been waited for, so nobody else can have its number.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
