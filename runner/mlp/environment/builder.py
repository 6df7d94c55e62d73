"""The process that builds one environment: ``python -m mlp.environment.builder``.

Started by `mlp.environment.building`, it reads its order from standard input and goes on listening there: when that
ends, whoever ordered the environment is gone, and the whole process group ends with it. On standard output it writes
one JSON object a line, for each step or for what went wrong. It leaves by os._exit: py-rattler crashes a few percent of
interpreters that end in the usual way.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from mlp.environment.credentials import Secrets
from mlp.environment.order import Order
from mlp.environment.volume import refusal
from mlp.errors import MlpError, PreparationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["main"]


class _Voice:
    """Standard output, for events. What a tool in this process prints there goes to standard error instead."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        os.set_inheritable(self._descriptor, False)  # noqa: FBT003 -- the standard library takes it by position
        os.dup2(2, 1)
        self.secrets = Secrets()

    def __call__(self, event: str, message: str) -> None:
        line = json.dumps({"event": event, "message": self.secrets.mask(message)}) + "\n"
        os.write(self._descriptor, line.encode())

    def progress(self, message: str) -> None:
        self("progress", message)


def main() -> NoReturn:
    """Build what the order asks for, and end the process."""
    voice = _Voice()
    status = 1
    order = None
    try:
        order = _order(int(sys.argv[1]))
        voice.secrets = order.secrets
        threading.Thread(target=_end_with_the_one_who_ordered, daemon=True).start()
        _build(order, voice)
        status = 0
    except MlpError as error:
        voice(type(error).__name__, str(error))
    except OSError as error:
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        refused = refusal(error, order.layout.root) if order is not None else None
        raised = refused or PreparationError(f"The environment could not be built: {where}{error.strerror or error}.")
        voice(type(raised).__name__, str(raised))
    except Exception:  # noqa: BLE001 -- its text is all that anybody will ever see of it
        voice(PreparationError.__name__, f"The environment could not be built.\n{traceback.format_exc()}")
    finally:
        sys.stderr.flush()
        os._exit(status)


def _order(lock: int) -> Order:
    text = bytearray()
    while not text.endswith(b"\n"):
        block = os.read(0, 1 << 16)
        if not block:
            os._exit(1)
        text += block
    given: Mapping[str, Any] = json.loads(text)
    return Order.of(given, lock)


def _end_with_the_one_who_ordered() -> NoReturn:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _build(order: Order, voice: _Voice) -> None:
    from mlp.environment import steps  # noqa: PLC0415 -- the order has been read: mistakes are reported from here on

    started = time.monotonic()
    record = steps.build(order, voice.progress)
    record["seconds"]["all"] = round(time.monotonic() - started, 3)
    steps.publish(order, record)


if __name__ == "__main__":
    main()
