"""Which of the pod's credentials a download gets: what its own Secret says, and no more.

Downloads from the tracking server get that server's credentials, with those for data behind them, since artifacts may
lie in a store that only the latter know. All others get those for data alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from mlp.data.address import parse
from mlp.steps.variables import read_variables

if TYPE_CHECKING:
    from mlp.steps.layout import Layout

__all__ = ["for_data", "for_tracking", "is_tracked"]

_TRACKED: Final = frozenset({"runs", "models", "mlflow-artifacts"})


def is_tracked(uri: str) -> bool:
    """Whether a URI speaks of the tracking server.

    Raises:
        DataInvalid: It is none.
    """
    return parse(uri).scheme in _TRACKED


def for_data(layout: Layout) -> dict[str, str]:
    """The variables for downloads from anywhere but the tracking server.

    Raises:
        UsageError: A key of the Secret cannot be a variable.
    """
    return _with_web_identity(read_variables(layout.data_credentials), layout)


def for_tracking(layout: Layout) -> dict[str, str]:
    """The variables for downloads from the tracking server.

    Raises:
        UsageError: A key of a Secret cannot be a variable.
    """
    both = {**read_variables(layout.data_credentials), **read_variables(layout.tracking_credentials)}
    return _with_web_identity(both, layout)


def _with_web_identity(variables: dict[str, str], layout: Layout) -> dict[str, str]:
    """The pod's own service account, where a role of AWS is named and nobody has said which token to show for it."""
    known = {**os.environ, **variables}
    if known.get("AWS_ROLE_ARN") and not known.get("AWS_WEB_IDENTITY_TOKEN_FILE") and layout.aws_token.is_file():
        return {**variables, "AWS_WEB_IDENTITY_TOKEN_FILE": str(layout.aws_token)}
    return variables
