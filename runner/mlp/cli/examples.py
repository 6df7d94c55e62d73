"""Examples at the end of a command's help: calls that can be copied, each with what it is for."""

from __future__ import annotations

__all__ = ["examples"]


def examples(*calls: tuple[str, str]) -> str:
    """The epilog with these examples, which Click prints as it stands.

    Args:
        calls: What each is for, and the command line. Both together have to fit into 76 columns.
    """
    lines = [f"  # {purpose}\n  {call}" for purpose, call in calls]
    # Click takes \b alone on a line for the beginning of a paragraph that it must not wrap.
    return "\b\nExamples:\n" + "\n".join(lines)
