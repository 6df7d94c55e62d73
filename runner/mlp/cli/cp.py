"""``mlp cp``: what a run has logged to MLflow, copied to this machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from mlp.cli.candidates import directories, runs_of_artifacts
from mlp.cli.examples import examples
from mlp.cli.place import place_options
from mlp.errors import ClusterError, DataInvalid, DataUnavailable, UsageError

if TYPE_CHECKING:
    from mlp.cli.place import Place
    from mlp.resources import ProjectRun

__all__ = ["command"]


@click.command(
    epilog=examples(
        ("A model, to the current directory", "mlp cp wine-main-x7k2p:model ."),
        ("A file, under another name", "mlp cp wine-main-x7k2p:plots/roc.png wine.png"),
        ("Everything, through a server that is reached from here as", "mlp cp wine-main-x7k2p: . --tracking-uri URI"),
    )
)
@click.argument("source", metavar="NAME:[PATH]", shell_complete=runs_of_artifacts)
@click.argument("destination", metavar="DESTINATION", shell_complete=directories)
@click.option("-f", "--force", is_flag=True, help="Replace what stands at the destination.")
@click.option(
    "--tracking-uri", metavar="URI", help="The tracking server, as it is reached from here.  [default: the run's]"
)
@place_options
def command(source: str, destination: str, *, place: Place, force: bool, tracking_uri: str | None) -> None:
    """Copy artifacts of a run's MLflow run to this machine: a file, a directory, or without PATH all of them.

    In a directory that is there, they get their own name; else DESTINATION is their name.
    """
    name, colon, path = source.partition(":")
    if not colon or not name:
        raise click.UsageError(f"'{source}' names no artifact of a run. Write NAME:PATH, or NAME: for all of them.")
    inside = PurePosixPath(path.strip("/"))
    if ".." in inside.parts:
        raise click.UsageError(f"'{path}' leaves the run's artifacts.")
    with place.connect() as cluster:
        from mlp.backends.kubernetes import KubernetesRun  # noqa: PLC0415

        run = KubernetesRun(cluster, name).get()
    run_id, server = _tracked(run, tracking_uri)
    target = Path(destination)
    if target.is_dir():
        target /= inside.name or name
    _refuse_present(target, force=force)
    try:
        _copy(f"runs:/{run_id}/{inside if inside.name else ''}", target, server)
    except (DataInvalid, DataUnavailable) as error:
        if tracking_uri is not None:
            raise
        elsewhere = f"{server} is where pods reach the server; name the address at which you do with --tracking-uri."
        raise type(error)(f"{error} {elsewhere}") from None
    click.echo(f"Copied {_amount(target)} to {target}")


def _tracked(run: ProjectRun, tracking_uri: str | None) -> tuple[str, str]:
    """The MLflow run, and the server that knows it."""
    mlflow = run.status.mlflow
    if mlflow is None or mlflow.run_id is None:
        later = "" if run.finished else " yet"
        raise ClusterError(f"'{run.name}' is recorded in no MLflow run{later}, so it has no artifacts.")
    if tracking_uri is not None:
        return mlflow.run_id, tracking_uri
    if mlflow.uri is None:
        raise ClusterError(f"'{run.name}' does not say where its MLflow run is. Name the server with --tracking-uri.")
    _refuse_strangers(mlflow.uri)
    return mlflow.run_id, mlflow.uri


def _refuse_strangers(server: str) -> None:
    """Send the user's credentials nowhere but where they have said: a server that a run names may be anybody's.

    Raises:
        UsageError: There are credentials, and the server is not the user's own.
    """
    from mlp.tracking.credentials import Credentials  # noqa: PLC0415

    if not server.startswith(("http://", "https://", "databricks")):
        raise UsageError(f"The run is recorded at {server}, which is no server. Name one with --tracking-uri.")
    own = os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/") == server.rstrip("/")
    given = Credentials.ambient(os.environ).headers or os.environ.get("MLFLOW_TRACKING_AUTH")  # a plugin's: anything
    if not own and not server.startswith("databricks") and given:
        raise UsageError(
            f"The run is recorded at {server}, and your MLflow credentials are set for another server. If they are for "
            f"this one, say so with --tracking-uri {server}; or name the address at which you reach it."
        )


def _refuse_present(target: Path, *, force: bool) -> None:
    if not force and (target.exists() or target.is_symlink()):
        raise UsageError(f"{target} is there already. Name another destination, or replace it with --force.")


def _copy(uri: str, target: Path, server: str) -> None:
    from mlp.backends.local.progress import Progress  # noqa: PLC0415
    from mlp.cli.progress import show_progress  # noqa: PLC0415
    from mlp.data import download  # noqa: PLC0415

    show_progress()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mlp-", dir=target.parent) as work:
        arrived = download(uri, Path(work), tracking_uri=server, progress=Progress("Copying artifacts").transfer)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        elif target.is_symlink() or (target.exists() and arrived.is_dir()):
            target.unlink()
        arrived.replace(target)


def _amount(target: Path) -> str:
    from mlp.data.sizes import size  # noqa: PLC0415

    files = [path for path in target.rglob("*") if path.is_file()] if target.is_dir() else [target]
    counted = "1 file" if len(files) == 1 else f"{len(files)} files"
    return f"{counted}, {size(sum(path.stat().st_size for path in files))},"
