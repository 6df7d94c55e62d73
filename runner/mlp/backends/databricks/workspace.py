"""The one adapter to a Databricks workspace: what may be asked of it, each question bounded, paced and repeatable.

JSON objects go in and come out as they are: the SDK's classes would drop what they do not know. Whatever is asked here
may be asked again without harm, a submission because of its idempotency token, so a lost answer is asked for once
more. Knows nothing of projects and of what a run's state means.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from mlp.backends.databricks.authorizing import Authorizer
from mlp.backends.databricks.files import Files
from mlp.backends.databricks.pacing import Kind, pace_of
from mlp.backends.databricks.transport import ORDINARY, Transport
from mlp.errors import WorkspaceUnavailable
from mlp.tracking.connection import Limits
from mlp.tracking.retrying import Patience, persist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from mlp.backends.databricks.access import Access
    from mlp.backends.databricks.replies import Reply
    from mlp.errors import WorkspaceError

    _Result = TypeVar("_Result")

__all__ = ["LIMITS", "PAGE", "Limits", "Workspace", "connect"]

LIMITS: Final = Limits(timeout=30.0, patience=Patience(attempts=8, seconds=60.0), largest=64 << 20)
"""An answer of get-output holds up to 5 MB of text, of which JSON may make six times as much."""
PAGE: Final = 24
"""Runs that one request for active runs lists; the API takes up to 25."""
_JOBS: Final = "/api/2.2/jobs/runs/"


def connect(
    access: Access, *, limits: Limits | None = None, counted: Callable[[Kind, int], None] | None = None
) -> Workspace:
    """Open a workspace. Sends nothing yet.

    Args:
        access: The workspace, and the way in.
        limits: How long to wait, how often to ask again, and for how much.
        counted: Told of each request: its kind, and HTTP's status, or 0 where no answer came.
    """
    return Workspace(access, limits or LIMITS, counted)


class Workspace:
    """A Databricks workspace. Safe for use by many threads.

    Every method may raise WorkspaceDenied (credentials are wanted, or not enough), WorkspaceRefused (the request is
    wrong), WorkspaceNotFound (there is no such thing), WorkspaceUnavailable (later is right) and WorkspaceError.
    """

    def __init__(self, access: Access, limits: Limits, counted: Callable[[Kind, int], None] | None = None) -> None:
        self._host = access.host
        self._limits = limits
        self._counted = counted
        self._transport = Transport(
            access.host, shown=access.shown, tls=access.tls, timeout=limits.timeout, largest=limits.largest
        )
        self._authorizer = Authorizer(access, self._transport)
        self._pace = pace_of(access.host)
        self._files = Files(self)
        self._lock = threading.Lock()
        self._user_name: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def host(self) -> str:
        """Its URL."""
        return self._host

    def user_name(self) -> str:
        """Who we are: a user's e-mail address, or a service principal's application id. Asked once."""
        if self._user_name is None:
            answer = self._object(Kind.OTHER, "GET", "/api/2.0/preview/scim/v2/Me")
            name = answer.get("userName")
            if not isinstance(name, str) or not name:
                raise self._transport.meaning.misunderstanding("/api/2.0/preview/scim/v2/Me", "no userName")
            self._user_name = name
        return self._user_name

    def submit(self, body: Mapping[str, Any]) -> int:
        """Start a run, or find the one that has its token, which may have ended meanwhile.

        Args:
            body: What runs/submit takes, with an idempotency_token.

        Returns:
            The run's id.

        Raises:
            ValueError: There is no token: sent twice, it would be two runs.
            WorkspaceUnavailable: There may be a run all the same. The same body will find it.
        """
        if not body.get("idempotency_token"):
            raise ValueError("a run without an idempotency_token could be submitted twice")
        answer = self._object(Kind.SUBMIT, "POST", f"{_JOBS}submit", body=body)
        run_id = answer.get("run_id")
        if not isinstance(run_id, int) or isinstance(run_id, bool):
            raise self._transport.meaning.misunderstanding(f"{_JOBS}submit", "no run_id")
        return run_id

    def run(self, run_id: int, *, patience: Patience | None = None) -> dict[str, Any]:
        """What is known of a run.

        Args:
            run_id: Its id.
            patience: How often to ask; None for what the limits say.

        Raises:
            WorkspaceNotFound: There is none, or its history is over.
        """
        return self._object(Kind.GET, "GET", f"{_JOBS}get", query={"run_id": run_id}, patience=patience)

    def active_runs(self) -> Iterator[dict[str, Any]]:
        """The submitted runs that have not ended: those of everybody whom we may see."""
        for page in self.active_pages():
            yield from page

    def active_pages(self, *, patience: Patience | None = None) -> Iterator[list[dict[str, Any]]]:
        """The same in pages of `PAGE` runs, each of which is asked for when it is wanted.

        Args:
            patience: How often to ask for each; None for what the limits say.
        """
        query: dict[str, str | int] = {
            "active_only": "true",
            "run_type": "SUBMIT_RUN",
            "limit": PAGE,
            "expand_tasks": "true",
        }
        seen: set[str] = set()
        while True:
            answer = self._object(Kind.LIST, "GET", f"{_JOBS}list", query=query, patience=patience)
            runs = answer.get("runs")
            yield [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []
            token = answer.get("next_page_token")
            if not isinstance(token, str) or not token or token in seen:
                return
            seen.add(token)
            query["page_token"] = token

    def cancel(self, run_id: int) -> None:
        """Ask that a run ends. It has when its state says so. No error if it has ended already.

        Raises:
            WorkspaceNotFound: There is no such run.
        """
        path = f"{_JOBS}cancel"
        reply = self.ask(Kind.CANCEL, "POST", path, body={"run_id": run_id})
        if reply.is_fine or reply.code == "INVALID_STATE":
            return
        raise self.failure(reply, path)

    def output(self, task_run_id: int) -> dict[str, Any]:
        """What a task has left behind, of which `output` makes sense.

        Args:
            task_run_id: The id of the task's own run; that of the whole run is not taken.
        """
        return self._object(Kind.OUTPUT, "GET", f"{_JOBS}get-output", query={"run_id": task_run_id})

    def exists(self, path: str, *, size: int | None = None) -> bool:
        """Whether there is such a file.

        Args:
            path: /Volumes/…, /Workspace/… or dbfs:/….
            size: Its bytes; a file that has other than these, as the workspace says, is not the one.
        """
        return self._files.exists(path, size=size)

    def put(self, path: str, content: bytes) -> None:
        """Write a file, and the directories above it; replace what is there.

        Args:
            path: /Volumes/…, /Workspace/… or dbfs:/….
            content: All of it.
        """
        self._files.put(path, content)

    def git_credentials(self) -> list[dict[str, Any]]:
        """The Git credentials that we have in the workspace: who serves them, never their secrets."""
        found = self._object(Kind.OTHER, "GET", "/api/2.0/git-credentials").get("credentials")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def close(self) -> None:
        """Close idle connections. It can be used again."""
        self._transport.close()

    def abort(self) -> None:
        """End what is under way in other threads; nothing can be asked then."""
        self._transport.abort()

    def persist(self, call: Callable[[], _Result], patience: Patience | None = None) -> _Result:
        """Call until it works, or patience is over."""
        return persist(
            call, patience or self._limits.patience, failure=WorkspaceUnavailable, sleep=self._transport.wait
        )

    def failure(self, reply: Reply, path: str) -> WorkspaceError:
        """What an answer means that is not fine."""
        return self._transport.meaning.failure(reply, path, self._authorizer.secrets)

    def ask(
        self,
        kind: Kind,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        content_type: str = "application/json",
        patience: Patience | None = None,
    ) -> Reply:
        """Ask until there is an answer, whatever it is, that another attempt would not better.

        Args:
            kind: Whose pace counts.
            method: HTTP's.
            path: Behind the host.
            query: Behind the path.
            body: To be sent as JSON.
            content: To be sent as it is.
            content_type: What that is.
            patience: How often to ask; None for what the limits say.
        """
        if body is not None:
            content = json.dumps(body, ensure_ascii=False).encode(errors="replace")
        headers = {} if content is None else {"Content-Type": content_type}
        patience = patience or self._limits.patience
        until = time.monotonic() + patience.seconds

        def attempt() -> Reply:
            reply = self._once(kind, method, path, query, content, headers, until)
            meant = None if reply.is_fine else self.failure(reply, path)
            if isinstance(meant, WorkspaceUnavailable):
                if meant.after:
                    self._pace.hold(kind, meant.after)
                raise meant
            return reply

        return self.persist(attempt, patience)

    def _once(
        self,
        kind: Kind,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        content: bytes | None,
        headers: Mapping[str, str],
        until: float,
    ) -> Reply:
        self._transport.wait(self._pace.turn(kind, max(0.0, until - time.monotonic())))
        credentials = self._authorizer.headers()
        reply = self._send(kind, method, path, query, content, {**headers, **credentials})
        # A token that has lost its validity before its time; workspaces say that in either way.
        is_over = reply.status == 401 or (reply.status == 403 and "token" in reply.message.lower())  # noqa: PLR2004
        if not (is_over and self._authorizer.renew(credentials)):
            return reply
        return self._send(kind, method, path, query, content, {**headers, **self._authorizer.headers()})

    def _send(
        self,
        kind: Kind,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        content: bytes | None,
        headers: Mapping[str, str],
    ) -> Reply:
        status = 0
        largest = self._limits.largest if kind is Kind.OUTPUT else ORDINARY
        try:
            reply = self._transport.send(
                method,
                path,
                query=query,
                content=content,
                headers=headers,
                secrets=self._authorizer.secrets,
                largest=largest,
            )
            status = reply.status
            return reply
        finally:
            if self._counted is not None:
                self._counted(kind, status)

    def _object(self, kind: Kind, method: str, path: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401 -- ask's own
        reply = self.ask(kind, method, path, **options)
        if not reply.is_fine:
            raise self.failure(reply, path)
        found = reply.content
        if found is None:
            raise self._transport.meaning.misunderstanding(path, reply.headers.get("content-type", "something untyped"))
        return found
