"""How this machine reaches its package index, as a pip.conf for a build.

A build runs with another file system: it sees neither the user's pip.conf nor the machine's authorities. The file made
here may hold credentials; builds mount it as a secret, no image has it.
"""

from __future__ import annotations

import configparser
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PASSED_ON: Final = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries", "default-timeout")
"""What is true inside a build too; local directories of wheels, for example, are not."""
INSIDE_CERTIFICATES: Final = "/run/secrets/ca.pem"


def files(home: Path) -> list[Path]:
    """pip's configuration files, the strongest last."""
    return [Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf"]


def settings(read: Sequence[Path] = (), environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """pip's settings on this machine, as pip itself finds them: files first, then variables; else uv's index."""
    named = environment.get("PIP_CONFIG_FILE")
    parser = configparser.RawConfigParser()
    parser.read([*read, named] if named else read)
    found = {
        name: value
        for place in ("global", "install")
        if parser.has_section(place)
        for name, value in parser[place].items()
    }
    prefix = "PIP_"
    found |= {
        name[len(prefix) :].lower().replace("_", "-"): value
        for name, value in environment.items()
        if name.startswith(prefix)
    }
    if index := environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL"):
        found.setdefault("index-url", index)
    return found


def certificates(found: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file of authorities that this machine trusts for its index, if it is not everyone's."""
    named = found.get("cert") or environment.get("SSL_CERT_FILE") or environment.get("REQUESTS_CA_BUNDLE")
    return Path(named) if named and Path(named).is_file() else None


def pip_conf(found: Mapping[str, str], *, certificates: Path | None) -> str:
    """The text of a pip.conf that does the same inside a build."""
    # A value of several lines goes on with indented ones.
    lines = [f"{name} = {found[name]}".replace("\n", "\n  ") for name in PASSED_ON if name in found]
    if certificates is not None:
        lines.append(f"cert = {INSIDE_CERTIFICATES}")
    return "\n".join(["[global]", *lines, ""])
