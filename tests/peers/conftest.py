from __future__ import annotations

from tests.workflows.conftest import desk, make_desk

__all__ = ["desk", "make_desk"]
