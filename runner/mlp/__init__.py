"""mlp runs MLflow Projects on a laptop, on Kubernetes and on Databricks, with one meaning everywhere."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"
__all__ = ["__version__"]
