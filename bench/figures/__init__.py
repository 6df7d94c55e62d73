"""What can be measured: one module a figure, each with a function `measure() -> bench.results.Result`."""

from __future__ import annotations

from typing import Final

__all__ = ["FIGURES"]

FIGURES: Final = ("reconciling", "starting", "command_line", "environments", "data", "databricks")
"""Names of modules here, in the order in which they are measured."""
