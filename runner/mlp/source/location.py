"""What a project URI means: which repository or directory, and which subdirectory of it.

Everything that can be said about a URI without asking a server is said here, so that a mistake in it is found before
any program runs. It looks at the disk (is there such a directory?) only where the caller says that local paths count.
It must not know how Git is driven; whether a transport is allowed at all is for mlp.source.access to say.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from mlp.errors import SourceInvalid, SourceNotFound
from mlp.source.redaction import redact

__all__ = ["Location", "host_name", "is_bare_repository", "locate", "project_name", "transport"]

GIT_SCHEMES: Final = frozenset({"https", "http", "ssh", "file"})

# Words before a colon that are MLflow's or a store's, never the name of an SSH host.
_OTHER_SCHEMES: Final = frozenset({"runs", "models", "mlflow-artifacts", "s3", "gs", "dbfs", "hdfs", "wasbs", "abfss"})

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_REMOTE_HELPER: Final = re.compile(r"[A-Za-z0-9+.-]+::")
_SCP: Final = re.compile(
    r"(?:(?P<user>[^@/\s]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*):(?P<path>.+)"
)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Location:
    """Where a project lies.

    Attributes:
        uri: The repository as Git is given it, the absolute path of a directory or of an archive, or an archive's URL;
            neither quotes nor fragment.
        subdirectory: The project's directory inside, normalised, "" for the root.
        kind: Whether Git has to bring the project, it lies on this machine and is used in place, or it has to be
            unpacked from a zip archive.
    """

    uri: str
    subdirectory: str
    kind: Literal["git", "directory", "archive"]

    @property
    def name(self) -> str:
        """The project's directory name, which is its name unless its MLproject file gives another."""
        return project_name(self.uri, self.subdirectory)

    @property
    def directory(self) -> Path:
        """The project's directory on this machine, of a location of kind "directory"."""
        return Path(self.uri, self.subdirectory)


def locate(uri: str, *, subdirectory: str = "", local: bool) -> Location:
    """Understand a project URI as MLflow writes them.

    Args:
        uri: A Git URL, ``user@host:path``, or (where ``local``) a directory; ``#subdirectory`` may follow.
        subdirectory: The subdirectory, for those who have it apart.
        local: Whether the caller's own disk counts. A directory is then used in place, a bare repository is cloned.

    Raises:
        SourceInvalid: The URI cannot name a project.
        SourceNotFound: A local directory that is not there.
    """
    text = uri.strip().strip("'\"").strip()
    if _UNPRINTABLE.search(text):
        raise SourceInvalid("The project URI has a line break or another control character in it.")
    base, _, fragment = text.partition("#")
    if not base:
        raise SourceInvalid("The project URI is empty. Give a Git URL, user@host:path, or a directory.")
    if redact(text) != text and not (local and Path(base).exists()):
        raise _credentials_inside(text)
    within = _combine(_normalise(fragment), _normalise(subdirectory), uri=text)
    if match := _SCHEME.match(base):
        return _locate_url(base, within, scheme=match[1].lower(), local=local)
    if local and Path(base).is_dir():
        return _locate_directory(Path(base), within)
    if _is_archive(base) and (not _SCP.fullmatch(base) or (local and Path(base).is_file())):
        return _locate_archive(base, within, local=local)
    if _REMOTE_HELPER.match(base):
        raise SourceInvalid(
            f"'{redact(base)}' names a Git remote helper; only https, ssh and user@host:path are allowed."
        )
    if base.startswith("-"):
        raise SourceInvalid(f"'{base}' begins with a dash and would be taken for an option. Write './{base}'.")
    if (match := _SCP.fullmatch(base)) and "/" not in base.partition(":")[0]:
        return _locate_scp(base, within, match)
    return _refuse_path(base, local=local)


