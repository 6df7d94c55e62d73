"""What an error of this machine's own disk means for somebody who downloads. Pure."""

from __future__ import annotations

import errno
from typing import Final

from mlp.errors import DataAccessDenied, DataError, DataInvalid, DataUnavailable

__all__ = ["disk_error"]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_UNHOLDABLE: Final = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EFBIG})


def disk_error(error: OSError, shown: str) -> DataError:
    """The error that tells a user why something could not be written here.

    Args:
        error: The system's.
        shown: What was being downloaded.
    """
    said = f"{error.strerror or error}"
    if error.errno in _FULL:
        return DataUnavailable(f"There is no room left on the disk for {shown} ({said}).")
    place = f" '{error.filename}'" if error.filename else ""
    if error.errno in _DENIED:
        return DataAccessDenied(f"{shown} cannot be written here: {said}{place}.")
    if error.errno in _UNHOLDABLE:
        return DataInvalid(f"{shown} has a file that the file system here cannot hold: {said}{place}.")
    return DataUnavailable(f"{shown} could not be written: {said}{place}.")
