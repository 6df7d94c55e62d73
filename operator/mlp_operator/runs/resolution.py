"""The edge to Git: from a project's URI and version to a plan, beside the loop and never inside of it.

Look-ups run in threads, so many at a time as the settings say; each ends at its deadline. A burst of runs of one
repository asks the server twice, not once a run: a look-up answers every run that was there before it began, and never
one that came later, which may be meant to see what has just been pushed. What a commit holds never changes and is
kept. Neither is ever shared between credentials. No server gets more than half of the threads, so one that hangs
does not keep runs from the others.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mlp.errors import AuthenticationFailed, MlpError, SourceUnavailable
from mlp.project import is_project_file
from mlp.source import Access, Git, Resolution, locate
from mlp.source.location import transport
from mlp_operator.machinery.cluster import SECRETS, ApiError, ClusterUnreachable
from mlp_operator.runs.outcome import Outcome, Refused, Unavailable, Working
from mlp_operator.runs.planning import Resolved, plan_run, refuse_unsupported
from mlp_operator.runs.sharing import Batches, Kept, Shares

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable

    from mlp.resources import ProjectRun
    from mlp.source import Location, Snapshot
    from mlp_operator.machinery.cache import Key
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.machinery.metrics import Metrics
    from mlp_operator.machinery.queue import WorkQueue
    from mlp_operator.settings import Settings

__all__ = ["Resolver", "forget_old_credentials"]

_KEPT: Final = 32 << 20
"""Bytes of all kept snapshots together. A large repository's paths take as much as hundreds of small ones."""
_LARGEST: Final = 64 << 20
"""Bytes of a pack that one look-up may bring: all look-ups share the pod's memory."""

_FIRST_RETRY: Final = 2.0
_LAST_RETRY: Final = 120.0

T = TypeVar("T")

_PREFIX: Final = "mlp-git-"
"""Of directories with credentials: ours, and those in which mlp.source calls Git."""

logger = logging.getLogger(__name__)


