from __future__ import annotations

from tests.projectruns import knows_projectruns, runs

__all__ = ["knows_projectruns", "runs"]
