"""Times on the command line: ``90``, ``90s``, ``5m``, ``1h30m``, as kubectl takes them, and days."""

from __future__ import annotations

import re
from typing import Final

import click

__all__ = ["DURATION"]

_UNITS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")


class _Duration(click.ParamType[float]):
    name = "DURATION"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value)
        if not re.fullmatch(f"({_PART.pattern})+", value):
            self.fail(f"'{value}' is no time; write seconds, or such as 90s, 5m, 1h30m.", param, ctx)
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))


DURATION: Final = _Duration()
