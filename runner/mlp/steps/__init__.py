"""What runs inside a run's pod before the project's command: ``python -m mlp.steps clone data environment``.

The steps read the plan that the operator wrote (mlp.resources.plan), do it, and leave a report in the container's
termination message. They know neither Kubernetes' API nor the operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp.lazily import lazily

if TYPE_CHECKING:
    from mlp.steps.execution import STEPS, run_steps
    from mlp.steps.layout import Layout

__all__ = ["STEPS", "Layout", "run_steps"]

__getattr__ = lazily(__name__, {"execution": ("STEPS", "run_steps"), "layout": ("Layout",)})
