"""The headers that say who asks: made from what `access` knows, with tokens that are fetched and renewed as needed.

A service principal's secret, or an identity's token, is exchanged at the workspace's own token endpoint, over the same
bounded transport as everything else: databricks-sdk would do it without a time limit, with whatever variables this
process has, and for 80 MB of memory. Tokens stay in memory.
"""

from __future__ import annotations

import base64
import threading
import time
from typing import TYPE_CHECKING, Final, assert_never
from urllib.parse import urlencode

from mlp.backends.databricks.access import Ambient, OAuthM2M, Token, WorkloadIdentity
from mlp.errors import MlpError, WorkspaceDenied, WorkspaceError, WorkspaceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.backends.databricks.access import Access
    from mlp.backends.databricks.replies import Reply
    from mlp.backends.databricks.transport import Transport

__all__ = ["Authorizer"]

_ENDPOINT: Final = "/oidc/v1/token"
_SCOPE: Final = "all-apis"
_MARGIN: Final = 300.0
"""Seconds before its end at which a token is renewed; half of its life if that is less."""
_USUAL_LIFE: Final = 3600.0


class Authorizer:
    """Who asks one workspace. Safe for use by many threads."""

    def __init__(self, access: Access, transport: Transport) -> None:
        self._method = access.method
        self._shown = access.shown
        self._transport = transport
        self._lock = threading.Lock()
        self._token = ""
        self._renewed_at = 0.0
        self._ends_at = 0.0
        self._attempts = 0
        self._failure: WorkspaceError | None = None
        self._seen: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not appear in anything we say."""
        match self._method:
            case Token(token):
                return (token,)
            case OAuthM2M(client_id, client_secret):
                return (client_secret, _basic(client_id, client_secret), *self._seen)
            case Ambient(_, secrets):
                return (*secrets, *self._seen)
            case WorkloadIdentity():
                return self._seen

    def headers(self) -> Mapping[str, str]:
        """The headers for a request, as of now.

        Raises:
            WorkspaceDenied: Nobody gives us a token for our credentials.
            WorkspaceUnavailable: Whoever gives them does not answer for now.
        """
        match self._method:
            case Token(token):
                return {"Authorization": f"Bearer {token}"}
            case Ambient(headers):
                given = headers()
                self._seen = tuple(given.get("Authorization", "").split()[1:])
                return given
            case OAuthM2M() | WorkloadIdentity():
                return {"Authorization": f"Bearer {self._current()}"}
            case never:
                assert_never(never)

    def renew(self, headers: Mapping[str, str]) -> bool:
        """The workspace does not take these headers (any more).

        Returns:
            Whether others may be better.
        """
        if not isinstance(self._method, OAuthM2M | WorkloadIdentity):
            return False
        with self._lock:
            if headers.get("Authorization") == f"Bearer {self._token}":
                self._token = ""
        return True

    def _current(self) -> str:
        attempts = self._attempts
        with self._lock:
            if self._token and time.monotonic() < self._renewed_at:
                return self._token
            if self._attempts != attempts and self._failure is not None:
                # Who has waited for somebody else's attempt need not make the same one: many would take for ever.
                raise type(self._failure)(str(self._failure))
            try:
                token, life = self._fetch()
            except WorkspaceError as error:
                self._failure = error
                if self._token and time.monotonic() < self._ends_at and isinstance(error, WorkspaceUnavailable):
                    return self._token  # it is good for some minutes yet
                raise
            else:
                self._failure = None
                now = time.monotonic()
                self._token, self._ends_at = token, now + life
                self._renewed_at = self._ends_at - min(_MARGIN, life / 2)
                return token
            finally:
                self._attempts += 1

    def _fetch(self) -> tuple[str, float]:
        headers, form, secrets = self._request()
        reply = self._transport.send(
            "POST",
            _ENDPOINT,
            content=urlencode(form).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded", **headers},
            secrets=secrets,
        )
        if not reply.is_fine:
            raise self._refusal(reply, secrets)
        return self._understood(reply)

    def _request(self) -> tuple[dict[str, str], dict[str, str], tuple[str, ...]]:
        """What a token is asked for with: headers, a form, and what is secret of them."""
        match self._method:
            case OAuthM2M(client_id, client_secret):
                headers = {"Authorization": f"Basic {_basic(client_id, client_secret)}"}
                return headers, {"grant_type": "client_credentials", "scope": _SCOPE}, self.secrets
            case WorkloadIdentity(client_id) as method:
                identity = self._identity(method)
                form = {
                    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                    "subject_token": identity,
                    "scope": _SCOPE,
                }
                return {}, form | ({} if client_id is None else {"client_id": client_id}), (identity, *self.secrets)
            case _:
                raise AssertionError(self._method)  # pragma: no cover -- the others need no token

    def _identity(self, method: WorkloadIdentity) -> str:
        try:
            return method.id_token()
        except WorkspaceError:
            raise
        except MlpError as error:
            kind = WorkspaceUnavailable if error.temporary else WorkspaceDenied
            raise kind(f"There is no identity token for {self._shown}: {error}") from None

    def _understood(self, reply: Reply) -> tuple[str, float]:
        answer = reply.content or {}
        token, life = answer.get("access_token"), answer.get("expires_in", _USUAL_LIFE)
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise self._transport.meaning.misunderstanding(_ENDPOINT, "no access token")
        self._seen = (token, *self._seen[:1])
        if isinstance(life, bool) or not isinstance(life, int | float) or not 0 < life < float("inf"):
            life = _USUAL_LIFE
        return token, float(life)

    def _refusal(self, reply: Reply, secrets: tuple[str, ...]) -> WorkspaceError:
        meant = self._transport.meaning.failure(reply, _ENDPOINT, secrets)
        # RFC 6749: what is wrong with the credentials is 400 or 401, and an "error" of a few known words.
        if (reply.content or {}).get("error") is None or isinstance(meant, WorkspaceUnavailable):
            return meant
        said = self._transport.meaning.said(reply, secrets)
        if isinstance(self._method, WorkloadIdentity):
            whom = self._method.client_id or "the account"
            return WorkspaceDenied(
                f"{self._shown} takes no identity token for {whom}: {said} Check the federation policy: its issuer, "
                f"its subject, and its audience, which should be {self._method.audience}."
            )
        return WorkspaceDenied(
            f"{self._shown} gives no token to the service principal: {said} Check its client id and its OAuth secret."
        )


def _basic(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()
