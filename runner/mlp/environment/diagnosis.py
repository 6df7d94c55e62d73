"""What uv's and rattler's own explanations mean: whose mistake it is, and what can be done about it.

Their texts are good and are passed on, once and without secrets. Only the first line is ours, and the kind of error,
which decides whether a run in a cluster is tried again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mlp.environment.volume import refusal_in
from mlp.errors import (
    EnvironmentAccessDenied,
    EnvironmentInvalid,
    EnvironmentUnavailable,
    EnvironmentUnsolvable,
    PreparationError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlp.environment.order import Order

__all__ = ["STEPS", "explain", "unreadable_channel"]

STEPS: Final = re.compile(
    r"(Resolved|Prepared|Installed|Uninstalled|Built|Building|Downloading|Updating|Updated|Bytecode) "
)
"""Lines in which uv says what it has done."""

_NOT_WORTH_SAYING: Final = re.compile(r"Using Python .* environment at")
_DENIED: Final = re.compile(
    r"\b(401 Unauthorized|403 Forbidden|407 Proxy)|authentication credentials|client error \(40[137]", re.IGNORECASE
)
_UNREACHABLE: Final = re.compile(
    r"error sending request|Request failed after|Failed to fetch|Failed to download|client error \(Connect\)"
    r"|Connection refused|dns error|timed out|server error \(5\d\d|Could not connect|invalid peer certificate",
    re.IGNORECASE,
)
_UNSOLVABLE: Final = re.compile(
    r"No solution found|was not found in the|not found in the package registry|has no wheels with a matching"
    r"|there are no versions of",
    re.IGNORECASE,
)
# uv counts bytes of its input, and rows and columns of other mistakes in it, which it calls "-".
_MALFORMED_AT: Final = re.compile(r"Couldn't parse requirement in `-` at position (?P<byte>\d+)")
_MALFORMED_IN: Final = re.compile(r"[\s`(]-:(?P<row>\d+):\d+")


def explain(order: Order, said: str, lines: Sequence[str] = ()) -> PreparationError:
    """The error that says what uv said.

    Args:
        order: What was to be built.
        said: uv's own words.
        lines: What it was given to read.
    """
    kept = [line for line in said.splitlines() if not STEPS.match(line.strip()) and not _NOT_WORTH_SAYING.match(line)]
    text = order.secrets.mask("\n".join(kept)).strip().removeprefix("error: ")
    if refused := refusal_in(text, order.layout.root):
        return refused
    if _DENIED.search(text):
        return EnvironmentAccessDenied(
            f"A package index refuses to serve what {order.file} asks for. Put credentials that it accepts into its "
            f"address (PIP_INDEX_URL, UV_DEFAULT_INDEX), or into a netrc file.\n{text}"
        )
    if malformed := _malformed_line(text, lines):
        return EnvironmentInvalid(f"{order.place(malformed)}: {malformed!r} is no requirement.\n{text}")
    if _UNREACHABLE.search(text):
        return EnvironmentUnavailable(f"A package index that {order.file} needs could not be read.\n{text}")
    if _UNSOLVABLE.search(text):
        return EnvironmentUnsolvable(f"The pip packages of {order.file} cannot be installed.\n{text}")
    return PreparationError(f"Installing the pip packages of {order.file} failed.\n{text}")


def _malformed_line(text: str, lines: Sequence[str]) -> str | None:
    if at := _MALFORMED_AT.search(text):
        position = int(at["byte"])
        for line in lines:
            position -= len(line.encode()) + 1
            if position < 0:
                return line
    if found := _MALFORMED_IN.search(text):
        row = int(found["row"])
        # The end of a line may already count as the beginning of the next.
        return lines[min(row, len(lines)) - 1] if lines else None
    return None


def unreadable_channel(order: Order, said: str) -> PreparationError:
    """The error that says why a channel could not be read."""
    text = order.secrets.mask(said).strip()
    # What is read of a channel is written down.
    if refused := refusal_in(text, order.layout.root):
        return refused
    said = f"A conda channel that {order.file} needs could not be read."
    if _DENIED.search(text):
        return EnvironmentAccessDenied(
            f"{said} It wants credentials, or others: put them into the channel's address "
            "(https://USER:PASSWORD@HOST/… or https://HOST/t/TOKEN/…), best by a ${VARIABLE}, or into the file that "
            f"RATTLER_AUTH_FILE names.\n{text}"
        )
    return EnvironmentUnavailable(f"{said}\n{text}")
