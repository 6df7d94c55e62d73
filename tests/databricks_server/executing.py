"""Executes a run's task: gets its code and its Python ready, starts it, and reads how it ended.

What it needs to know stands in the run's directory, so that a server that is started again can go on with what another
one began.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.databricks_server.processes import MARK, end, is_there, known_as, of_run
from tests.databricks_server.pythons import (
    PROGRAMS,
    InstallationError,
    cluster_variables,
    plain_python,
    python_with,
)
from tests.databricks_server.run import Ending

if TYPE_CHECKING:
    from tests.databricks_server.files import Files
    from tests.databricks_server.run import Run

__all__ = ["Executor", "Preparation", "needs_preparation"]

LAUNCHER = Path(__file__).with_name("launcher.py")
MOST_OUTPUT = 5 << 20
"""Bytes of what a task has printed that get-output answers."""


class _UnpreparedError(Exception):
    def __init__(self, ending: Ending):
        self.ending = ending
        super().__init__(ending.message)


@dataclass
class Outcome:
    """How a task ended."""

    succeeded: bool
    error: str | None = None
    trace: str | None = None
    at: float | None = None


class Preparation:
    """Makes a run ready to be launched, in a thread of its own, and can be broken off."""

    def __init__(self, executor: Executor, run: Run):
        self.ending: Ending | None = None
        """Why it failed."""
        self.launched: subprocess.Popen[bytes] | None = None
        self._executor = executor
        self._run = run
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._broken_off = False
        self._thread = threading.Thread(target=self._prepare, name=f"preparing {run.run_id}", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def break_off(self) -> None:
        """End it, and wait for its end."""
        with self._lock:
            self._broken_off = True
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
        self._thread.join()

    def started(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._process = process
            if self._broken_off:
                os.killpg(process.pid, signal.SIGKILL)

    def _prepare(self) -> None:
        try:
            self._executor.prepare(self._run, self)
            with self._lock:
                self._process = None
                if not self._broken_off:
                    self.launched = self._executor.launch(self._run)
        except _UnpreparedError as failure:
            self.ending = failure.ending
        except Exception as error:  # noqa: BLE001 -- whatever it is, the run must not stay PENDING for ever
            self._executor.mistakes.append(f"run {self._run.run_id} cannot be prepared: {error!r}")
            self.ending = Ending("INTERNAL_ERROR", None, repr(error), "INTERNAL_ERROR", "INTERNAL_ERROR")


def needs_preparation(run: Run) -> bool:
    """Whether getting ready takes long: a repository, or packages."""
    return bool(run.body.get("git_source") or run.task.get("libraries") or _dependencies(run))


def _dependencies(run: Run) -> list[str]:
    for each in run.body.get("environments") or ():
        if each["environment_key"] == run.task.get("environment_key"):
            return list((each.get("spec") or {}).get("dependencies") or ())
    return []


class Executor:
    """Starts tasks, and looks after them."""

    def __init__(
        self,
        files: Files,
        driver: Path,
        mistakes: list[str],
        *,
        python: Path | None,
        every_exit_fails: bool,
        git_credentials: dict[str, list[dict[str, Any]]],
    ):
        self.mistakes = mistakes
        self._files = files
        self._driver = driver
        self._python = python
        self._every_exit_fails = every_exit_fails
        self._git_credentials = git_credentials
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        for each in ("home", "tmp"):
            (driver / each).mkdir(parents=True, exist_ok=True)

    def serves(self, files: Files) -> None:
        """Take the files of a server that was started again."""
        self._files = files

    @property
    def has_python(self) -> bool:
        """Whether the clusters' Python is there already; to make it takes seconds."""
        return self._python is not None

    @property
    def python(self) -> Path:
        if self._python is None:
            self._python = plain_python()
        return self._python

    def prepare(self, run: Run, preparation: Preparation | None) -> None:
        """Write launch.json, and the run's environment, once everything that they name is there."""
        directory = Path(run.directory)
        (directory / "work").mkdir(parents=True, exist_ok=True)
        python = self._python_of(run, preparation)
        task = run.task["spark_python_task"]
        if run.body.get("git_source"):
            root = self._clone(run, preparation)
            file, cwd, import_from = root / task["python_file"], root, [str(root)]
            inside = file.resolve().is_relative_to(root.resolve())
        else:
            found = self._files.on_cluster(task["python_file"], run.run_as)
            file, cwd, import_from, inside = found or Path(), directory / "work", [], found is not None
        if not inside or not file.is_file():
            message = f"Cannot read the python file {task['python_file']}. Please check driver logs for more details."
            raise _UnpreparedError(Ending("INTERNAL_ERROR", "FAILED", message, "RUN_EXECUTION_ERROR", "CLIENT_ERROR"))
        plan = {
            "python": str(python),
            "launcher": str(LAUNCHER.parent),
            "file": str(file),
            "parameters": [self._translated(each, run.run_as) for each in task.get("parameters") or ()],
            "cwd": str(cwd),
            "import_from": import_from,
            "every_exit_fails": self._every_exit_fails,
            "variables": self._variables(run, python),
            "used_commit": run.used_commit,
        }
        temporary = directory / "launch.json.new"
        temporary.write_text(json.dumps(plan))
        temporary.replace(directory / "launch.json")

    def _variables(self, run: Run, python: Path) -> dict[str, str]:
        cluster = run.task.get("new_cluster") or {}
        version = re.match(r"\d+\.\d+", cluster.get("spark_version") or "")
        told = {"DATABRICKS_RUNTIME_VERSION": version[0] if version else "15.4"}
        if run.task.get("environment_key"):
            told = {"DATABRICKS_RUNTIME_VERSION": "client.2.0", "IS_SERVERLESS": "TRUE"}
        for each in run.body.get("environment_variables") or ():
            if each["environment_variables_key"] == run.task.get("environment_variables_key"):
                told.update((each.get("spec") or {}).get("variables") or {})
        told.update(cluster.get("spark_env_vars") or {})
        machine = cluster_variables(self._driver / "home", self._driver / "tmp", python)
        return {**machine, **told, MARK: run.directory}

    def _translated(self, word: str, run_as: str) -> str:
        """An argument as the task gets it: a path of the workspace's files as where they are here.

        That stands for the file systems that a cluster has mounted at /Workspace, /Volumes and /dbfs.
        """
        found = (
            self._files.on_cluster(word, run_as) if word.startswith(("/Workspace/", "/Volumes/", "/dbfs/")) else None
        )
        return str(found) if found is not None else word

    def _python_of(self, run: Run, preparation: Preparation | None) -> Path:
        packages: list[str] = []
        for library in run.task.get("libraries") or ():
            if "pypi" in library:
                packages.append(library["pypi"]["package"])
                if library["pypi"].get("repo"):
                    packages += ["--index-url", library["pypi"]["repo"]]
            else:
                (kind, path), *_ = library.items()
                packages += [*(["-r"] if kind == "requirements" else []), self._translated(path, run.run_as)]
        for dependency in _dependencies(run):
            packages += [self._translated(word, run.run_as) for word in dependency.split(" ", 1)]
        if preparation is None or not packages:
            return self.python
        variables = cluster_variables(self._driver / "home", self._driver / "tmp", self.python)
        try:
            return python_with(self.python, packages, self._driver / "pythons", variables, preparation.started)
        except InstallationError as error:
            said = f"Library installation failed: {error}"
            raise _UnpreparedError(
                Ending("INTERNAL_ERROR", "FAILED", said, "LIBRARY_INSTALLATION_ERROR", "CLIENT_ERROR")
            ) from error

    def _clone(self, run: Run, preparation: Preparation | None) -> Path:
        source = run.body["git_source"]
        root = Path(run.directory) / "repository"
        shutil.rmtree(root, ignore_errors=True)
        wanted = source.get("git_commit") or source.get("git_branch") or source.get("git_tag")
        git = ["git", "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false"]
        try:
            self._git([*git, "clone", "--quiet", "--no-checkout", "--", source["git_url"], str(root)], run, preparation)
            reference = {"git_branch": f"origin/{wanted}", "git_tag": f"refs/tags/{wanted}"}
            name = next((reference[key] for key in reference if source.get(key)), wanted)
            self._git([*git, "-C", str(root), "checkout", "--quiet", "--detach", name], run, preparation)
            run.used_commit = self._git([*git, "-C", str(root), "rev-parse", "HEAD"], run, preparation).strip()
        except InstallationError as error:
            said = f"Failed to checkout Git repository: {error}"
            raise _UnpreparedError(
                Ending("INTERNAL_ERROR", "FAILED", said, "REPOSITORY_CHECKOUT_FAILED", "CLIENT_ERROR")
            ) from error
        return root

    def _git(self, command: list[str], run: Run, preparation: Preparation | None) -> str:
        variables = {
            **{name: value for name, value in os.environ.items() if name.startswith(("SSL_", "GIT_SSL_"))},
            "PATH": PROGRAMS,
            "HOME": str(self._driver / "home"),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ASKPASS": "/bin/false",
        }
        for each in self._git_credentials.get(run.run_as, ()):
            if each["git_provider"] == run.body["git_source"]["git_provider"] and each.get("password"):
                helper = '!f() { echo "username=$DOUBLE_GIT_USER"; echo "password=$DOUBLE_GIT_PASSWORD"; }; f'
                variables |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "credential.helper"}
                variables |= {"GIT_CONFIG_VALUE_0": helper, "DOUBLE_GIT_USER": each["git_username"]}
                variables["DOUBLE_GIT_PASSWORD"] = each["password"]
        with subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            if preparation is not None:
                preparation.started(process)
            said, complaint = process.communicate()
        if process.returncode:
            raise InstallationError(complaint.strip())
        return said

    def launch(self, run: Run) -> subprocess.Popen[bytes]:
        """Start a run that is prepared. Of several starts for one run only the first does anything."""
        directory = Path(run.directory)
        plan = json.loads((directory / "launch.json").read_text())
        with (directory / "stdout").open("ab") as stdout, (directory / "stderr").open("ab") as stderr:
            process = subprocess.Popen(
                [plan["python"], "-u", str(LAUNCHER), str(directory)],
                cwd=plan["cwd"],
                env=plan["variables"],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        self._children[run.run_id] = process
        return process

    def prepare_now(self, run: Run) -> Ending | None:
        """Prepare and start a run that needs nothing that takes long; why that failed."""
        try:
            self.prepare(run, None)
            self.launch(run)
        except _UnpreparedError as failure:
            return failure.ending
        return None

    def claimed(self, run: Run) -> dict[str, Any] | None:
        """Which process runs it, once one does."""
        return _read(Path(run.directory) / "started.json")

    def outcome(self, run: Run) -> Outcome | None:
        """How the task ended; None if it has not."""
        child = self._children.get(run.run_id)
        gone = child is not None and child.poll() is not None
        if run.pid is not None:
            gone = not is_there(run.pid, run.began)
        elif child is None:
            return None
        elif gone and self.claimed(run) is not None:
            return None  # the next look reads whose it is
        if not gone:
            return None
        said = _read(Path(run.directory) / "ended.json")
        if said is None:
            return Outcome(succeeded=False, error="The Python process exited unexpectedly.")
        return Outcome(said["succeeded"], said.get("error"), said.get("trace"), said["at"])

    def ask_to_end(self, run: Run) -> None:
        """SIGTERM to the task's process group."""
        if run.pid is not None and is_there(run.pid, run.began):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(known_as(run.pid), signal.SIGTERM)

    def is_prepared(self, run: Run) -> bool:
        """Whether everything is ready: a server that has gone since may have started it, or been about to."""
        plan = _read(Path(run.directory) / "launch.json")
        if plan is not None:
            run.used_commit = plan["used_commit"]
        return plan is not None

    def was_never_started(self, run: Run) -> bool:
        """Whether nobody that this object knows of is about to execute it."""
        return run.run_id not in self._children and self.claimed(run) is None

    def left(self, run: Run) -> list[str]:
        """The command lines of the run's processes that are still there."""
        return [each.command for each in of_run(run.pid, run.directory)]

    def sweep(self, run: Run) -> bool:
        """SIGKILL to whatever is left of a run; whether nothing is."""
        found = of_run(run.pid, run.directory)
        end(found, signal.SIGKILL)
        child = self._children.get(run.run_id)
        if child is not None and child.poll() is not None:
            del self._children[run.run_id]
        return not found

    def is_running(self, run: Run) -> bool:
        child = self._children.get(run.run_id)
        if run.pid is None:
            return child is not None and child.poll() is None
        if child is not None:
            child.poll()
        return is_there(run.pid, run.began)

    def printed(self, run: Run) -> tuple[str, bool]:
        """The end of what the task has written to its standard output, and whether more was before it."""
        path = Path(run.directory) / "stdout"
        if not path.exists():
            return run.script.logs, False
        size = path.stat().st_size
        with path.open("rb") as stream:
            stream.seek(max(0, size - MOST_OUTPUT))
            return stream.read(MOST_OUTPUT).decode(errors="replace"), size > MOST_OUTPUT

    def reap(self) -> None:
        """Ask for the status of children that have ended, whichever run they were of."""
        for child in list(self._children.values()):
            child.poll()

    def end_all(self) -> None:
        """Leave nothing that this has started."""
        for child in self._children.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self._children.clear()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found
