"""A project that has arrived on the driver: unpacked, resolved, and run as `mlp run` would run it there.

Started by the bootstrap, whose Python may lack everything, as a program of its own: ``python -m … --assignment FILE
--project ARCHIVE --result FILE``. What it cannot do itself it says in the result: that it wants packages which only
some projects need, or that the project is a script which has to run inside the driver (databricks_spark_job), whose end
it then writes when it is started once more (``--finish STATUS``).
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import logging
import os
import signal
import sys
import traceback
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlp.backends.databricks.fitting import NO_CONTAINERS
from mlp.backends.databricks.places import DATA_DIRECTORY, PROJECT_DIRECTORY
from mlp.backends.databricks.remote_record import RemoteRecord, tracking_uri
from mlp.backends.databricks.task import Assignment
from mlp.errors import EntryPointNotFound, MlpError, SourceNotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlp.backends.local import Request
    from mlp.backends.local.environment import Command
    from mlp.backends.local.execution import Execution
    from mlp.backends.local.preparation import Known
    from mlp.backends.local.recording import Record
    from mlp.project import Project

__all__ = ["main"]

_PR_SET_PDEATHSIG: Final = 1
_EXTRAS: Final = {"conda": ("rattler", "uv"), "data": ("boto3",)}
"""By what the wheel calls it: the modules that it brings."""
_WITHOUT_BOTO: Final = ("http", "https", "file", "dbfs")

_LONGEST_REASON: Final = 2000

_log = logging.getLogger("mlp")


def main(arguments: Sequence[str]) -> int:
    """Run the project; the exit status. Everything else is told in the result."""
    given = _parsed(arguments)
    _end_with(given.parent)
    _keep_the_standard_error()
    _say_what_happens()
    assignment = Assignment(**json.loads(Path(given.assignment).read_text(encoding="utf-8")))
    if given.finish is not None:
        RemoteRecord(assignment).finish(given.finish)
        return 0
    result: dict[str, Any]
    try:
        result = _Arrival(assignment, Path(given.project)).run()
    except MlpError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 -- whole, where people read
        said = " ".join(str(error).split())
        result = {"outcome": "failed", "reason": f"{error.reason}: {said[:_LONGEST_REASON]}"}
    except (KeyboardInterrupt, SystemExit):
        result = {"outcome": "failed", "reason": "The run was told to end."}
    except Exception as error:  # noqa: BLE001 -- the last place that can still tell anybody
        traceback.print_exc()
        result = {"outcome": "failed", "reason": f"An error in mlp itself: {type(error).__name__}: {error}"}
    _write(Path(given.result), result)
    return 0


class _Arrival:
    """One run of a project that came as an archive."""

    def __init__(self, assignment: Assignment, archive: Path) -> None:
        self._assignment = assignment
        self._archive = archive
        self._directory = Path(assignment.directory)

    def run(self) -> dict[str, Any]:
        """Run the project, as far as that is done here.

        Raises:
            MlpError: It cannot be run, or did not end well.
        """
        project_directory = self._unpacked()
        # A relative path in a parameter is one of the project: nobody stands anywhere on a driver.
        os.chdir(project_directory)
        project = _loaded(project_directory)
        if project.databricks_spark_job is not None:
            return {"outcome": "script", "script": self._script(project, project_directory)}
        self._check(project)
        if wanted := self._wanted(project):
            return {"outcome": "wants", "extras": wanted}
        self._run_here()
        return {"outcome": "succeeded"}

    def _unpacked(self) -> Path:
        from mlp.source.bundle import unpack  # noqa: PLC0415

        into = self._directory / PROJECT_DIRECTORY
        if not into.is_dir():
            with self._archive.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            # Its name stands for the tree that it was packed from, and the archive has sums of its own.
            unpack(self._archive, into, sha256=digest)
        found = into / self._assignment.subdirectory
        if not found.is_dir() or not found.resolve().is_relative_to(into.resolve()):
            raise SourceNotFound(f"Could not find subdirectory {self._assignment.subdirectory} of the project.")
        return found

    def _check(self, project: Project) -> None:
        if project.environment.kind == "docker" and self._assignment.manager != "local":
            raise UsageError(NO_CONTAINERS)

    def _wanted(self, project: Project) -> list[str]:
        """Extras that the run needs and that are not installed."""
        wanted = []
        if project.environment.kind in {"conda", "python"} and self._assignment.manager != "local":
            wanted.append("conda")
        if any(map(_needs_boto, self._paths(project))):
            wanted.append("data")
        return [extra for extra in wanted if not all(find_spec(module) for module in _EXTRAS[extra])]

    def _paths(self, project: Project) -> list[str]:
        entry_point = project.entry_points.get(self._assignment.entry_point)
        declared = entry_point.parameters.values() if entry_point is not None else ()
        given = self._assignment.parameters
        return [str(given.get(each.name, each.default)) for each in declared if each.type == "path"]

    def _run_here(self) -> None:
        from mlp.backends.local import run  # noqa: PLC0415 -- not needed for scripts

        # `python` in a command is the cluster's own, unless the command has an environment of its own.
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        run(_request(self._assignment), echo=False, execution=_execution(self._assignment))

    def _script(self, project: Project, directory: Path) -> dict[str, Any]:
        file, arguments = self._call(project, directory)
        path = directory / file
        if not path.is_file() or not path.resolve().is_relative_to((self._directory / PROJECT_DIRECTORY).resolve()):
            raise EntryPointNotFound(f"The project has no file {file}, which its databricks_spark_job runs.")
        record = RemoteRecord(self._assignment)
        return {
            "name": file,
            "file": str(path),
            "arguments": list(arguments),
            "directory": str(directory),
            "variables": record.environment(),
        }

    def _call(self, project: Project, directory: Path) -> tuple[str, tuple[str, ...]]:
        """The Python file that the job runs, and its arguments."""
        from mlp.backends.databricks.git_projects import spark_python_call  # noqa: PLC0415 -- for scripts alone
        from mlp.backends.local.downloads import Downloads  # noqa: PLC0415
        from mlp.backends.local.places import LocalPlaces  # noqa: PLC0415
        from mlp.source import DirectoryFiles  # noqa: PLC0415

        assignment = self._assignment
        if (script := project.spark_script) is not None:
            if assignment.entry_point != "main" or assignment.parameters:
                _log.warning(
                    "The project's databricks_spark_job runs its python_file with its own parameters: the entry point "
                    "and the parameters that were given are not used."
                )
            return script.file, script.arguments
        invocation = project.resolve(
            assignment.entry_point,
            assignment.parameters,
            files=DirectoryFiles(directory),
            # There are no parameters of type path, so nothing is ever downloaded.
            places=LocalPlaces(caller=directory, project=directory, downloads=Downloads(None, ExitStack())),
            validate=assignment.validate,
        )
        return spark_python_call(invocation.command)


def _request(assignment: Assignment) -> Request:
    from mlp.backends.local import Request  # noqa: PLC0415 -- not needed for scripts

    return Request(
        uri=str(Path(assignment.directory) / PROJECT_DIRECTORY),
        subdirectory=assignment.subdirectory,
        entry_point=assignment.entry_point,
        parameters=assignment.parameters,
        env_manager=assignment.manager,
        run_id=assignment.run_id,
        tracking_uri=tracking_uri(assignment),
        validate=assignment.validate,
    )


def _execution(assignment: Assignment) -> Callable[[Request], Execution]:
    from mlp.backends.local.downloads import Downloads  # noqa: PLC0415
    from mlp.backends.local.execution import Execution  # noqa: PLC0415

    class Arrived(Execution):
        """A run on this machine that was recorded elsewhere before it came here."""

        def _begin(self, known: Known) -> Record:  # noqa: ARG002 -- the submitter has recorded what is known
            return RemoteRecord(assignment)

        def _downloads(self) -> Downloads:
            # Whoever planned the run knows its paths beforehand: the command is the one that was planned.
            return Downloads(None, self._cleaning, directory=Path(assignment.directory) / DATA_DIRECTORY)

        def prepare(self) -> Command:
            command = super().prepare()
            variables = {**command.variables}
            # What mlp is imported from stands first, and is not the command's to import from.
            own = variables.pop("PYTHONPATH", "").partition(os.pathsep)[2]
            return replace(command, variables={**variables, **({"PYTHONPATH": own} if own else {})})

    return Arrived


def _loaded(directory: Path) -> Project:
    from mlp.project import Project  # noqa: PLC0415
    from mlp.source import DirectoryFiles  # noqa: PLC0415

    return Project.load(DirectoryFiles(directory))


def _needs_boto(value: str) -> bool:
    scheme, separator, _ = value.partition(":/")
    return bool(separator) and scheme.lower() not in _WITHOUT_BOTO


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mlp-arriving")
    parser.add_argument("--assignment", required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--project")
    parser.add_argument("--result")
    parser.add_argument("--finish")
    return parser.parse_args(arguments)


def _end_with(parent: int) -> None:
    """Have the kernel tell us to end should the bootstrap be killed, which then cannot do it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("The bootstrap has ended.")


def _keep_the_standard_error() -> None:
    """Have what we say ourselves go where the standard error went, and the command's go with its standard output.

    Databricks keeps the standard output of a run alone, in which a traceback of the user's program then stands.
    """
    sys.stderr.flush()
    # A duplicate is not inherited: what the command leaves behind does not hold it open.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    os.dup2(1, 2)


def _say_what_happens() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: not getattr(record, "transient", False))
    handler.setFormatter(logging.Formatter("%(message)s"))
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)


def _write(path: Path, result: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
