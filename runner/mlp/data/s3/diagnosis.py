"""What an error of boto3 means for a user: a missing key, a missing bucket, no or other credentials, the wrong region.

S3 says by codes what it means; what it says in words is shown with them. Names no key of anybody.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from botocore import exceptions
from urllib3.exceptions import HTTPError

from mlp.data.origin import Changed, Later
from mlp.errors import DataAccessDenied, DataCorrupt, DataError, DataInvalid, DataNotFound, DataUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["explained"]

_CHAIN: Final = (
    "They are looked for in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in the profile that AWS_PROFILE names, in a "
    "web identity (AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE), and in the role of the machine or container."
)


_Meaning: TypeAlias = tuple[type[DataError], str]

_NO_BUCKET: Final[_Meaning] = (DataNotFound, "There is no bucket '{bucket}' ({said}).")
_NO_KEY: Final[_Meaning] = (DataNotFound, "There is no {shown} ({said}).")
_REPLACED: Final[_Meaning] = (Changed, "{shown} was replaced while it was read ({said}).")
_ELSEWHERE: Final[_Meaning] = (DataInvalid, "The bucket of {shown} is {region} ({said}).")
_KEYS: Final[_Meaning] = (
    DataAccessDenied,
    "The store does not accept the credentials for {shown} ({said}). {chain}",
)
_CLOCK: Final[_Meaning] = (DataAccessDenied, "The store of {shown} says that the clock here is wrong ({said}).")
_DENIED: Final[_Meaning] = (
    DataAccessDenied,
    (
        "These credentials do not allow to read {shown} ({said}). Reading an object takes s3:GetObject, a prefix "
        "s3:ListBucket as well; without the latter, what is not there looks like this too."
    ),
)
_ARCHIVED: Final[_Meaning] = (DataInvalid, "{shown} is archived: restore it before it is read ({said}).")
_BUSY: Final[_Meaning] = (DataUnavailable, "The store could not give {shown} ({said}).")
_REFUSED: Final[_Meaning] = (DataInvalid, "The store refuses the request for {shown} ({said}).")

_CODES: Final[dict[str, _Meaning]] = {
    "NoSuchBucket": _NO_BUCKET,
    "InvalidBucketName": _NO_BUCKET,
    "NoSuchKey": _NO_KEY,
    "NoSuchVersion": _NO_KEY,
    "MethodNotAllowed": _NO_KEY,  # a delete marker
    "PreconditionFailed": _REPLACED,
    "InvalidRange": _REPLACED,
    "InvalidPartNumber": _REPLACED,
    "PermanentRedirect": _ELSEWHERE,
    "IllegalLocationConstraintException": _ELSEWHERE,
    "InvalidAccessKeyId": _KEYS,
    "InvalidClientTokenId": _KEYS,
    "InvalidToken": _KEYS,
    "ExpiredToken": _KEYS,
    "TokenRefreshRequired": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "InvalidObjectState": _ARCHIVED,
    "SlowDown": _BUSY,
    "Throttling": _BUSY,
    "ThrottlingException": _BUSY,
    "RequestLimitExceeded": _BUSY,
    "RequestTimeout": _BUSY,
    "OperationAborted": _BUSY,
}

_STATUSES: Final[dict[int, _Meaning]] = {
    301: _ELSEWHERE,
    307: _ELSEWHERE,
    401: _KEYS,
    403: _DENIED,
    404: _NO_KEY,
    408: _BUSY,
    412: _REPLACED,
    416: _REPLACED,
    429: _BUSY,
    500: _BUSY,
    502: _BUSY,
    503: _BUSY,
    504: _BUSY,
}


@contextmanager
def explained(shown: str) -> Iterator[None]:
    """Turn errors of boto3 within the block into ours.

    Args:
        shown: What is downloaded, for people.
    """
    try:
        yield
    except exceptions.ClientError as error:
        raise _answered(error, shown) from None
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError):
        raise DataAccessDenied(
            f"{shown} needs credentials of AWS, and there are none, or but a part of them. {_CHAIN}"
        ) from None
    except (
        exceptions.CredentialRetrievalError,
        exceptions.MetadataRetrievalError,
        exceptions.UnauthorizedSSOTokenError,
        exceptions.SSOTokenLoadError,
        exceptions.TokenRetrievalError,
    ) as error:
        raise DataAccessDenied(f"The credentials for {shown} could not be got: {_first_line(error)}") from None
    except exceptions.SSLError:
        raise DataAccessDenied(
            f"The server of {shown} could not prove who it is. Name its authority's certificate in AWS_CA_BUNDLE."
        ) from None
    except exceptions.FlexibleChecksumError:
        raise DataCorrupt(f"{shown} arrived with other bytes than are stored: they do not fit the checksum.") from None
    except (exceptions.ParamValidationError, exceptions.InvalidRegionError) as error:
        raise DataInvalid(f"{shown} cannot be asked for: {_first_line(error)}") from None
    except exceptions.EndpointConnectionError:
        raise DataUnavailable(
            f"The server of {shown} could not be reached. Check AWS_ENDPOINT_URL, the region and the network."
        ) from None
    except (
        exceptions.HTTPClientError,
        exceptions.IncompleteReadError,
        exceptions.ResponseStreamingError,
        HTTPError,
        ConnectionError,
        TimeoutError,
    ) as error:
        raise DataUnavailable(f"The connection to the server of {shown} broke ({type(error).__name__}).") from None
    except exceptions.BotoCoreError as error:
        raise DataInvalid(f"{shown} cannot be asked for: {_first_line(error)}") from None


def _answered(error: exceptions.ClientError, shown: str) -> DataError:
    answer: dict[str, Any] = error.response
    code = str(answer.get("Error", {}).get("Code", ""))
    metadata = answer.get("ResponseMetadata", {})
    said = _said(answer, code)
    if error.operation_name.startswith("AssumeRole"):
        return DataAccessDenied(f"The role for {shown} could not be assumed ({said}).")
    if answer.get("Error", {}).get("Region"):
        code = "PermanentRedirect"
    kind, message = _CODES.get(code) or _STATUSES.get(metadata.get("HTTPStatusCode", 0)) or _REFUSED
    text = message.format(shown=shown, said=said, bucket=_bucket(shown), region=_region(answer), chain=_CHAIN)
    after = metadata.get("HTTPHeaders", {}).get("retry-after", "")
    return Later(text, seconds=float(after)) if kind is DataUnavailable and after.isdecimal() else kind(text)


def _said(answer: dict[str, Any], code: str) -> str:
    message = " ".join(str(answer.get("Error", {}).get("Message", "")).split())
    return f"{code}: {message}" if message and message != code else code or "no reason given"


def _region(answer: dict[str, Any]) -> str:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = answer.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region")
    return f"in the region {region}: set AWS_REGION={region}" if region else "in another region: set AWS_REGION"


def _bucket(shown: str) -> str:
    return shown.partition("://")[2].partition("/")[0]


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
