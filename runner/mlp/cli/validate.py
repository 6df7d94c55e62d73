"""``mlp validate``: what is wrong with a project or a ProjectRun, all of it, without running anything."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mlp.cli.candidates import files
from mlp.cli.errors import ExitStatus
from mlp.cli.examples import examples
from mlp.cli.parameters import project_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlp.backends.checking import Call
    from mlp.project import Problem

__all__ = ["command"]

_PROBLEM: Final = ("severity", "file", "line", "column", "message", "reason", "parameter")
"""What JSON has of a problem, in this order."""


@click.command(
    epilog=examples(
        ("The project in this directory, for instance in CI", "mlp validate . --strict"),
        ("And whether an entry point can be called like this", "mlp validate . -e train -P alpha=0.5"),
        ("A ProjectRun, beside the project that it will run", "mlp validate . -f projectrun.yaml"),
        ("A ProjectRun, with its project fetched from Git", "mlp validate projectrun.yaml --resolve"),
    )
)
@project_options
@click.option(
    "-f",
    "--file",
    "manifest",
    metavar="FILE",
    shell_complete=files,
    help="Check the ProjectRuns in this YAML file; '-' is standard input. With a URI, they are held against the "
    "project there.",
)
@click.option(
    "--resolve", is_flag=True, help="Fetch the projects that ProjectRuns name, and hold the runs against them."
)
@click.option("--strict", is_flag=True, help="Warnings are errors.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print it.  [default: text]"
)
@click.pass_context
def command(  # noqa: PLR0913 -- one argument an option, as Click hands them over
    context: click.Context,
    uri: str | None,
    *,
    entry_point: str | None,
    version: str | None,
    parameters: dict[str, str],
    manifest: str | None,
    resolve: bool,
    strict: bool,
    output: str,
) -> None:
    """Find everything that is wrong with a project or a ProjectRun, and run nothing.

    URI is a directory (the current one if not given), a Git repository or an MLproject file; or a YAML file with
    ProjectRuns, as with -f. Each problem is a line on stdout: where, an error or a warning, what is wrong and the way
    out.

    With -e or -P it is checked, too, whether the entry point can be called like this. The exit status is 1 if there are
    errors.
    """
    if manifest is None and uri is not None and _is_manifest(uri):
        manifest, uri = uri, None
    if manifest is None and resolve:
        raise click.UsageError("--resolve is for ProjectRuns; the project itself is always looked at.")
    if manifest is not None and uri is None and version is not None:
        raise click.UsageError("-v goes with a project's URI; a ProjectRun has its own in spec.project.version.")
    from mlp.backends.checking import Call  # noqa: PLC0415 -- after the command line is known to be right

    if manifest is None:
        called = entry_point or ("main" if parameters else None)
        problems = _of_project(uri or ".", version, Call(called, parameters))
    else:
        from mlp.backends.manifest_checking import check_manifest  # noqa: PLC0415 -- pydantic takes 0.2 s

        call = Call(entry_point, parameters)
        problems = check_manifest(manifest, call, project=uri, version=version, resolve=resolve)
    target = manifest or uri or "."
    errors = [problem for problem in problems if strict or problem.severity == "error"]
    if output == "json":
        found = [{key: getattr(problem, key) for key in _PROBLEM} for problem in problems]
        click.echo(json.dumps({"target": target, "valid": not errors, "problems": found}, indent=2, ensure_ascii=False))
    else:
        _print(problems, target)
        if manifest is not None and uri is None and not (resolve or errors):
            click.echo(f"Its project was not looked at: give --resolve, or the project with -f {manifest}.", err=True)
    if errors:
        context.exit(ExitStatus.FAILED)


def _is_manifest(target: str) -> bool:
    from mlp.project import is_project_file  # noqa: PLC0415 -- PyYAML

    return target == "-" or (Path(target).is_file() and not is_project_file(Path(target).name) and not _is_zip(target))


def _is_zip(target: str) -> bool:
    return target.lower().endswith(".zip")


def _of_project(uri: str, version: str | None, call: Call) -> Sequence[Problem]:
    from mlp.backends.bringing import bring  # noqa: PLC0415
    from mlp.backends.checking import Here, check_project  # noqa: PLC0415

    shown = Path(uri.partition("#")[0])
    if shown.is_file() and not _is_zip(uri):  # the MLproject file itself
        uri = str(shown.parent)
    with ExitStack() as cleaning:
        directory = bring(uri, cleaning, version=version).directory
        problems = check_project(directory, call, places=Here(directory))
    within = Path(*uri.split("#")) if version is None and Path(uri.partition("#")[0]).is_dir() else Path()
    # As the user's editor, or the CI's annotations, would look for it.
    return [
        replace(problem, file=str(within / problem.file)) if problem.file is not None else problem
        for problem in problems
    ]


def _print(problems: Sequence[Problem], target: str) -> None:
    for problem in problems:
        click.echo(f"{problem.place or target}: {problem.severity}: {problem.message}")
    counts = [
        f"{number} {kind}{'s' if number > 1 else ''}"
        for kind in ("error", "warning")
        if (number := sum(problem.severity == kind for problem in problems))
    ]
    click.echo(f"{target}: {' and '.join(counts) or 'no problems'}", err=True)