def project_name(uri: str, subdirectory: str) -> str:
    """The last part of the subdirectory, or of the URI without ``.git``."""
    last = (subdirectory or uri).rstrip("/").replace(":", "/").rpartition("/")[2]
    name = last.removesuffix(".git").removesuffix(".zip") or last
    # It becomes a directory's name, and must not be one that leads elsewhere.
    return "project" if name in {"", ".", ".."} else name


def transport(uri: str) -> tuple[str, str]:
    """The scheme of a URI that ``locate`` gave ("ssh" for user@host:path, "file" for a path), and host[:port]."""
    if match := _SCHEME.match(uri):
        host = urlsplit(uri).netloc.rpartition("@")[2]
        return match[1].lower(), host.lower()
    if not uri.startswith(("/", ".")) and (match := _SCP.fullmatch(uri)):
        return "ssh", match["host"].lower()
    return "file", ""


def host_name(uri: str) -> str:
    """A URI's host without the port: whoever has the host has its ports. Empty for this machine."""
    host = transport(uri)[1]
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def is_bare_repository(path: Path) -> bool:
    """Whether a directory is a Git repository without a work tree, which only makes sense to be cloned."""
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()


def _normalise(subdirectory: str) -> str:
    """A subdirectory without superfluous dots and slashes. Never one that leads out of the project."""
    if not subdirectory:
        return ""
    if subdirectory.startswith("/"):
        raise SourceInvalid(
            f"The project subdirectory '{subdirectory}' begins with '/'. It is relative to the repository's root: "
            f"write '#{subdirectory.lstrip('/')}'."
        )
    parts = PurePosixPath(subdirectory).parts
    if ".." in parts:
        raise SourceInvalid(
            f"'..' is not allowed in project subdirectory paths. '{subdirectory}' could lead out of the repository."
        )
    if ".git" in parts:
        raise SourceInvalid(f"'{subdirectory}' is Git's own directory, not a project's.")
    if _UNPRINTABLE.search(subdirectory):
        raise SourceInvalid("The project subdirectory has a line break or another control character in it.")
    return "/".join(parts)


def _combine(fragment: str, subdirectory: str, *, uri: str) -> str:
    if fragment and subdirectory and fragment != subdirectory:
        raise SourceInvalid(
            f"Two subdirectories are given: '{fragment}' in the URI '{redact(uri)}' and '{subdirectory}' apart from "
            "it. Keep one of them."
        )
    return fragment or subdirectory


def _locate_url(base: str, subdirectory: str, *, scheme: str, local: bool) -> Location:
    if scheme not in GIT_SCHEMES:
        raise SourceInvalid(
            f"A project cannot be fetched by '{scheme}://'. "
            "Use https://, ssh:// or user@host:path (Git), or a directory."
        )
    try:
        parts = urlsplit(base)
        host, path, _port = parts.hostname, parts.path, parts.port
    except ValueError as error:
        raise SourceInvalid(f"'{base}' is not a valid URL: {str(error).partition(' as ')[0]}.") from None
    if scheme == "file":
        return _locate_file_url(base, unquote(path), subdirectory, local=local)
    if not host or host.startswith("-") or re.search(r"[^\w.:%-]", host):
        raise SourceInvalid(f"'{base}' names no host. Write {scheme}://HOST/PATH.")
    if path.strip("/") == "":
        raise SourceInvalid(f"'{base}' names a host but no repository. Write {scheme}://{parts.netloc}/PATH.")
    if path.startswith("/-"):
        raise SourceInvalid(f"The path in '{base}' begins with a dash and would be taken for an option.")
    if scheme in {"http", "https"} and _is_archive(path):
        return Location(base, subdirectory, "archive") if local else _refuse_archive(base)
    return Location(base, subdirectory, "git")


def _is_archive(path: str) -> bool:
    return path.lower().endswith(".zip")


