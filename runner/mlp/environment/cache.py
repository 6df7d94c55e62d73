"""The cache of environments: one directory for each hash, built by whoever comes first, and believed once it is whole.

What makes an environment whole is one file, ready.json, which a builder writes last and by a rename. Who finds it needs
no lock. Who does not find it takes the environment's lock, looks again, throws away what an ended builder may have
left, and has it built at its final place: prefixes are baked into packages, so that nothing can be built elsewhere and
moved.
"""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlp.environment import locks
from mlp.environment.layout import Layout
from mlp.environment.settings import default_root
from mlp.environment.uses import TRUSTED_FOR, Marking, uses
from mlp.errors import PreparationError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Iterator, Mapping
    from contextlib import AbstractContextManager

    from mlp.environment.collection import Collected, Kept
    from mlp.environment.specification import Specification
    from mlp.environment.uses import Use, User

__all__ = ["BuiltEnvironment", "EnvironmentCache"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BuiltEnvironment:
    """An environment that can be used.

    Attributes:
        path: Its directory.
        hash: Its name.
        built: Whether it was built just now; False if it was there.
        activate: A script for bash to source (``. FILE``) before a command that is to run in the environment.
        variables: What the script sets, apart from PATH and what the packages' own activation scripts do.
        record: What the builder wrote down: versions, times, the request.
        lock: The environment's lock file; see `hold`.
    """

    path: Path
    hash: str
    built: bool
    activate: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)
    lock: Path = field(default=Path(), repr=False)

    @property
    def locked(self) -> Path:
        """The directory with what exactly was installed: env.lock.yaml, explicit.txt, pip-freeze.txt, ready.json."""
        return self.path / ".mlp"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep the environment from being collected or refreshed for as long as the block lasts."""
        with locks.shared(self.lock):
            yield


class EnvironmentCache:
    """Environments below one directory.

    Args:
        root: The directory; made when the first environment is built.
    """

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root.absolute())

    @classmethod
    def default(cls, variables: Mapping[str, str] | None = None) -> EnvironmentCache:
        """The cache that MLP_ENV_ROOT names, else the user's own."""
        return cls(default_root(variables))

    @property
    def root(self) -> Path:
        """The directory."""
        return self.layout.root

    def find(self, specification: Specification) -> BuiltEnvironment | None:
        """The environment, if it is there. Nothing is built."""
        return self._found(specification.hash, Marking(self.layout, None), built=False)

    def ensure(
        self,
        specification: Specification,
        *,
        refresh: bool = False,
        user: User | None = None,
        cancelled: threading.Event | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> BuiltEnvironment:
        """Have an environment, built now unless it is there.

        What others have marked as used is left as it is: then it is built beside it, and found there from now on.

        Args:
            specification: What it has to be.
            refresh: Build it anew, from what the channels and indexes offer today.
            user: Who will use it, where no lock is held meanwhile: see `mlp.environment.uses`.
            cancelled: Set by whoever no longer wants it; the build ends at once, with all its processes.
            progress: Gets a line of text at each step; without it the lines are logged.

        Raises:
            EnvironmentUnsolvable: A package does not exist, or no versions fit together.
            EnvironmentUnavailable: A channel or an index does not answer.
            EnvironmentAccessDenied: It wants credentials, or others.
            EnvironmentInvalid: A line of the file means nothing to the tool that installs it.
            VolumeFull: There is no room left.
            VolumeNotWritable: Nothing can be written there.
            VolumeWithoutLocks: The file system cannot keep two builders apart.
            PreparationError: It could not be built for another reason.
            RunCancelled: `cancelled` was set.
        """
        say = progress or _log.info
        for warning in specification.warnings:
            _log.warning("%s", warning)
        marking = Marking(self.layout, user)
        try:
            found = None if refresh else self._found(specification.hash, marking, built=False)
            environment = found or self._build(specification, marking, say, refresh=refresh, cancelled=cancelled)
        except BaseException:
            marking.keep()
            raise
        marking.keep(environment.hash)
        return environment

    def _build(
        self,
        specification: Specification,
        marking: Marking,
        say: Callable[[str], None],
        *,
        refresh: bool,
        cancelled: threading.Event | None,
    ) -> BuiltEnvironment:
        from mlp.environment.building import Building  # noqa: PLC0415 -- a hit has to be quick, and needs none of it

        request = specification.hash
        asked = time.time()

        def waiting() -> None:
            say(f"Waiting for the {specification.name}, which another process builds or uses …")

        def lock(name: str) -> AbstractContextManager[int]:
            return locks.exclusive(self.layout.lock(name), waiting=waiting, cancelled=cancelled)

        with ExitStack() as held:
            descriptor = held.enter_context(lock(request))
            found = self._found(request, marking, built=False)
            # What was built since we asked is as fresh as what we would build.
            if found and (not refresh or found.record.get("built", 0.0) > asked):
                return found
            name = self.layout.current(request)
            if name != request:
                descriptor = held.enter_context(lock(name))
            if not self._make_room(name, marking):
                name = uuid.uuid4().hex[: len(request)]
                descriptor = held.enter_context(lock(name))
                marking.leave(name)
            say(f"Building the {specification.name} for {specification.file}")
            try:
                Building(self.layout, name, specification, say, refresh=refresh).run(descriptor, cancelled)
                if name != self.layout.current(request):
                    self.layout.point(request, name)
            except BaseException:
                self.layout.discard(name)
                raise
            built = self._found(request, marking, built=True)
        if built is None:
            raise PreparationError(f"{specification.name} was removed as soon as it was built.")
        return built

    def _make_room(self, name: str, marking: Marking) -> bool:
        """Take away what is in the place of an environment, unless somebody uses it. Its lock has to be held."""
        whole = self.layout.record(name) is not None
        if whole and marking.is_shared(name):
            return False
        if away := self.layout.move_away(name):
            # Somebody who has left a mark at this very moment may have found it whole.
            if whole and marking.is_shared(name):
                away.rename(self.layout.prefix(name))
                return False
            shutil.rmtree(away, ignore_errors=True)
        return True

    def list(self) -> list[Kept]:
        """What is in the cache, the most recently used first."""
        from mlp.environment.collection import survey  # noqa: PLC0415 -- a run needs none of it

        return survey(self.layout)

    def prune(
        self,
        *,
        unused_for: float | None = None,
        keep: int | None = None,
        max_size: int | None = None,
        in_use: Collection[str] = (),
        ended: Collection[Use] = (),
        trusted_for: float | None = TRUSTED_FOR,
        dry_run: bool = False,
    ) -> Collected:
        """Delete environments, the least recently used first, and packages that no environment needs any more.

        What is being built, held, used meanwhile or marked as used stays.

        Args:
            unused_for: Delete what was not used for so many seconds.
            keep: Delete all but so many.
            max_size: Delete until no more than so many bytes are left.
            in_use: Hashes to leave alone, whatever else is said.
            ended: Marks of those who have ended; they go, too.
            trusted_for: For how many seconds a mark counts that nobody can ask about; None: until it has ended.
            dry_run: Only tell what would be deleted.
        """
        from mlp.environment.collection import Marks, collect  # noqa: PLC0415 -- a run needs none of it

        return collect(
            self.layout,
            unused_for=unused_for,
            keep=keep,
            max_size=max_size,
            marks=Marks(self.layout, in_use, ended, trusted_for),
            dry_run=dry_run,
        )

    def uses(self) -> tuple[Use, ...]:
        """All such marks."""
        return tuple(uses(self.layout))

    def _found(self, request: str, marking: Marking, *, built: bool) -> BuiltEnvironment | None:
        name = self.layout.current(request)
        # In this order: a collector that comes between the two sees that the environment is wanted.
        marking.leave(name)
        locks.touch(self.layout.lock(name))
        record = self.layout.ready(name)
        if record is None:
            return None
        return BuiltEnvironment(
            path=self.layout.prefix(name),
            hash=name,
            built=built,
            activate=self.layout.metadata(name) / "activate.sh",
            variables=record.get("variables", {}),
            record=record,
            lock=self.layout.lock(name),
        )
