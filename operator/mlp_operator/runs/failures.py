"""How a pod failed, in which words people should hear it. Pure.

What our own containers report is theirs to word; for main it is the end of its log that kubelet keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlp.resources import names
from mlp.resources.conditions import Reason
from mlp_operator.runs.job import USER_ERROR_CODES
from mlp_operator.runs.pods import container_of, terminated
from mlp_operator.runs.reports import report_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Failure", "failure_of"]

Object = dict[str, Any]

_LONGEST_LOG: Final = 3500  # of a message's 4 KB; the rest says what happened
_SIGNALS: Final = {130: "SIGINT", 134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}


@dataclass(frozen=True, slots=True)
class Failure:
    """How a pod failed."""

    reason: str
    message: str
    exit_code: int | None = None
    repeats: bool = False
    """Another attempt would end the same way: a mistake of the user."""


def failure_of(pod: Object) -> Failure:
    """Why a failed pod failed."""
    status = pod["status"]
    match status.get("reason"):
        case "Evicted":
            return Failure(Reason.EVICTED, f"The node evicted the pod: {status.get('message') or 'no reason given'}")
        case "NodeLost" | "NodeShutdown" | "Terminated":
            return Failure(Reason.NODE_LOST, f"The node went away under the pod: {status.get('message') or ''}")
    # Main first: an injected sidecar is an init container too, and ends after main, with any code.
    ended = terminated(container_of(pod, names.MAIN_CONTAINER))
    if ended is not None:
        return _main_failure(ended)
    for container in status.get("initContainerStatuses") or ():
        ended = terminated(container)
        if ended is not None and ended["exitCode"] != 0:
            return _init_failure(container["name"], ended)
    return Failure(Reason.NODE_LOST, status.get("message") or "The pod failed before its containers were started.")


def _init_failure(name: str, ended: Mapping[str, Any]) -> Failure:
    code = ended["exitCode"]
    if ended.get("reason") == "OOMKilled":
        return Failure(Reason.OOM_KILLED, f"The container {name} ran out of memory while it prepared the run.")
    said = report_of(ended)
    reason = said.get("reason") or Reason.PREPARATION_FAILED
    text = said.get("message") or f"The container {name} ended with exit code {code}. {_tail(ended.get('message'))}"
    return Failure(reason, text.strip(), repeats=code in USER_ERROR_CODES)


def _main_failure(ended: Mapping[str, Any]) -> Failure:
    code = ended["exitCode"]
    log = _tail(ended.get("message"))
    lines = f"\nThe end of its log:\n{log}" if log else ""
    match ended.get("reason"):
        case "OOMKilled":
            text = (
                "The command needed more memory than its limit and was killed. Raise "
                f"spec.backend.kubernetes.resources.limits.memory in a new ProjectRun.{lines}"
            )
            return Failure(Reason.OOM_KILLED, text, code)
        case "StartError" | "ContainerCannotRun":
            text = f"The command could not be started in the image (it needs bash): {log or 'no reason given'}"
            return Failure(Reason.ENTRY_POINT_FAILED, text, code)
        case "ContainerStatusUnknown":
            return Failure(Reason.NODE_LOST, "The node lost the pod: nobody knows how the command ended.", code)
    signal = f" ({_SIGNALS[code]})" if code in _SIGNALS else ""
    return Failure(Reason.ENTRY_POINT_FAILED, f"The command ended with exit code {code}{signal}.{lines}", code)


def _tail(text: str | None) -> str:
    """The end of a text that a message has room for, from the beginning of a line where possible."""
    text = (text or "").rstrip()
    if len(text.encode()) <= _LONGEST_LOG:
        return text
    cut = text.encode()[-_LONGEST_LOG:].decode(errors="ignore")
    return cut.partition("\n")[2] or cut