def forget_old_credentials() -> None:
    """Remove what an operator that was killed in the middle of a look-up has left in this pod.

    A pod's temporary directory outlives its containers. Only for a pod, where nobody else works in that directory.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


class Resolver:
    """Finds out what runs are to execute.

    Args:
        cluster: Where the Secrets with Git credentials are.
        queue: Gets a run's key when its outcome is there.
        settings: Limits, and what Git may do.
        metrics: Learns how long look-ups take.
    """

    def __init__(self, cluster: Cluster, queue: WorkQueue, settings: Settings, metrics: Metrics) -> None:
        self._cluster = cluster
        self._queue = queue
        self._settings = settings
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(settings.resolvers, thread_name_prefix="git")
        self._outcomes: dict[Key, tuple[str, Outcome]] = {}
        self._failures: dict[Key, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._refs: Batches[Resolution] = Batches()
        self._snapshots: Kept[Snapshot] = Kept(_KEPT, weigh=_size)
        self._shares = Shares(max(1, settings.resolvers // 2))

    def outcome(self, key: Key, uid: str) -> Outcome | None:
        """What is known about a run; None if nobody has asked."""
        known = self._outcomes.get(key)
        return known[1] if known is not None and known[0] == uid else None

    def start(self, key: Key, run: ProjectRun, now: datetime) -> None:
        """Begin a look-up, unless one for this run goes on."""
        if isinstance(self.outcome(key, run.metadata.uid), Working):
            return
        self._outcomes[key] = (run.metadata.uid, Working(now))
        task = asyncio.create_task(self._run(key, run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, key: Key) -> None:
        """A run needs no outcome any more. A look-up under way goes on: others may wait for the same answer."""
        self._outcomes.pop(key, None)
        self._failures.pop(key, None)

    async def close(self) -> None:
        """End all look-ups. Programs under way end with their own deadlines at the latest."""
        for task in list(self._tasks):
            task.cancel()
        shared = [*self._refs.cancel(), *self._snapshots.cancel()]
        await asyncio.gather(*self._tasks, *shared, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, key: Key, run: ProjectRun) -> None:
        started = time.perf_counter()
        outcome: Outcome
        try:
            outcome = await self._resolve(run)
        except AuthenticationFailed as error:
            outcome = self._failed(key, AuthenticationFailed(f"{error} {_advice(run)}"))
        except MlpError as error:
            outcome = self._failed(key, error)
        except (ApiError, ClusterUnreachable) as error:
            outcome = self._failed(key, SourceUnavailable(f"The credentials could not be read: {error}"))
        except Exception as error:
            logger.exception("%s/%s: the look-up failed unexpectedly", *key)
            outcome = self._failed(
                key,
                SourceUnavailable(
                    f"The look-up failed unexpectedly ({type(error).__name__}); the operator's log has more"
                ),
            )
        if self.outcome(key, run.metadata.uid) is not None:
            self._outcomes[key] = (run.metadata.uid, outcome)
        self._metrics.resolve_duration.labels(result=type(outcome).__name__).observe(time.perf_counter() - started)
        self._queue.add(key)

    def _failed(self, key: Key, error: MlpError) -> Outcome:
        if not error.temporary:
            return Refused(error.reason, str(error))
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(_LAST_RETRY, _FIRST_RETRY * 2 ** (failures - 1))
        return Unavailable(error.reason, str(error), datetime.now(UTC) + timedelta(seconds=delay))

    async def _resolve(self, run: ProjectRun) -> Resolved:
        refuse_unsupported(run)
        project = run.spec.project
        location = locate(project.uri or "", subdirectory=project.subdirectory, local=False)
        async with self._access(run) as (access, scope):
            git = Git(access, timeout=self._settings.resolve_timeout)
            found = await self._commit(run, git, location, scope)
            snapshot = await self._snapshots.get(
                (scope, location.uri, found.commit, location.subdirectory),
                lambda: self._ask(location, self._read, git, location, found),
            )
        # YAML of a quarter of a megabyte takes a second, in which nothing else would happen.
        return await asyncio.to_thread(
            plan_run,
            run,
            uri=location.uri,
            subdirectory=location.subdirectory,
            commit=found.commit,
            ref=found.ref,
            files=snapshot,
            protocols=self._settings.git_protocols,
            other_hosts=self._settings.git_other_hosts,
        )

    async def _commit(self, run: ProjectRun, git: Git, location: Location, scope: Hashable) -> Resolution:
        """The commit that the run is about: looked up once, and the same for all its attempts."""
        version, source = run.spec.project.version, run.status.source
        if source is not None and source.commit is not None:
            return Resolution(commit=source.commit, ref=None, version=version)
        return await self._refs.ask(
            (scope, location.uri, version), lambda: self._ask(location, git.resolve, location.uri, version)
        )

    @staticmethod
    def _read(git: Git, location: Location, found: Resolution) -> Snapshot:
        return git.read(
            location.uri, found.commit, ref=found.ref, subdirectory=location.subdirectory, wanted=is_project_file
        )

    @contextlib.asynccontextmanager
    async def _access(self, run: ProjectRun) -> AsyncIterator[tuple[Access, Hashable]]:
        """How Git may reach the server for this run, and the scope in which answers may be shared.

        The credentials lie in files that nobody else can read, for the time of the look-up.
        """
        rules: dict[str, Any] = {
            "protocols": self._settings.git_protocols,
            "allow_other_hosts": self._settings.git_other_hosts,
            "largest_file": _LARGEST if shutil.which("prlimit") else None,
        }
        reference = run.spec.project.auth_secret_ref
        if reference is None:
            yield Access.scrubbed(**rules), None
            return
        namespace = run.metadata.namespace
        try:
            secret = await self._cluster.get(SECRETS, namespace, reference.name)
        except ApiError as error:
            if not error.not_found:
                raise
            # GitOps tools may apply the Secret after the run, so this is worth waiting for.
            raise SourceUnavailable(
                f"spec.project.authSecretRef: there is no Secret {reference.name} in namespace {namespace}. Create it "
                "(type kubernetes.io/basic-auth or kubernetes.io/ssh-auth); the run goes on by itself."
            ) from None
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            _write_secret(secret, directory, reference.name)
            scope = (secret["metadata"]["uid"], secret["metadata"]["resourceVersion"])
            yield Access.scrubbed(credentials=directory, **rules), scope
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    async def _ask(self, location: Location, question: Callable[..., T], *args: object) -> T:
        async with self._shares.of(transport(location.uri)):
            return await asyncio.get_running_loop().run_in_executor(self._threads, question, *args)


def _advice(run: ProjectRun) -> str:
    reference = run.spec.project.auth_secret_ref
    if reference is None:
        return "Name a Secret with credentials in spec.project.authSecretRef of a new ProjectRun."
    return f"Check the Secret {reference.name} of spec.project.authSecretRef, then create a new ProjectRun."


def _size(snapshot: Snapshot) -> int:
    """Bytes in memory, more or less: Python adds some 50 to each text, and a set a few words."""
    return 1000 + sum(len(path) + 100 for path in snapshot.paths) + sum(map(len, snapshot.contents.values()))


def _write_secret(secret: dict[str, Any], directory: Path, name: str) -> None:
    for key, value in (secret.get("data") or {}).items():
        if "/" in key or key.startswith("."):
            continue
        try:
            content = base64.b64decode(value, validate=True)
        except binascii.Error:
            raise AuthenticationFailed(f"The key {key} of Secret {name} is not base64.") from None
        path = directory / key
        path.touch(mode=0o600)
        path.write_bytes(content)
