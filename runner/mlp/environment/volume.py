"""What the volume that environments are kept on refuses, and the way out of it. Pure.

A cache in a cluster lies on somebody's claim, which may be too small, lack locks, or be mounted so that it can only be
read; nothing in a project can help that, so each is an error of its own that names the claim's remedy. rattler and uv
say it in texts, which end with the system's own number.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Final

from mlp.errors import PreparationError, VolumeFull, VolumeNotWritable, VolumeWithoutLocks

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NO_LOCKS", "not_writable", "refusal", "refusal_in", "without_locks"]

NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""What flock fails with where there are none."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_ONLY_READ: Final = frozenset({errno.EROFS})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})
_SAID: Final = re.compile(r"(?P<what>[^\n:]*) \(os error (?P<number>\d+)\)")


def refusal(error: OSError, root: Path) -> PreparationError | None:
    """What an error of the system says about the volume; None if it is about something else.

    Args:
        error: The system's.
        root: Where environments are kept.
    """
    said = f"{error.strerror or error}"
    # A permission may be missing elsewhere too, in the project's own directory for one.
    below = isinstance(error.filename, str) and error.filename.startswith(str(root))
    return _refusal(error.errno, said, root, denied=below)


def refusal_in(text: str, root: Path) -> PreparationError | None:
    """What a tool's words say about the volume; None if they are about something else."""
    for said in _SAID.finditer(text):
        if found := _refusal(int(said["number"]), said["what"].strip(), root, denied=False):
            return found
    return None


def not_writable(root: Path, said: str) -> VolumeNotWritable:
    """The error that says that nothing can be written there."""
    return VolumeNotWritable(
        f"Environments are kept in {root}, where nothing can be written: {said}. Set MLP_ENV_ROOT to a directory that "
        "can. In a cluster, the claim of spec.environment.cache needs a volume that this pod may mount read-write, and "
        "whose files its group may write (fsGroup)."
    )


def without_locks(root: Path, said: str) -> VolumeWithoutLocks:
    """The error that says that there are no locks."""
    return VolumeWithoutLocks(
        f"The file system of {root} has no locks (flock: {said}), without which two runs may build one environment at"
        " once. Set MLP_ENV_ROOT to a directory on a local disk, or on a volume with locks such as NFS 4 or CephFS. In "
        "a cluster, name the claim of such a volume in spec.environment.cache.volumeClaimName."
    )


def _refusal(number: int | None, said: str, root: Path, *, denied: bool) -> PreparationError | None:
    if number in _FULL:
        return VolumeFull(
            f"There is no room left in {root}, where environments are kept ({said}). Delete some that are not used "
            "any more (mlp env prune), or set MLP_ENV_ROOT to a larger disk. In a cluster, enlarge the claim of "
            "spec.environment.cache, and have it pruned regularly (mlp env prune --in-cluster)."
        )
    if number in _ONLY_READ or (denied and number in _DENIED):
        return not_writable(root, said)
    return None
