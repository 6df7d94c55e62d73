"""The client of S3, as boto3's chain of settings makes it: variables, profiles, web identity, instance roles.

Beside AWS' own variables, MLflow's MLFLOW_S3_ENDPOINT_URL, MLFLOW_S3_IGNORE_TLS and
MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE count. Trying again is left to those who know how much has arrived: the client makes
one attempt.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, PartialCredentialsError, ProfileNotFound

from mlp.errors import DataAccessDenied, DataInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["connect"]

_CONNECT: Final = 15
_SILENCE: Final = 60
_DEFAULT_REGION: Final = "us-east-1"


def connect(shown: str, *, threads: int) -> Any:  # noqa: ANN401 -- boto3 makes its classes when it runs
    """Make a client.

    Args:
        shown: What is downloaded, for people.
        threads: How many connections there may be at once.

    Raises:
        DataInvalid: A setting makes no sense.
        DataAccessDenied: There is no such profile.
    """
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None
    try:
        session = boto3.Session()
        config = Config(
            connect_timeout=_CONNECT,
            read_timeout=_SILENCE,
            max_pool_connections=threads,
            retries={"total_max_attempts": 1},
            s3=_style(endpoint, os.environ),
            # Stores other than AWS' often know none of the newer headers; answers are checked here.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return session.client(
            "s3",
            config=config,
            endpoint_url=endpoint,
            # S3 itself says in its answers which region a bucket is in; other stores mostly have none.
            region_name=os.environ.get("AWS_REGION") or session.region_name or _DEFAULT_REGION,
            verify=False if _is_set("MLFLOW_S3_IGNORE_TLS") else None,
        )
    except ProfileNotFound as error:
        raise DataAccessDenied(
            f"{shown} cannot be read: {error}. AWS_PROFILE or AWS_DEFAULT_PROFILE names it."
        ) from None
    except PartialCredentialsError as error:
        raise DataAccessDenied(f"{shown} cannot be read: {error}.") from None
    except (BotoCoreError, ValueError) as error:
        raise DataInvalid(f"{shown} cannot be read with these settings of AWS: {error}") from None


def _style(endpoint: str | None, variables: Mapping[str, str]) -> dict[str, str] | None:
    """How a bucket is named in requests: a store of one's own has no host name for each bucket."""
    if style := variables.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE"):
        return {"addressing_style": style}
    custom = endpoint or variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL")
    return {"addressing_style": "path"} if custom else None


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() in {"true", "1"}
