"""How a run's tracking server is reached, and by what right: from a Secret, or the operator's own variables.

The operator's own credentials are for the operator's own server. One that a run names gets what stands in the run's
Secret, and nothing else. Sends nothing.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlp.errors import TrackingDenied, TrackingUnavailable
from mlp.tracking import Advice, Credentials, Limits, Patience, Tls, connect_to

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlp.tracking import Tracking
    from mlp_operator.runs.recording import TrackingServer

__all__ = ["Access", "access_to"]

_AUTHORITY: Final = ("MLFLOW_TRACKING_SERVER_CERT", "ca.crt")
_LARGEST: Final = 16 << 20
"""Bytes of an answer. A run with a thousand parameters of the greatest length has six million."""
_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Access:
    """Everything that it takes to ask one server.

    Attributes:
        uri: The server, or ``databricks``.
        credentials: Who asks.
        host: The Databricks workspace.
        workspace: The workspace of an MLflow server.
        insecure: Whether anybody's certificate will do.
        authority: Certificates of those who may vouch for the server, PEM.
        advice: Where to set things right.
    """

    uri: str
    credentials: Credentials
    host: str | None = None
    workspace: str = ""
    insecure: bool = False
    authority: str | None = field(default=None, repr=False)
    advice: Advice = field(default_factory=Advice)

    @contextlib.contextmanager
    def open(self, timeout: float) -> Iterator[Tracking]:
        """The server, for the time of the block.

        Raises:
            UsageError: The URI is none of a server.
        """
        with contextlib.ExitStack() as stack:
            tls = Tls(verify=not self.insecure)
            if self.authority is not None and not self.insecure:
                file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="mlp-tracking-", suffix=".pem"))
                file.write(self.authority.encode())
                file.flush()
                tls = Tls(verify=file.name)
            tracking = connect_to(
                self.uri,
                credentials=self.credentials,
                tls=tls,
                limits=Limits(timeout, Patience(_ATTEMPTS, timeout, pause=0.2), _LARGEST),
                host=self.host,
                workspace=self.workspace,
                advice=self.advice,
            )
            stack.callback(tracking.close)
            yield tracking


def access_to(
    server: TrackingServer, secret: Mapping[str, Any] | None, variables: Mapping[str, str] = os.environ
) -> Access:
    """How to ask a server.

    Args:
        server: Which.
        secret: The Secret that it names, as the API server gives it.
        variables: The operator's own, which count for its own server where no Secret is named.

    Raises:
        TrackingDenied: The Secret cannot be read as one.
        TrackingUnavailable: The operator's own certificates cannot be read.
    """
    given = _own(variables) if server.secret is None and not server.own else _texts(secret or {}, server.secret)
    if server.uri == "databricks":
        credentials = Credentials(token=given.get("DATABRICKS_TOKEN") or None)
    else:
        credentials = Credentials(
            username=given.get("MLFLOW_TRACKING_USERNAME") or None,
            password=given.get("MLFLOW_TRACKING_PASSWORD") or None,
            token=given.get("MLFLOW_TRACKING_TOKEN") or None,
        )
    return Access(
        uri=server.uri,
        credentials=credentials,
        host=given.get("DATABRICKS_HOST") or None,
        workspace=given.get("MLFLOW_WORKSPACE", ""),
        insecure=given.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in {"true", "1"},
        authority=next((given[key] for key in _AUTHORITY if given.get(key)), None),
        advice=_advice(server),
    )


def _own(variables: Mapping[str, str]) -> Mapping[str, str]:
    """The operator's own variables, and what is in the file that one of them names."""
    path = variables.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
    if not path:
        return variables
    try:
        return {**variables, _AUTHORITY[0]: Path(path).read_text()}
    except (OSError, UnicodeDecodeError) as error:
        raise TrackingUnavailable(
            f"MLFLOW_TRACKING_SERVER_CERT_PATH of the operator names {path}, which cannot be read: {error}"
        ) from None


def _advice(server: TrackingServer) -> Advice:
    keys = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    if server.secret is not None:
        place, refused = f"put {keys} into the Secret {server.secret}", f" Check the Secret {server.secret}."
    else:
        place = f"name a Secret with {keys} in spec.tracking.secretRef of a new ProjectRun"
        refused = f" These are the operator's own; {place}."
    return Advice(
        address="spec.tracking.uri" if server.own else "MLP_TRACKING_URI of the operator",
        credentials=place,
        authority="Put the certificate of the authority that signed it into the Secret of spec.tracking.secretRef, as "
        "ca.crt",
        patience="",
        refused=refused,
        network="network policies, DNS, proxies",
        otherwise="",
        # What the operator reaches, whoever names the server may not.
        shown=200 if server.own else 1000,
    )


def _texts(secret: Mapping[str, Any], name: str | None) -> dict[str, str]:
    texts = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            # A line's end is easily written into a Secret, and belongs to no credential.
            texts[key] = base64.b64decode(value, validate=True).decode().strip()
        except (binascii.Error, UnicodeDecodeError):
            raise TrackingDenied(f"The key {key} of Secret {name} is no text.") from None
    return texts
