"""``mlp run``: a project on this machine, in a cluster or on Databricks, with the options of ``mlflow run``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlp.cli.candidates import files
from mlp.cli.examples import examples
from mlp.cli.parameters import parse_docker_arguments, project_options

if TYPE_CHECKING:
    from mlp.backends.local import Request
    from mlp.projects.choice import Configuration

__all__ = ["command"]


@click.command(
    epilog=examples(
        ("The project in this directory, with its defaults", "mlp run ."),
        ("A branch of a repository, with data from S3", "mlp run GIT_URL -v main -P data=s3://wine/table.csv"),
        ("Another entry point, in the current environment", "mlp run . -e evaluate --env-manager local"),
        ("Recorded in an experiment of MLflow", "mlp run . --experiment-name wine --run-name first"),
        ("In a cluster, as it lies here", 'mlp run . -b kubernetes -c \'{"namespace": "team-a"}\''),
        ("On Databricks", "mlp run GIT_URL -b databricks -c cluster.json -P alpha=0.5"),
    )
)
@project_options
@click.option(
    "-f",
    "--file",
    "manifest",
    metavar="FILE",
    shell_complete=files,
    help="Run what the ProjectRun in this YAML file describes; '-' is standard input. URI and the other options take "
    "precedence over what stands there.",
)
@click.option(
    "--env-manager",
    metavar="NAME",
    help="'local': the current environment, whatever the project declares. 'conda', 'virtualenv', 'uv': build one.  "
    "[default: what the project declares]",
)
@click.option("--no-conda", is_flag=True, help="The same as --env-manager local.")
@click.option("--no-param-validation", is_flag=True, help="Do not check values against their declared types.")
@click.option("--experiment-name", metavar="NAME", help="Record the run in this experiment, made if there is none.")
@click.option("--experiment-id", metavar="ID", help="Record the run in the experiment with this ID.")
@click.option("--run-name", metavar="NAME", help="The name of the run in the tracking store.")
@click.option("--run-id", metavar="ID", help="Continue this run of the tracking store instead of creating one.")
@click.option(
    "--storage-dir",
    metavar="DIRECTORY",
    envvar="MLFLOW_TMP_DIR",
    help="Download data for path parameters to a new directory in this one, and keep it.",
)
@click.option(
    "-A",
    "--docker-args",
    "docker_args",
    metavar="NAME[=VALUE]",
    multiple=True,
    callback=lambda _context, _option, given: parse_docker_arguments(given),
    help="An option of 'docker run', for projects with a docker_env: -A gpus=all becomes --gpus all.",
)
@click.option("--git-username", metavar="NAME", help="The user for Git over https.  [env: MLFLOW_GIT_USERNAME]")
@click.option(
    "--git-password",
    metavar="TEXT",
    help="Their password or token. Other users of this machine can see it while mlp runs: prefer the variable.  "
    "[env: MLFLOW_GIT_PASSWORD]",
)
@click.option(
    "-b",
    "--backend",
    metavar="NAME",
    help="Where to run: 'local', 'kubernetes' (see 'mlp submit') or 'databricks'.  [default: local]",
)
@click.option("-m", "--mode", metavar="NAME", help="An older name of --backend.")
@click.option(
    "-c",
    "--backend-config",
    metavar="FILE|JSON",
    help="The backend's configuration: a .json file, or JSON itself. For Databricks: the cluster.",
)
@click.option("--cluster-spec", metavar="FILE|JSON", help="An older name of --backend-config.")
@click.option(
    "--no-wait",
    is_flag=True,
    help="With -b kubernetes or databricks: submit the run, print its name (its ID on Databricks), and leave it.",
)
@click.option("--build-image", is_flag=True, help="Refused: mlp builds no images, and needs none.")
def command(  # noqa: PLR0913 -- one argument an option, as Click hands them over
    uri: str | None,
    *,
    manifest: str | None,
    parameters: dict[str, str],
    env_manager: str | None,
    no_conda: bool,
    no_param_validation: bool,
    experiment_name: str | None,
    experiment_id: str | None,
    backend: str | None,
    mode: str | None,
    backend_config: str | None,
    cluster_spec: str | None,
    build_image: bool,
    no_wait: bool,
    **given: Any,  # noqa: ANN401 -- the options that go on as they are
) -> None:
    """Run a project on this machine, or with -b kubernetes in a cluster, or with -b databricks there.

    URI is a Git repository (https://…, ssh://…, user@host:path), a directory or a zip archive; '#subdirectory' may
    follow. The command's output and exit status are its own; what mlp has to say goes to stderr.

    In a cluster and on Databricks, too, mlp waits. Ctrl-C leaves the run alone, and says how to follow or end it; on
    Databricks it asks first whether the run is to be cancelled.
    """
    if uri is None and manifest is None:
        raise click.UsageError("Missing argument 'URI'. Give a project's URI, or a ProjectRun with -f FILE.")
    if no_conda and env_manager not in {None, "local"}:
        raise click.UsageError(f"--no-conda means --env-manager local, and --env-manager {env_manager} was given too.")
    if experiment_name and experiment_id:
        raise click.UsageError("Specify only one of 'experiment-name' or 'experiment-id' options.")
    from mlp import projects  # noqa: PLC0415 -- after the command line is known to be right
    from mlp.backends import local  # noqa: PLC0415
    from mlp.cli.progress import show_progress  # noqa: PLC0415

    show_progress()
    chosen = projects.choose_backend(backend, mode, build_image=build_image)
    options = {
        "env_manager": "local" if no_conda else env_manager,
        "experiment_name": experiment_name,
        "experiment_id": experiment_id,
        "validate": not no_param_validation,
        **given,
    }
    configuration = projects.choose_configuration(backend_config, cluster_spec)
    if chosen != "local":
        if manifest is not None or uri is None:
            raise click.UsageError("To run a ProjectRun in a cluster, use: mlp submit -f FILE --wait")
        elsewhere = _in_a_cluster if chosen == "kubernetes" else _on_databricks
        request = projects.local_request(uri, parameters=parameters, **_named(options))
        elsewhere(request, configuration, wait=not no_wait)
        return
    if no_wait:
        raise click.UsageError("--no-wait is for -b kubernetes and -b databricks: what runs here ends with mlp.")
    projects.tell_unused(configuration)
    if manifest is not None:
        request = projects.manifest_request(manifest, uri=uri, parameters=parameters, **options)
    else:
        request = projects.local_request(str(uri), parameters=parameters, **_named(options))
    local.run(request, echo=False)


def _named(options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "entry_point": options["entry_point"] or "main"}


def _on_databricks(request: Request, configuration: Configuration | None, *, wait: bool) -> None:
    """Submit, wait, and print at the end what the run wrote."""
    from mlp import projects  # noqa: PLC0415
    from mlp.cli.signals import as_interrupts  # noqa: PLC0415

    with as_interrupts():  # what is recorded, or under way, by then is brought to its end
        run = projects.submit_to_databricks(request, configuration)
    from mlp.cli.on_databricks import follow_on_databricks, tell_ways_on  # noqa: PLC0415 -- the client is there now

    if not wait:
        click.echo(run.databricks_run_id)
        tell_ways_on(run)
        return
    follow_on_databricks(run)


def _in_a_cluster(request: Request, configuration: Configuration | None, *, wait: bool) -> None:
    """Submit, and print what the run writes until it has ended. Who ends us leaves the run alone."""
    from mlp import projects  # noqa: PLC0415
    from mlp.backends.configuration import read_backend_config  # noqa: PLC0415

    run = projects.submit(request, configuration)
    if not wait:
        click.echo(run.name)
        return
    # The client is there now.
    from mlp.backends.kubernetes.configuration import read_configuration  # noqa: PLC0415
    from mlp.backends.kubernetes.outcome import raise_for_command  # noqa: PLC0415
    from mlp.cli.following import follow  # noqa: PLC0415
    from mlp.cli.place import Place  # noqa: PLC0415
    from mlp.cli.signals import as_interrupts  # noqa: PLC0415
    from mlp.errors import RunCancelled, RunError  # noqa: PLC0415

    settings = read_configuration(read_backend_config(configuration))
    place = Place(settings.namespace, settings.context, settings.kubeconfig)
    try:
        with as_interrupts():
            follow(run, place, logs=True)
    except RunCancelled:
        raise
    except RunError:
        # Others say that it failed; here the status is the command's.
        raise_for_command(run.get())
        raise
