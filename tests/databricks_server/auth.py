"""Who asks: personal access tokens, a service principal's secret, and tokens of others that Databricks trusts."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
import requests

from tests.databricks_server.refusals import denied, forbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.databricks_server.store import Store

__all__ = ["Auth", "FederationPolicy", "TokenRefusedError"]

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"


@dataclass(frozen=True)
class FederationPolicy:
    """Whose tokens are taken, and for whom.

    Attributes:
        issuer: The issuer, as the token says it.
        audiences: One of them must be the token's.
        subject: The token's subject; None for any (a policy of the whole account).
        keys: The issuer's key set: as it is, as its URL, or as what gives it.
        client_id: The application id of the service principal whose policy this is; None for a policy of the whole
            account: the token's subject names the identity then.
    """

    issuer: str
    audiences: tuple[str, ...]
    keys: Mapping[str, Any] | str | Callable[[], Mapping[str, Any]]
    subject: str | None = None
    client_id: str | None = None

    def key_set(self) -> Mapping[str, Any]:
        if callable(self.keys):
            return self.keys()
        if isinstance(self.keys, str):
            with requests.Session() as session:
                session.trust_env = False
                answer = session.get(self.keys, timeout=30)
                answer.raise_for_status()
                found: Mapping[str, Any] = answer.json()
            return found
        return self.keys


class TokenRefusedError(Exception):
    """An error of the token endpoint, which has a form of its own."""

    def __init__(self, status: int, error: str, description: str):
        self.status = status
        self.body = {"error": error, "error_description": description}
        super().__init__(description)


class Auth:
    """The accounts.

    Args:
        store: Keeps the tokens that were issued, by their digests.
        tokens: User names by personal access token.
        principals: Secrets by application id.
        policies: Whose tokens are exchanged.
        lifetime: Seconds for which an issued token is good.
    """

    def __init__(
        self,
        store: Store,
        *,
        tokens: Mapping[str, str],
        principals: Mapping[str, str],
        policies: tuple[FederationPolicy, ...],
        lifetime: float,
    ):
        self.tokens = dict(tokens)
        self.principals = dict(principals)
        self.policies = list(policies)
        self.lifetime = lifetime
        self.issued: list[dict[str, Any]] = []
        """What was issued to whom, without the tokens."""
        self._store = store
        self._lock = threading.Lock()

    def identity(self, authorization: str | None) -> str:
        """Who sends a request."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise denied("Credential was not sent or was of an unsupported type for this API.")
        if token in self.tokens:
            return self.tokens[token]
        known = self._store.fact("issued", _digest(token))
        if known is None:
            raise forbidden("Invalid access token.")
        if known["until"] < time.time():
            raise denied("Token is expired.")
        return str(known["identity"])

    def revoke_issued(self) -> None:
        """Let all tokens be invalid that were issued until now."""
        for name in self._store.facts("issued"):
            self._store.drop_fact("issued", name)

    def token(self, form: Mapping[str, str], authorization: str | None) -> dict[str, Any]:
        """What the token endpoint answers."""
        grant = form.get("grant_type")
        if grant == "client_credentials":
            identity = self._client(form, authorization)
        elif grant == EXCHANGE:
            identity = self._exchanged(form)
        else:
            raise TokenRefusedError(400, "unsupported_grant_type", f"Grant type {grant} is not supported")
        token = f"{secrets.token_urlsafe(24)}.{secrets.token_urlsafe(24)}"
        self._store.put_fact("issued", _digest(token), {"identity": identity, "until": time.time() + self.lifetime})
        with self._lock:
            self.issued.append({"identity": identity, "grant": grant, "at": time.time()})
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": int(self.lifetime), "scope": "all-apis"}
        if grant == EXCHANGE:
            answer["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
        return answer

    def _client(self, form: Mapping[str, str], authorization: str | None) -> str:
        scheme, _, encoded = (authorization or "").partition(" ")
        if scheme.lower() != "basic":
            raise TokenRefusedError(401, "invalid_client", "Client authentication failed")
        try:
            client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, ValueError) as error:
            raise TokenRefusedError(401, "invalid_client", "Client authentication failed") from error
        if form.get("scope") != "all-apis":
            raise TokenRefusedError(400, "invalid_scope", f"Scope {form.get('scope')} is not supported")
        if client_id not in self.principals or self.principals[client_id] != secret:
            raise TokenRefusedError(401, "invalid_client", "Client authentication failed")
        return client_id

    def _exchanged(self, form: Mapping[str, str]) -> str:
        if form.get("subject_token_type") != JWT_TYPE:
            raise TokenRefusedError(400, "invalid_request", "subject_token_type must be that of a JWT")
        if form.get("scope") != "all-apis":
            raise TokenRefusedError(400, "invalid_scope", f"Scope {form.get('scope')} is not supported")
        wrong = "no federation policy is for this client"
        for policy in self.policies:
            if policy.client_id != form.get("client_id"):
                continue
            try:
                claims = _verified(form.get("subject_token", ""), policy)
            except Exception as error:  # noqa: BLE001 -- PyJWT's errors and the key set's, all of them the token's fault
                wrong = f"the token fits no policy: {error}"
                continue
            if policy.subject in {None, claims.get("sub")}:
                return policy.client_id or str(claims["sub"])
            wrong = f"the policy is not for the subject {claims.get('sub')}"
        raise TokenRefusedError(400, "invalid_request", f"Token exchange failed: {wrong}")


def _verified(token: str, policy: FederationPolicy) -> dict[str, Any]:
    wanted = jwt.get_unverified_header(token).get("kid")
    for key in policy.key_set()["keys"]:
        if key.get("kid") == wanted:
            claims: dict[str, Any] = jwt.decode(
                token,
                jwt.PyJWK(key).key,
                algorithms=[key.get("alg", "RS256")],
                audience=list(policy.audiences),
                issuer=policy.issuer,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            return claims
    raise ValueError(f"the issuer has no key {wanted}")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
