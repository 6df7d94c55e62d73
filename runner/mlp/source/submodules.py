"""A repository's submodules: brought shallow, from hosts that are allowed.

Git itself would follow a submodule to any host that the project's author wrote down. Each level is therefore registered
first, the addresses are looked at as Git understood them (a relative one can climb out of its host), and only then
does anything connect. Credentials go to the project's own host alone, whatever a submodule says.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from mlp.errors import SourceInvalid
from mlp.source.bringing import clear
from mlp.source.diagnosis import refused_object
from mlp.source.location import host_name, transport
from mlp.source.redaction import redact, without_user

if TYPE_CHECKING:
    from mlp.source.session import Session

__all__ = ["bring_submodules"]

_GITLINK: Final = "160000"
_DEEPEST: Final = 16


def bring_submodules(session: Session, work_tree: Path, *, subdirectory: str = "", depth: int = 0) -> None:
    """Bring the submodules that lie in a checked out commit, and theirs.

    Args:
        session: How to call Git.
        work_tree: Where the commit is checked out.
        subdirectory: Only those inside this directory, beside it on the way down, or around it.
        depth: How many repositories this one is nested in.

    Raises:
        SourceInvalid: One comes from a host or by a transport that is not allowed.
        SourceError: One cannot be brought.
    """
    paths = [path for path in _gitlinks(session, work_tree) if _wanted(path, subdirectory)]
    if not paths or not (work_tree / ".gitmodules").is_file():
        return
    if depth >= _DEEPEST:
        raise SourceInvalid(f"The submodules of {redact(session.uri)} are nested more than {_DEEPEST} deep.")
    base = _base(session) if depth == 0 else None
    if base is not None:
        session.run("remote", "set-url", "origin", base, within=work_tree)
    session.run("submodule", "--quiet", "init", "--", *_literal(paths), within=work_tree)
    if base is not None:
        session.run("remote", "set-url", "origin", session.uri, within=work_tree)
    if session.access.isolated:
        for name, uri in _registered(session, work_tree).items():
            _permit(session, name, uri)
    _update(session, work_tree, paths)
    for path in paths:
        if (work_tree / path / ".git").exists():
            rest = subdirectory.removeprefix(path).lstrip("/") if subdirectory.startswith(f"{path}/") else ""
            bring_submodules(session, work_tree / path, subdirectory=rest, depth=depth + 1)


def _gitlinks(session: Session, work_tree: Path) -> list[str]:
    entries = session.run("ls-files", "--stage", "-z", within=work_tree).decode(errors="surrogateescape").split("\0")
    return [entry.partition("\t")[2] for entry in entries if entry.startswith(_GITLINK)]


def _wanted(path: str, subdirectory: str) -> bool:
    """Whether a sparse checkout of the subdirectory has this path: inside it, around it, or beside it on the way."""
    parent = path.rpartition("/")[0]
    return (
        not subdirectory
        or f"{path}/".startswith(f"{subdirectory}/")
        or f"{subdirectory}/".startswith(f"{path}/")
        or not parent
        or f"{subdirectory}/".startswith(f"{parent}/")
    )


def _base(session: Session) -> str | None:
    """What relative addresses begin at, where that is another address than the repository's.

    A clone of somebody's work tree has it for its origin, and beside it lie no submodules: they lie beside the
    repository that the work tree is a clone of.
    """
    scheme, _ = transport(session.uri)
    work_tree = Path(unquote(urlsplit(session.uri).path))
    if session.access.isolated or scheme != "file" or not (work_tree / ".git").exists():
        return None
    outcome = session.attempt("config", "--local", "--get", "remote.origin.url", within=work_tree)
    origin = outcome.stdout.decode(errors="surrogateescape").removesuffix("\n")
    if not origin:
        return None
    # Git takes a path from where it is called.
    is_path = transport(origin)[0] == "file" and "://" not in origin
    return str((work_tree / origin).resolve()) if is_path else without_user(origin)


def _literal(paths: list[str]) -> list[str]:
    return [f":(literal){path}" for path in paths]


def _registered(session: Session, work_tree: Path) -> dict[str, str]:
    """The submodules' names and addresses, as Git understood them."""
    output = session.run("config", "--null", "--local", "--get-regexp", r"^submodule\..*\.url$", within=work_tree)
    pairs = (entry.partition("\n") for entry in output.decode(errors="replace").split("\0") if entry)
    return {key.removeprefix("submodule.").removesuffix(".url"): uri for key, _, uri in pairs}


def _permit(session: Session, name: str, uri: str) -> None:
    shown = redact(uri)
    if shown != uri:
        raise SourceInvalid(
            f"The submodule '{name}' has credentials in its URL ({shown}). Remove them from .gitmodules."
        )
    try:
        session.access.permit(uri)
    except SourceInvalid as error:
        raise SourceInvalid(f"The submodule '{name}' cannot be brought: {error}") from None
    host, own = host_name(uri), host_name(session.uri)
    if host != own and not session.access.allow_other_hosts:
        raise SourceInvalid(
            f"The submodule '{name}' comes from another host, {host or 'this machine'} ({shown}), than the project "
            f"({own or 'this machine'}). Host it beside the project, or leave submodules out; whoever runs the "
            "operator can allow other hosts."
        )


def _update(session: Session, work_tree: Path, paths: list[str]) -> None:
    arguments = ("submodule", "--quiet", "update", "--checkout", "--recommend-shallow", "--jobs=4")
    outcome = session.attempt(*arguments, "--depth=1", "--", *_literal(paths), within=work_tree)
    if outcome.status == 0:
        return
    if not refused_object(outcome.stderr):
        raise session.diagnose(outcome)
    # The server serves tips only, and the recorded commit is none: begin again with whole histories.
    where = session.run("rev-parse", "--git-path", "modules", within=work_tree).decode().strip()
    shutil.rmtree(work_tree / where, ignore_errors=True)
    for path in paths:
        if (work_tree / path).is_dir():
            clear(work_tree / path)
    session.run(*arguments[:-2], "--no-recommend-shallow", "--", *_literal(paths), within=work_tree)
