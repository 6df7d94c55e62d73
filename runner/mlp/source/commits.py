"""Finding a commit by its ID, in full or short, where the list of a server's refs does not tell.

Only commits are brought for that (no directories, no files) where the server can leave the rest out.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from mlp.source.diagnosis import refused_object, version_not_found
from mlp.source.versions import Refs, Resolution, ambiguous

if TYPE_CHECKING:
    from pathlib import Path

    from mlp.source.session import Session

__all__ = ["look_deeper", "look_for"]


def look_for(session: Session, commit: str, refs: Refs) -> Resolution:
    """A full commit ID that no branch or tag stands on."""
    repository = _bare(session)
    outcome = session.attempt(
        "fetch", "--quiet", "--no-tags", "--depth=1", "--filter=tree:0", "--end-of-options", "origin", commit,
        within=repository,
    )  # fmt: skip
    if outcome.status == 0:
        # The ID of an annotated tag's own object names the commit that is tagged.
        peeled = session.attempt("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", within=repository)
        if peeled.status == 0:
            return Resolution(peeled.stdout.decode().strip())
        raise version_not_found(commit, session.uri, "that is the ID of another object, not of a commit.")
    if not refused_object(outcome.stderr):
        raise session.diagnose(outcome)
    if "not our ref" in outcome.stderr:
        raise version_not_found(commit, session.uri, "no commit has that ID.")
    return look_deeper(session, commit, refs)


def look_deeper(session: Session, prefix: str, refs: Refs) -> Resolution:
    """A commit ID by its first digits, among all commits that branches and tags lead to."""
    repository = _bare(session)
    session.run(
        "fetch", "--quiet", "--no-tags", "--filter=tree:0", "--end-of-options", "origin",
        "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", within=repository,
    )  # fmt: skip
    objects = session.run("rev-parse", f"--disambiguate={prefix}", within=repository).decode()
    checked = session.run("cat-file", "--batch-check", within=repository, stdin=objects).decode()
    commits = [line.split()[0] for line in checked.splitlines() if line.split()[1] == "commit"]
    if len(commits) > 1:
        raise ambiguous(prefix, commits)
    if not commits:
        raise refs.unknown(prefix, session.uri)
    leads_there = session.run(
        "for-each-ref", "--count=1", "--format=%(refname)", f"--contains={commits[0]}", within=repository
    )
    return Resolution(commits[0], leads_there.decode().strip() or None)


def _bare(session: Session) -> Path:
    repository = session.directory / "commits"
    shutil.rmtree(repository, ignore_errors=True)
    repository.mkdir()
    session.run("init", "--quiet", "--bare", "--template=", within=repository)
    session.run("remote", "add", "origin", session.uri, within=repository)
    return repository
