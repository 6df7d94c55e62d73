"""What ``mlp submit`` can say of a run beside its project: options that become fields of a ProjectRun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from mlp.cli.durations import DURATION
from mlp.cli.sections import section

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., Any]")

__all__ = ["SIZE", "run_options"]

_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "ki": 1 << 10, "mi": 1 << 20}


class _Size(click.ParamType[int]):
    name = "SIZE"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        if isinstance(value, int):
            return value
        number = value.rstrip("kKmMiIbB")
        unit = value[len(number) :].lower().removesuffix("b")
        if not number.isdecimal() or unit not in _UNITS:
            self.fail(f"'{value}' is no size; write bytes, or such as 500k, 20M or 64Mi.", param, ctx)
        return int(number) * _UNITS[unit]


SIZE: Final = _Size()


def _of(help_text: str, metavar: str = "NAME", **more: Any) -> dict[str, Any]:  # noqa: ANN401 -- Click's own
    return {"metavar": metavar, "help": help_text, **more}


_LOCAL: Final = section(
    "A project on this machine",
    (
        ("--staging",),
        _of(
            "Where to put it if it is too large for a ConfigMap: s3://BUCKET/PREFIX, with your own credentials.  "
            "[env: MLP_STAGING]",
            "URI",
            envvar="MLP_STAGING",
        ),
    ),
    (("--bundle-limit",), {"type": SIZE, "help": "Refuse to send more than this, packed.  [default: 100Mi]"}),
)

_RECORD: Final = section(
    "In MLflow",
    (("--experiment-name",), _of("The experiment, made if there is none.")),
    (("--run-name",), _of("The name of the run in MLflow.  [default: the ProjectRun's]")),
    (("--tracking-uri",), _of("The tracking server, as pods reach it.  [default: the operator's]", "URI")),
)

_SECRETS: Final = section(
    "Secrets",
    (("--auth-secret",), _of("The Secret with the credentials for the Git repository.")),
    (("--data-secret",), _of("The one with the variables for downloading data: AWS_*, DATABRICKS_*.")),
    (("--env-secret", "environment_secret"), _of("The one with the variables for channels and package indexes.")),
    (("--tracking-secret",), _of("The one with MLFLOW_TRACKING_TOKEN, or _USERNAME and _PASSWORD.")),
)

_ENVIRONMENT: Final = section(
    "Environment",
    (("--env-manager",), _of("auto, conda, virtualenv, local or image.  [default: auto]")),
    (("--image",), _of("The image that the command runs in, as it is.", "IMAGE")),
    (("--cache-claim",), _of("The PersistentVolumeClaim that keeps environments.  [default: the operator's]")),
    (("--cache-policy",), _of("use, refresh (build anew) or disabled (build for this run alone).  [default: use]")),
)

_POD: Final = section(
    "Pod",
    (("--service-account",), _of("The pod's ServiceAccount.")),
    (("--cpu",), _of("The processors that the command asks for, such as 2 or 500m.", "QUANTITY")),
    (("--memory",), _of("The memory that it asks for and may use, such as 4Gi.", "QUANTITY")),
)

_DATABRICKS: Final = section(
    "On Databricks, instead of in a pod",
    (("--databricks-host",), _of("The workspace.  [default: what the Secret's key host says]", "URL")),
    (
        ("--databricks-secret",),
        _of(
            "The Secret with its credentials: token, or clientId and clientSecret.  [default: none, but the identity "
            "of --service-account]"
        ),
    ),
    (
        ("--cluster-spec",),
        _of(
            "What the run gets, as for 'mlflow run': a new cluster of the Jobs API, or existing_cluster_id, or "
            "serverless. A .json file, or JSON itself.",
            "FILE|JSON",
        ),
    ),
)

_LIMITS: Final = section(
    "Queue, retries and limits",
    (("--queue",), _of("The LocalQueue of Kueue that the run waits in.")),
    (("--priority-class", "priority"), _of("The WorkloadPriorityClass of Kueue that it waits with.")),
    (("--backoff-limit",), {"type": int, "help": "How often to try again after a failure.  [default: 0]"}),
    (("--active-deadline",), {"type": DURATION, "help": "End the run when it was active for so long, such as 12h."}),
    (("--pending-deadline",), {"type": DURATION, "help": "Fail it if its command has not started by then."}),
    (("--ttl",), {"type": DURATION, "help": "Delete the ProjectRun so long after its end, such as 7d."}),
)


def run_options(function: Command) -> Command:
    """Add the options; they arrive under the names of mlp.backends.submission.Request's fields.

    `staging` and `bundle_limit` are none of these; `cluster_spec` is text that is to be read.
    """
    for add in (_LIMITS, _DATABRICKS, _POD, _ENVIRONMENT, _SECRETS, _RECORD, _LOCAL):
        function = add(function)
    return function
