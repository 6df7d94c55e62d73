"""``mlp submit``: a project in a cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from mlp.cli.candidates import files
from mlp.cli.durations import DURATION
from mlp.cli.examples import examples
from mlp.cli.output import output_option, print_objects, reference
from mlp.cli.parameters import project_options
from mlp.cli.place import Place, place_options
from mlp.cli.sections import SectionedCommand
from mlp.cli.submission_options import run_options
from mlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlp.backends.kubernetes import Cluster
    from mlp.backends.sending import Luggage, Submission

__all__ = ["command"]

Object = dict[str, Any]

_URI: Final = "https://git.example.com/wine.git"


@click.command(
    cls=SectionedCommand,
    epilog=examples(
        ("A project in Git; follow what it writes", f"mlp submit {_URI} -P alpha=0.5 --logs"),
        ("This directory as it lies here, and a file of yours", "mlp submit . -P data=@red.csv --logs"),
        ("With its size; the exit status is the run's", f"mlp submit {_URI} --memory 4Gi --wait"),
        ("On Databricks", "mlp submit . --databricks-secret dbc --cluster-spec c.json"),
        ("What stands in a file, with another value", "mlp submit -f projectrun.yaml -P alpha=0.5"),
        ("Write that file, and ask no cluster", f"mlp submit {_URI} --dry-run client -o yaml"),
    ),
)
@project_options
@click.option(
    "-f",
    "--file",
    "file",
    metavar="FILE",
    shell_complete=files,
    help="Submit the ProjectRuns in this YAML file; '-' is standard input. URI and the other options take precedence "
    "over what stands there.",
)
@click.option("--name", metavar="NAME", help="The ProjectRun's name.  [default: PROJECT-ENTRYPOINT-xxxxx]")
@click.option("--generate-name", metavar="PREFIX", help="Let the cluster complete the name.")
@click.option("--wait", is_flag=True, help="Wait until the run has ended; the exit status tells how.")
@click.option("--logs", is_flag=True, help="Wait, and print what the run writes.")
@click.option("--timeout", type=DURATION, help="How long to wait at most, such as 90s or 2h.")
@click.option(
    "--dry-run",
    type=click.Choice(["none", "client", "server"]),
    default="none",
    help="'client': print what would be submitted, without asking any cluster. 'server': have it checked there.",
)
@output_option("yaml", "json", "name")
@place_options
@run_options
def command(  # noqa: PLR0913 -- one argument an option, as Click hands them over
    uri: str | None,
    *,
    place: Place,
    file: str | None,
    name: str | None,
    generate_name: str | None,
    wait: bool,
    logs: bool,
    timeout: float | None,
    dry_run: str,
    output: str | None,
    parameters: dict[str, str],
    staging: str | None,
    bundle_limit: int | None,
    cluster_spec: str | None,
    **asked: Any,  # noqa: ANN401 -- the fields of Request
) -> None:
    """Have a cluster run a project.

    URI is a Git repository (https://…, ssh://…, user@host:path), or a directory, which is packed and sent: what Git
    tracks there and what is new and not ignored, less what .mlpignore names. '#subdirectory' may follow. A parameter
    NAME=@FILE sends a small file along; write @@ for a value that begins with @.

    With --wait or --logs the exit status is the run's result: 0 if it succeeded, 1 if it failed, 3 if it was cancelled
    or the time was over. Ctrl-C leaves the run alone.
    """
    if uri is None and file is None:
        raise click.UsageError("Missing argument 'URI'. Give a project's URI, or a ProjectRun with -f FILE.")
    if name and generate_name:
        raise click.UsageError("--name and --generate-name exclude each other.")
    waiting = wait or logs
    if waiting and dry_run != "none":
        raise click.UsageError(f"--dry-run={dry_run} starts no run, so there is none to wait for.")
    if timeout is not None and not waiting:
        raise click.UsageError("--timeout goes with --wait or --logs.")
    from mlp.backends.configuration import read_backend_config  # noqa: PLC0415
    from mlp.backends.files_along import split_files  # noqa: PLC0415 -- pydantic takes 0.2 s
    from mlp.backends.sending import Luggage  # noqa: PLC0415
    from mlp.backends.submission import Request  # noqa: PLC0415

    values, sent = split_files(parameters)
    compute = None if cluster_spec is None else read_backend_config(cluster_spec)
    request = Request(uri=uri, parameters=values, cluster_spec=compute, **asked)
    luggage = Luggage(request, files=sent, staging=staging, limit=bundle_limit)
    if file is None:
        submissions = [luggage.new(name=name, generate_name=generate_name, namespace=place.namespace)]
    else:
        submissions = _from_file(file, luggage, place, name=name, generate_name=generate_name)
    if logs and len(submissions) > 1:
        raise click.UsageError("--logs is for one run; submit the others apart, or read them with 'mlp logs'.")
    for line in luggage.said():
        click.echo(line if dry_run == "none" else f"{line} (dry run)", err=True)
    if dry_run == "client":
        _show_dry(submissions, output)
        return
    with place.connect() as cluster:
        submissions = _handed_on(cluster, submissions, place)
        if dry_run == "none":
            luggage.stage()
        created = _create(cluster, submissions, output, dry_run=dry_run == "server", quiet=logs)
        if waiting:
            _follow(cluster, created, place, timeout=timeout, logs=logs)


def _from_file(
    file: str, luggage: Luggage, place: Place, *, name: str | None, generate_name: str | None
) -> list[Submission]:
    from mlp.backends.manifest import read_objects  # noqa: PLC0415
    from mlp.resources import ProjectRun  # noqa: PLC0415

    def named(manifest: Object) -> Object:
        return _named(manifest, place, name=name, generate_name=generate_name)

    objects = read_objects(file)
    if not objects:
        raise UsageError(f"{file} holds no ProjectRun.")
    if len(objects) > 1 and (name or generate_name):
        raise UsageError(f"{file} holds {len(objects)} ProjectRuns, and one name cannot be that of all.")
    submissions = []
    for number, item in enumerate(objects, start=1):
        try:
            ProjectRun.parse(item)
        except UsageError as error:
            which = f" (document {number})" if len(objects) > 1 else ""
            raise UsageError(f"{file}{which} is no valid ProjectRun:\n{error}") from None
        submissions.append(luggage.of(item, named))
    return submissions


def _named(manifest: Object, place: Place, *, name: str | None, generate_name: str | None) -> Object:
    metadata = dict(manifest["metadata"])
    if place.namespace and metadata.setdefault("namespace", place.namespace) != place.namespace:
        raise UsageError(
            f"The file says namespace {metadata['namespace']} and the command line {place.namespace}; leave one out."
        )
    if name or generate_name:
        metadata.pop("name", None)
        metadata.pop("generateName", None)
        metadata |= {"name": name} if name else {"generateName": generate_name}
    if not (metadata.get("name") or metadata.get("generateName")):
        raise UsageError("The ProjectRun has no name. Give one with --name, or with metadata.name or generateName.")
    return {**manifest, "metadata": metadata}


def _create(
    cluster: Cluster, submissions: Sequence[Submission], output: str | None, *, dry_run: bool, quiet: bool
) -> list[Object]:
    from mlp.backends.kubernetes.sending import send  # noqa: PLC0415
    from mlp.cli.signals import as_interrupts  # noqa: PLC0415

    created = []
    for submission in submissions:
        with as_interrupts():  # a run without what belongs to it would wait for that for ever
            answer = send(cluster, submission, dry_run=dry_run)
        created.append(answer)
        if output in {None, "name"}:  # said as soon as it is so: the next one may fail
            _show([answer], output, done="created (server dry run)" if dry_run else "created", quiet=quiet)
    if output not in {None, "name"}:
        _show(created, output, done="")
    return created


def _show(manifests: Sequence[Object], output: str | None, *, done: str, quiet: bool = False) -> None:
    if output is not None:
        print_objects(manifests, output)
        return
    for manifest in manifests:
        # stdout is the run's where its output is asked for
        click.echo(f"{reference(manifest)} {done}", err=quiet)


def _handed_on(cluster: Cluster, submissions: list[Submission], place: Place) -> list[Submission]:
    """The same, with what they have from the run that this command is called in, if it is in one."""
    from mlp.backends.kubernetes.driver import driver_of, is_driver  # noqa: PLC0415

    if not is_driver() or place.context or place.kubeconfig:
        return submissions
    from mlp.projects.handing_on import handed_on  # noqa: PLC0415

    driver = driver_of(cluster)
    return [replace(submission, run=handed_on(submission.run, driver)) for submission in submissions]


def _show_dry(submissions: Sequence[Submission], output: str | None) -> None:
    """Print what would be submitted, in a form that kubectl takes."""
    if output in {None, "name"}:
        _show([submission.run for submission in submissions], output, done="created (dry run)")
        return
    objects = [item for submission in submissions for item in (submission.run, *submission.config_maps)]
    _show(objects, output, done="")
    if len(objects) > len(submissions):
        click.echo(
            "A ConfigMap that kubectl creates has no owner: delete it when its run is no longer wanted. 'kubectl "
            "apply' takes none of more than 190 kB without --server-side; 'kubectl create' does.",
            err=True,
        )


def _follow(cluster: Cluster, created: Sequence[Object], place: Place, *, timeout: float | None, logs: bool) -> None:
    import time  # noqa: PLC0415

    from mlp.backends.kubernetes import KubernetesRun  # noqa: PLC0415
    from mlp.cli.following import follow  # noqa: PLC0415
    from mlp.errors import RunError  # noqa: PLC0415

    deadline = None if timeout is None else time.monotonic() + timeout
    failures: list[RunError] = []
    for item in created:
        cluster.namespace = item["metadata"]["namespace"]
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            follow(KubernetesRun(cluster, item["metadata"]["name"]), place, timeout=left, logs=logs)
        except RunError as error:
            if len(created) > 1:
                click.echo(f"Error: {error}", err=True)
            failures.append(error)
    if failures and len(created) > 1:
        raise RunError(f"{len(failures)} of {len(created)} runs did not succeed.")
    if failures:
        raise failures[0]
