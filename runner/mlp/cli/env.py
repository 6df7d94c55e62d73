"""``mlp env``: the environments that were built on this machine: which there are, which may go, what is in them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

import click

from mlp.cli.durations import DURATION
from mlp.cli.output import age, print_table
from mlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from mlp.environment import EnvironmentCache, Specification
    from mlp.environment.collection import Kept
    from mlp.environment.uses import Use

__all__ = ["command"]

_UNUSED_FOR: Final = 30 * 86400.0
_UNITS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class _Marks(TypedDict, total=False):
    """Arguments of `mlp.environment.EnvironmentCache.prune`."""

    ended: Collection[Use]
    trusted_for: float | None


class _Size(click.ParamType[int]):
    name = "SIZE"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", value, re.IGNORECASE)
        if found is None:
            self.fail(f"'{value}' is no size; write such as 500M or 20G.", param, ctx)
        return int(float(found[1]) * _UNITS[found[2].upper()])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Look after the environments that were built on this machine.

    They are kept in the directory that MLP_ENV_ROOT names, else in ~/.cache/mlp/envs.
    """


@command.command("list")
def list_environments() -> None:
    """List the environments, the most recently used first.

    Packages are shared between environments, so the sum of the sizes may be more than what they take.
    """
    from mlp.environment import EnvironmentCache  # noqa: PLC0415 -- help needs none of it

    cache = EnvironmentCache.default()
    kept = cache.list()
    if not kept:
        click.echo(f"No environments in {cache.root}.", err=True)
        return
    _print(kept)


@command.command("prune")
@click.option("--unused-for", type=DURATION, help="Those that no run has used for so long, such as 30d; the default.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="All but the N most recently used.")
@click.option("--max-size", type=_Size(), help="As many as it takes to get below a size, such as 20G.")
@click.option("--all", "everything", is_flag=True, help="All of them, and all cached packages.")
@click.option("--in-cluster", is_flag=True, help="Ask the API server whose pods have ended; in a pod with the volume.")
@click.option("--dry-run", is_flag=True, help="Only say which they are.")
def prune(
    *,
    unused_for: float | None,
    keep: int | None,
    max_size: int | None,
    everything: bool,
    in_cluster: bool,
    dry_run: bool,
) -> None:
    """Delete environments, and packages that none of the others needs.

    Without a limit these are the environments that no run has used for 30 days. Environments that are being built or
    used stay in any case. What was deleted is built again when a run needs it.

    A pod leaves a mark beside the environment that it uses. --in-cluster asks which of these pods have ended, and keeps
    what the others use; if that cannot be told, nothing is deleted. Elsewhere a mark counts for seven days.
    """
    from mlp.environment import EnvironmentCache  # noqa: PLC0415 -- help needs none of it

    if everything and (unused_for, keep, max_size) != (None, None, None):
        raise click.UsageError("--all leaves nothing for another limit to decide.")
    if everything:
        keep = 0
    elif (unused_for, keep, max_size) == (None, None, None):
        unused_for = _UNUSED_FOR
    cache = EnvironmentCache.default()
    marks = _marks(cache) if in_cluster else {}
    collected = cache.prune(unused_for=unused_for, keep=keep, max_size=max_size, dry_run=dry_run, **marks)
    if collected.environments:
        _print(collected.environments)
    for kept in collected.busy:
        click.echo(f"{kept.hash} stays: it is being built or used.", err=True)
    count = len(collected.environments)
    what = f"{count} environment{'' if count == 1 else 's'}"
    if dry_run:
        click.echo(f"{what} would be deleted.", err=True)
    else:
        click.echo(f"{what} and {len(collected.packages)} cached conda packages deleted.", err=True)


@command.command("lock")
@click.argument("project", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Where to; PROJECT/.mlp by default."
)
@click.option("--env-manager", "manager", help="conda, virtualenv or uv; by default what the project declares.")
@click.option("--refresh", is_flag=True, help="Build the environment anew, from what there is today.")
def lock(*, project: Path, output: Path | None, manager: str | None, refresh: bool) -> None:
    """Write down exactly what the environment of a project consists of. It is built if it is not there.

    Conda packages go to env.lock.yaml (as pixi has it) and explicit.txt (for conda create --file), pip's to
    pip-freeze.txt and, with hashes, to requirements.lock.
    """
    from mlp.cli.progress import show_progress  # noqa: PLC0415 -- help needs none of it
    from mlp.environment import EnvironmentCache  # noqa: PLC0415
    from mlp.environment.locking import write_lock_files  # noqa: PLC0415

    show_progress()
    specification = _specification(project, manager)
    cache = EnvironmentCache.default()
    environment = cache.ensure(specification, refresh=refresh)
    for file in write_lock_files(cache, specification, environment, output or project / ".mlp"):
        click.echo(file)


def _marks(cache: EnvironmentCache) -> _Marks:
    """What the cluster says of the pods that have left marks. The marks are read first: see `ended`."""
    from mlp.backends.marked_pods import ServiceAccount, ended  # noqa: PLC0415

    uses = cache.uses()
    over = ended(uses, ServiceAccount.of_pod())
    click.echo(f"Pods that use environments: {len(uses) - len(over)}; that did, and have ended: {len(over)}.", err=True)
    return {"ended": over, "trusted_for": None}


def _specification(project: Path, manager: str | None) -> Specification:
    from mlp.environment import read  # noqa: PLC0415
    from mlp.project import Project  # noqa: PLC0415
    from mlp.source import DirectoryFiles  # noqa: PLC0415

    declared = Project.load(DirectoryFiles(project)).environment
    if declared.kind not in {"conda", "python"} or declared.file is None:
        raise UsageError(f"{project} declares no conda or Python environment: there is nothing to lock.")
    return read(
        "conda" if declared.kind == "conda" else "python", project / declared.file, manager=manager, project=project
    )


def _print(environments: list[Kept] | tuple[Kept, ...]) -> None:
    print_table(["HASH", "KIND", "SIZE", "CREATED", "USED", "FOR"], [_row(kept) for kept in environments])


def _row(kept: Kept) -> list[str]:
    return [
        kept.hash,
        kept.kind or "unfinished",
        f"{kept.size / _UNITS['M']:.1f} MiB",
        _ago(kept.created),
        _ago(kept.used),
        kept.file,
    ]


def _ago(moment: float) -> str:
    return age(datetime.fromtimestamp(moment, UTC)) if moment else ""
