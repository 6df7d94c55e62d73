"""What a shell's completion offers for the arguments of commands: entry points, parameters, runs, files.

Somebody waits with a finger on the key: nothing heavy is imported, a project is only read where it lies on this
machine, a cluster only asked where that is quick. Whatever goes wrong here is no reason to say anything; there is just
nothing to offer.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

    from mlp.project import Parameter, Project

__all__ = ["directories", "entry_points", "files", "parameters", "runs", "runs_of_artifacts"]

_DEADLINE: Final = 2.0
"""Seconds that a cluster may take to list its runs."""


def directories(_context: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Directories, which the shell itself knows best."""
    return [CompletionItem(incomplete, type="dir")]


def files(_context: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files, which the shell itself knows best."""
    return [CompletionItem(incomplete, type="file")]


def entry_points(context: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The entry points of the project on the command line, and the scripts in its root."""
    found = _project(context)
    if found is None:
        return []
    project, scripts = found
    offered = {name: " ".join(entry_point.parameters) for name, entry_point in project.entry_points.items()}
    offered |= {name: "" for name in scripts if name not in offered}
    return [CompletionItem(name, help=text or None) for name, text in offered.items() if name.startswith(incomplete)]


def parameters(context: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``name=`` for the parameters that are not given yet, and behind it the values that can be guessed."""
    found = _project(context)
    entry_point = found and found[0].entry_points.get(context.params.get("entry_point") or "main")
    if not entry_point:
        return []
    name, equals, value = incomplete.partition("=")
    if equals:
        declared = entry_point.parameters.get(name)
        values = _values(declared, value) if declared else ()
        return [CompletionItem(f"{name}={text}") for text in values if text.startswith(value)]
    given = context.params.get("parameters") or {}
    return [
        CompletionItem(f"{name}=", help=_described(parameter))
        for name, parameter in entry_point.parameters.items()
        if name not in given and name.startswith(incomplete)
    ]


def runs(context: click.Context, option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The runs in the namespace on the command line. kubectl is asked, which starts faster than our own client."""
    import shutil  # noqa: PLC0415 -- only here
    import subprocess  # noqa: PLC0415 -- only here

    kubectl = shutil.which("kubectl")
    if kubectl is None or not _has_kubeconfig(context):
        return []
    places = (("--namespace", "namespace"), ("--context", "context"), ("--kubeconfig", "kubeconfig"))
    options = [f"{flag}={given}" for flag, name in places if (given := context.params.get(name))]
    call = [kubectl, "get", "projectruns.mlp.dev", "--output=name", f"--request-timeout={_DEADLINE:g}s", *options]
    try:
        listed = subprocess.run(
            call,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=_DEADLINE,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    named = context.params.get(option.name or "") or ()
    names = (line.rpartition("/")[2] for line in listed.splitlines())
    return [CompletionItem(name) for name in names if name.startswith(incomplete) and name not in named]


def runs_of_artifacts(context: click.Context, option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The runs, each with the colon that its artifacts' paths follow."""
    if ":" in incomplete:
        return []
    return [CompletionItem(f"{item.value}:") for item in runs(context, option, incomplete)]


def _has_kubeconfig(context: click.Context) -> bool:
    # Without one kubectl would ask the machine that it is on.
    named = context.params.get("kubeconfig") or os.environ.get("KUBECONFIG") or "~/.kube/config"
    return any(os.path.isfile(os.path.expanduser(path)) for path in named.split(os.pathsep))  # noqa: PTH111, PTH113 -- as below


def _project(context: click.Context) -> tuple[Project, list[str]] | None:
    """The project on the command line, else in the current directory, as far as it can be read; and its scripts."""
    from mlp.project import MappingFiles, Project, is_project_file, is_script  # noqa: PLC0415 -- PyYAML

    # An option that waits for its value ends Click's reading of the line: the arguments are then left over.
    uri = context.params.get("uri") or next(iter(context.args), ".")
    directory, _, subdirectory = uri.partition("#")
    root = Path(os.path.expanduser(directory)) / subdirectory  # noqa: PTH111 -- pathlib's fails without a home
    with suppress(OSError):
        names = sorted(entry.name for entry in root.iterdir() if entry.is_file())
        texts = {name: (root / name).read_text("utf-8", "replace") for name in names if is_project_file(name)}
        project, _ = Project.check(MappingFiles(root.name, texts, names))
        return project, list(filter(is_script, names))
    return None


def _described(parameter: Parameter) -> str:
    # Without commas, at which Click's script for fish would cut it.
    return parameter.type if parameter.default is None else f"{parameter.type} (default {parameter.default})"


def _values(parameter: Parameter, begun: str) -> Iterator[str]:
    """What may follow ``name=``."""
    if parameter.type == "bool":
        yield from ("true", "false")
    elif parameter.default is not None:
        yield parameter.default
    if parameter.type in {"path", "uri"}:
        directory = begun.rpartition("/")[0]
        base = f"{directory}/" if "/" in begun else ""
        with suppress(OSError):
            for entry in sorted(Path(base or ".").iterdir()):
                yield f"{base}{entry.name}{'/' if entry.is_dir() else ''}"