def _locate_archive(path: str, subdirectory: str, *, local: bool) -> Location:
    if not local:
        return _refuse_archive(path)
    if Path(path).is_file():
        return Location(str(Path(path).resolve()), subdirectory, "archive")
    seen_from = "" if Path(path).is_absolute() else f" (seen from {Path.cwd()})"
    raise SourceNotFound(f"There is no zip archive '{path}'{seen_from}.")


def _refuse_archive(uri: str) -> Location:
    raise SourceInvalid(
        f"'{redact(uri)}' is a zip archive, which only a run on one's own machine can use (`mlp run`). "
        "Give the project's Git repository: https://…, ssh://… or user@host:path."
    )


def _locate_file_url(base: str, path: str, subdirectory: str, *, local: bool) -> Location:
    if urlsplit(base).netloc not in {"", "localhost"}:
        raise SourceInvalid(f"'{base}' names a host. A file URL has three slashes: file:///PATH.")
    if _is_archive(path) and not Path(path).is_dir():
        return _locate_archive(path, subdirectory, local=local)
    if not local:
        return Location(f"file://{path}", subdirectory, "git")
    if not Path(path).is_dir():
        return _refuse_path(path, local=True)
    return _locate_directory(Path(path), subdirectory)


def _locate_directory(path: Path, subdirectory: str) -> Location:
    try:
        path = path.resolve()
    except FileNotFoundError as error:  # no relative path means anything then
        raise SourceNotFound("The directory that this is called in does not exist any more; go to another.") from error
    if not os.access(path, os.R_OK | os.X_OK):
        raise SourceInvalid(f"The directory {path} cannot be read: permission denied.")
    if is_bare_repository(path) and not (path / ".git").exists():
        return Location(path.as_uri(), subdirectory, "git")
    inside = path / subdirectory
    if not inside.is_dir():
        raise SourceNotFound(f"Could not find subdirectory {subdirectory} of {path}")
    if not inside.resolve().is_relative_to(path):
        raise SourceInvalid(f"The subdirectory '{subdirectory}' is a symbolic link that leads out of {path}.")
    return Location(str(path), subdirectory, "directory")


def _locate_scp(base: str, subdirectory: str, match: re.Match[str]) -> Location:
    user, host, path = match["user"] or "", match["host"], match["path"]
    if host.lower() in _OTHER_SCHEMES | GIT_SCHEMES and not user:
        raise SourceInvalid(f"'{base}' is not where a project can lie. Give a Git URL, user@host:path, or a directory.")
    if user.startswith("-") or path.startswith("-"):
        raise SourceInvalid(f"A part of '{base}' begins with a dash and would be taken for an option.")
    return Location(base, subdirectory, "git")


def _credentials_inside(text: str) -> SourceInvalid:
    if text.lower().startswith(("http:", "https:")):
        way_out = (
            "Leave them out, and put them where they stay secret: in the cluster a Secret of type "
            "kubernetes.io/basic-auth named in spec.project.authSecretRef, on your own machine a Git credential helper"
        )
    else:
        way_out = "Leave them out: SSH takes a key, never a password"
    return SourceInvalid(f"The project URI '{redact(text)}' has credentials in it. {way_out}.")


def _refuse_path(path: str, *, local: bool) -> Location:
    """Say why something that can only be a path is no project."""
    shown = redact(path)
    if not local:
        raise SourceInvalid(
            f"'{shown}' is a path on one machine; a run elsewhere cannot see it. "
            "Give the project's Git repository: https://…, ssh://… or user@host:path."
        )
    if Path(path).exists():
        raise SourceInvalid(f"'{shown}' is a file. A project is a directory, a Git repository or a zip archive (.zip).")
    seen_from = "" if Path(path).is_absolute() else f" (seen from {Path.cwd()})"
    raise SourceNotFound(f"There is no directory '{shown}'{seen_from}.{_similar_directory(Path(path))}")


def _similar_directory(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1)
    return f" Did you mean '{path.parent / close[0]}'?" if close else ""
