"""Which call of the REST API a request is, who may make it, and whether its answer is one that a client can read."""

from __future__ import annotations

import hmac
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

from databricks.sdk.service import files, iam, jobs, workspace

from tests.databricks_server.answers import WORKSPACE_ID
from tests.databricks_server.checking import check_answer
from tests.databricks_server.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.databricks_server.auth import Auth
    from tests.databricks_server.faults import Faults
    from tests.databricks_server.files import Answer, Files
    from tests.databricks_server.jobs import Jobs
    from tests.databricks_server.journal import Journal
    from tests.databricks_server.serving import Asked

__all__ = ["Routes"]

ACCOUNT_ID = "00000000-0000-4000-8000-000000000001"


class Routes:
    """The table of the API."""

    def __init__(
        self,
        *,
        auth: Auth,
        jobs: Jobs,
        files: Files,
        faults: Faults,
        journal: Journal,
        mistakes: list[str],
        git_credentials: dict[str, list[dict[str, Any]]],
        control_token: str,
        controls: Callable[[str, dict[str, Any]], Any],
        metadata: bool,
    ):
        self.faults = faults
        self.journal = journal
        self.mistakes = mistakes
        self._auth = auth
        self._jobs = jobs
        self._files = files
        self._git_credentials = git_credentials
        self._control_token = control_token
        self._controls = controls
        self._metadata = metadata

    def answer(self, asked: Asked) -> dict[str, Any] | Answer:
        """What a request is answered with, unless it raises a RefusedError."""
        open_to_all = self._open(asked)
        if open_to_all is not None:
            return open_to_all
        asked.identity = self._auth.identity(asked.headers.get("Authorization"))
        if match := re.fullmatch(r"/api/2\.[012]/jobs/runs/([a-z-]+)", asked.path):
            return self._runs(match[1], asked)
        if match := re.fullmatch(r"/api/2\.0/workspace/([a-z-]+)", asked.path):
            return self._workspace(match[1], asked, asked.identity)
        if match := re.fullmatch(r"/api/2\.0/dbfs/([a-z-]+)", asked.path):
            return self._dbfs(match[1], asked)
        if match := re.fullmatch(r"/api/2\.0/fs/(files|directories)(/.*)", asked.path):
            return self._fs(match[1], match[2], asked)
        if (asked.method, asked.path) == ("GET", "/api/2.0/preview/scim/v2/Me"):
            return self._me(asked.identity)
        if (asked.method, asked.path) == ("GET", "/api/2.0/git-credentials"):
            return self._credentials(asked.identity)
        raise _no_such(asked)

    def _open(self, asked: Asked) -> dict[str, Any] | None:
        """What is told without a credential."""
        if asked.method == "GET" and asked.path == "/.well-known/databricks-config":
            if not self._metadata:
                raise _no_such(asked)
            return {"oidc_endpoint": f"{asked.base}/oidc", "account_id": ACCOUNT_ID, "workspace_id": WORKSPACE_ID}
        if asked.method == "GET" and asked.path == "/oidc/.well-known/oauth-authorization-server":
            return {
                "issuer": f"{asked.base}/oidc",
                "authorization_endpoint": f"{asked.base}/oidc/v1/authorize",
                "token_endpoint": f"{asked.base}/oidc/v1/token",
            }
        if asked.method == "POST" and asked.path == "/oidc/v1/token":
            return self._auth.token(asked.form, asked.headers.get("Authorization"))
        return None

    def _runs(self, call: str, asked: Asked) -> dict[str, Any]:
        identity = asked.identity or ""
        match (asked.method, call):
            case ("POST", "submit"):
                return self._checked(jobs.SubmitRunResponse, self._jobs.submit(asked.json, identity))
            case ("POST", "cancel"):
                return self._jobs.cancel(asked.json, identity)
            case ("POST", "delete"):
                return self._jobs.delete(asked.json)
            case ("GET", "get"):
                cls, answer = jobs.Run, self._jobs.get(asked.query, asked.base)
            case ("GET", "list"):
                cls, answer = jobs.ListRunsResponse, self._jobs.list(asked.query, asked.base)
            case ("GET", "get-output"):
                cls, answer = jobs.RunOutput, self._jobs.output(asked.query, asked.base)
            case _:
                raise _no_such(asked)
        if self._jobs.shows_unknown_words(asked.query):
            return answer
        return self._checked(cls, answer)

    def _workspace(self, call: str, asked: Asked, identity: str) -> dict[str, Any] | Answer:
        match (asked.method, call):
            case ("POST", "mkdirs"):
                return self._files.mkdirs(asked.json, identity)
            case ("POST", "import"):
                if not asked.is_multipart:
                    return self._files.import_(asked.json, None, identity)
                fields, given = asked.parts()
                return self._files.import_(fields, given.get("content", b""), identity)
            case ("POST", "delete"):
                return self._files.workspace_delete(asked.json, identity)
            case ("GET", "get-status"):
                return self._checked(workspace.ObjectInfo, self._files.workspace_status(asked.query, identity))
            case ("GET", "list"):
                return self._checked(workspace.ListResponse, self._files.workspace_list(asked.query, identity))
            case ("GET", "export"):
                return self._files.workspace_export(asked.query, identity)
        raise _no_such(asked)

    def _dbfs(self, call: str, asked: Asked) -> dict[str, Any]:
        if asked.method == "POST" and call in {"put", "create", "add-block", "close", "mkdirs", "delete"}:
            if call == "put" and asked.is_multipart:
                fields, given = asked.parts()
                content = given.get("contents", given.get("file", b""))
                return self._files.dbfs_put_file(
                    fields["path"], content, overwrite=fields.get("overwrite", "").lower() == "true"
                )
            answer = self._files.dbfs_call(call, asked.json)
            return self._checked(files.CreateResponse, answer) if call == "create" else answer
        if asked.method == "GET" and call in {"get-status", "list", "read"}:
            cls = {"get-status": files.FileInfo, "list": files.ListStatusResponse, "read": files.ReadResponse}[call]
            return self._checked(cls, self._files.dbfs_get(call, asked.query))
        raise _no_such(asked)

    def _fs(self, what: str, path: str, asked: Asked) -> dict[str, Any] | Answer:
        if asked.method not in {"GET", "HEAD", "PUT", "DELETE"}:
            raise _no_such(asked)
        if what == "files":
            return self._files.volume_file(asked.method, path, asked.query, asked.raw)
        return self._files.volume_directory(asked.method, path)

    def _me(self, identity: str) -> dict[str, Any]:
        me = {"active": True, "displayName": identity, "id": str(zlib.crc32(identity.encode())), "userName": identity}
        return self._checked(iam.User, me)

    def _credentials(self, identity: str) -> dict[str, Any]:
        told = [
            {name: value for name, value in each.items() if name != "password"}
            for each in self._git_credentials.get(identity, ())
        ]
        return self._checked(workspace.ListCredentialsResponse, {"credentials": told} if told else {})

    def _checked(self, cls: Any, answer: dict[str, Any]) -> dict[str, Any]:
        lost = check_answer(cls, answer)
        if lost is not None:
            raise AssertionError(lost)
        return answer

    def control(self, asked: Asked) -> tuple[int, bytes, dict[str, str]]:
        """A test's own call to a double in another process; no part of Databricks."""
        kind = {"Content-Type": "application/json"}
        if not hmac.compare_digest(asked.headers.get("X-Double-Token") or "", self._control_token):
            return 403, b'{"message": "not for you"}', kind
        try:
            done = self._controls(asked.path.removeprefix("/double/"), asked.json)
        except Exception as error:  # noqa: BLE001 -- told to the test that asked
            return 400, json.dumps({"message": f"{type(error).__name__}: {error}"}).encode(), kind
        return 200, json.dumps({"result": done}).encode(), kind


def _no_such(asked: Asked) -> RefusedError:
    return RefusedError(404, "ENDPOINT_NOT_FOUND", f"No API found for '{asked.method} {asked.path}'.")
