"""Taking credentials out of whatever we say: a message, a log line, what is recorded with a run.

URLs with a password or a token in them are refused (mlp.source.location), but they come back in the words of other
programs, or stand in a user's own configuration. Pure: text in, text out.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["redact", "without_user"]

# A user name of this form is an access token: many servers take `https://TOKEN@host/…`.
_TOKEN: Final = re.compile(r"(?:gh[a-z]_|github_pat_|glpat-|x-token-auth|x-oauth-basic).*|.{20,}")
_SECRET_IN_QUERY: Final = re.compile(
    r"(?P<key>[?&;](?:sig|[^=&\s]*(?:token|password|passwd|secret|api_?key|signature)[^=&\s]*)=)[^&\s#'\"]+",
    re.IGNORECASE,
)
_HTTP_USER: Final = re.compile(r"(?<=^http://)[^/@]*@|(?<=^https://)[^/@]*@", re.IGNORECASE)
_USER_INFO: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/\s'\"]+)@")
# A password with an unescaped slash: what follows the colon is then no port.
_BROKEN_USER_INFO: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/\s:@]+:(?!\d+(?:/|\s|$))[^\s'\"]*@")
_SCP_PASSWORD: Final = re.compile(r"(?<![\w/])[^\s:@/'\"]+:[^\s@/'\"]+@(?=[\w\[][\w.\-:\[\]]*:)")


def without_user(uri: str) -> str:
    """An address without credentials: over HTTP what stands before the host means something to one user only."""
    return redact(_HTTP_USER.sub("", uri))


def redact(text: str) -> str:
    """Replace credentials in whatever URLs a text has in it by three asterisks."""

    def user_info(match: re.Match[str]) -> str:
        user, http = match["user"], match["scheme"].lower().startswith("http")
        harmless = ":" not in user and not (http and _TOKEN.fullmatch(user))
        return match[0] if harmless else f"{match['scheme']}***@"

    text = _BROKEN_USER_INFO.sub(r"\g<scheme>***@", text)
    text = _USER_INFO.sub(user_info, text)
    text = _SECRET_IN_QUERY.sub(r"\g<key>***", text)
    return _SCP_PASSWORD.sub("***@", text)
