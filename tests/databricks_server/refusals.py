"""How the double says no: the status, the error code and the sentence that Databricks uses for it."""

from __future__ import annotations

import secrets

__all__ = [
    "RefusedError",
    "denied",
    "forbidden",
    "invalid",
    "missing",
    "unknown_run",
]


class RefusedError(Exception):
    """An answer that is an error of the REST API."""

    def __init__(self, status: int, code: str, message: str, *, headers: dict[str, str] | None = None):
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        super().__init__(f"{status} {code}: {message}")

    @property
    def body(self) -> dict[str, str]:
        return {"error_code": self.code, "message": self.message}


def invalid(message: str) -> RefusedError:
    return RefusedError(400, "INVALID_PARAMETER_VALUE", message)


def missing(message: str) -> RefusedError:
    return RefusedError(404, "RESOURCE_DOES_NOT_EXIST", message)


def forbidden(message: str) -> RefusedError:
    return RefusedError(403, "PERMISSION_DENIED", message)


def denied(message: str) -> RefusedError:
    return RefusedError(401, "UNAUTHENTICATED", f"{message} [ReqId: {secrets.token_hex(8)}]")


def unknown_run(run_id: int, status: int) -> RefusedError:
    """A run that never was, or whose history is over: 400 as the real API has it, or 404 as it may come to have it."""
    code = "INVALID_PARAMETER_VALUE" if status == 400 else "RESOURCE_DOES_NOT_EXIST"
    return RefusedError(status, code, f"Run {run_id} does not exist.")
