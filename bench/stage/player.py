"""Kubelet's part: each new pod's init container runs, then main, then both have succeeded, after set times.

The statuses are those that kubelet writes for such a pod, the termination message of our own init container included.
Pods are not bound to a node: there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from bench.stage.api import PODS
from bench.stage.observer import JOB_NAME_LABEL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.stage.api import Api, Object
    from bench.stage.observer import Observer

__all__ = ["PLAYED", "Player"]

STARTING: Final = 0.1
PREPARING: Final = 0.3
RUNNING: Final = 0.5
PLAYED: Final = STARTING + PREPARING + RUNNING
"""Seconds that a pod takes here."""


class Player:
    """Plays every pod that the observer sees."""

    def __init__(self, api: Api, observer: Observer) -> None:
        self._api = api
        self._observer = observer
        self._playing: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def playing(cls, api: Api, observer: Observer) -> AsyncIterator[Player]:
        """Play all pods that appear within the block."""
        player = cls(api, observer)
        observer.on_new_pod = player.start
        try:
            yield player
        finally:
            for task in player._playing:
                task.cancel()
            await asyncio.gather(*player._playing, return_exceptions=True)

    def start(self, pod: Object) -> None:
        """Begin with a pod."""
        task = asyncio.create_task(self._play(pod))
        self._playing.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._playing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "a pod was not played", "exception": error})

    async def _play(self, pod: Object) -> None:
        path = f"{PODS}/{pod['metadata']['name']}/status"
        spec = pod["spec"]
        await asyncio.sleep(STARTING)
        began = _now()
        waiting = {"waiting": {"reason": "PodInitializing"}}
        running = _status(spec, "Pending", began, init={"running": {"startedAt": began}}, main=waiting)
        await self._api.patch(path, {"status": running})
        await asyncio.sleep(PREPARING)
        prepared = _now()
        done = {"terminated": _ended_at(began, prepared, _report(began, prepared))}
        running = _status(spec, "Running", began, init=done, main={"running": {"startedAt": prepared}})
        await self._api.patch(path, {"status": running})
        await asyncio.sleep(RUNNING)
        main = {"terminated": _ended_at(prepared, _now())}
        await self._api.patch(path, {"status": _status(spec, "Succeeded", began, init=done, main=main)})
        self._observer.of(pod["metadata"]["labels"][JOB_NAME_LABEL]).note("finished", time.monotonic())


def _status(spec: Object, phase: str, began: str, *, init: Object, main: Object) -> Object:
    ready = phase == "Running"
    conditions = {"PodScheduled": True, "Initialized": phase != "Pending", "ContainersReady": ready, "Ready": ready}
    return {
        "phase": phase,
        "startTime": began,
        "conditions": [
            {"type": kind, "status": str(value), "lastTransitionTime": began} for kind, value in conditions.items()
        ],
        "initContainerStatuses": [_container(each, init, ready=phase != "Pending") for each in spec["initContainers"]],
        "containerStatuses": [_container(each, main, ready=ready) for each in spec["containers"]],
    }


def _container(container: Object, state: Object, *, ready: bool) -> Object:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": f"sha256:{'0' * 64}",
        "containerID": f"containerd://{'0' * 64}",
        "restartCount": 0,
        "ready": ready,
        "started": "running" in state,
        "state": state,
    }


def _ended_at(began: str, ended: str, message: str = "") -> Object:
    state: dict[str, Any] = {"exitCode": 0, "reason": "Completed", "startedAt": began, "finishedAt": ended}
    return {**state, "containerID": f"containerd://{'0' * 64}", **({"message": message} if message else {})}


def _report(began: str, ended: str) -> str:
    steps = [{"name": "clone", "startTime": began, "completionTime": ended}]
    return json.dumps({"reason": "Succeeded", "message": "", "steps": steps})


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
