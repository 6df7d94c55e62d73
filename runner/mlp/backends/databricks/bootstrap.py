"""The program that Databricks runs for a packed project: it gets mlp there, and has it run the project.

It is uploaded as it stands and executed inside the driver's own Python, so it knows the standard library alone, runs on
any Python since 3.8 (to say so where that is too old), and leaves that process as it found it. It has no ``__file__``.
The command's output passes through the driver's streams, which are the run's output; a failure is an exception with one
line, since a driver tells nothing of an exit status.
"""

# ruff: noqa: B905 -- zip() takes no `strict` before Python 3.10

from __future__ import annotations

import base64
import codecs
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import runpy
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any, Iterator  # noqa: UP035 -- collections.abc has no generic ones before Python 3.9

VERSION = "1"
"""Of the arguments."""
OLDEST_PYTHON = (3, 11)
GRACE = "10"
"""Seconds that a command has to end, once the run was told to; MLP_GRACE sets others."""
MORE_GRACE = 5.0
"""Seconds that mlp has after that, to write how the run has ended."""
RECORDING = 10.0
"""Seconds for an answer of the tracking server, where mlp is not there to ask it."""
FINISHING = 60.0
"""Seconds for writing the end of a run whose script ran here."""
PATIENCE = 2.0
"""Seconds that are waited for the rest of the output of a command that has ended: what it left behind may go on."""
ARRIVING = "mlp.backends.databricks.arriving"
WAYS = ("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CONFIG_PROFILE")
"""Variables that say where a workspace is, or by what right it is asked."""
LINES = 8
"""Of what pip said, in the message."""


class RunFailed(Exception):  # noqa: N818 -- it stands in the run's output, and says what it is
    """The run did not end well; why, in one line."""


class Terminated(BaseException):
    """The driver was told to end, as by a cancel."""


def main(arguments: list[str]) -> None:
    """Run what the arguments name. Returns normally where it ended well."""
    if sys.version_info < OLDEST_PYTHON:
        raise RunFailed(
            f"The cluster has Python {platform.python_version()}, and mlp needs 3.11 or later. Choose Databricks "
            "Runtime 15.4 LTS or later (spark_version), or version 2 or later of the serverless environment."
        )
    given = read_arguments(arguments)
    assignment = json.loads(given["--assignment"])
    directory = Path(assignment["directory"])
    with ending_by_signals(), ending_the_record(assignment), fresh_directory(directory):
        told = directory / "assignment.json"
        told.write_text(given["--assignment"], encoding="utf-8")
        run(Runtime(Path(given["--runtime"]), directory), told, given["--project"])


def read_arguments(arguments: list[str]) -> dict[str, str]:
    """The arguments by their names, with the assignment itself in place of its file's name."""
    given = dict(zip(arguments[::2], arguments[1::2]))
    version = given.get("--bootstrap-version")
    if version != VERSION:
        raise RunFailed(
            f"The bootstrap takes arguments of version {VERSION}, and got version {version}. Submit the run anew."
        )
    if "--assignment-file" in given:
        given["--assignment"] = Path(given["--assignment-file"]).read_text(encoding="utf-8")
    missing = [name for name in ("--runtime", "--project", "--assignment") if name not in given]
    if missing:
        raise RunFailed(f"The bootstrap was not told {', '.join(missing)}. Submit the run anew.")
    return given


def run(runtime: Runtime, told: Path, project: str) -> None:
    """Have the project run: by a process of its own, or here, where Spark is."""
    environment = surroundings()
    extras: list[str] = []
    while True:
        result = arrive(runtime.ready(extras), told, project, environment)
        outcome = result.get("outcome")
        if outcome != "wants" or set(result["extras"]) <= set(extras):
            break
        extras = sorted({*extras, *result["extras"]})
    if outcome == "script":
        run_script(result["script"], Finishing(runtime.ready(extras), told, environment))
    elif outcome != "succeeded":
        raise RunFailed(result.get("reason") or "mlp ended without a word. What it wrote may say why.")


class Runtime:
    """mlp, installed for this user of this machine, apart from everything that the cluster's own Python has.

    Args:
        wheel: What is installed.
        directory: The run's own.
    """

    def __init__(self, wheel: Path, directory: Path) -> None:
        self.wheel = wheel
        self.directory = directory

    def ready(self, extras: list[str]) -> Path:
        """The directory to import it from, made now unless it is there."""
        content = self.wheel.read_bytes()
        place = self.root() / self.key(content, extras)
        with Path(f"{place}.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.is_dir():
                # Whoever began one of these was killed: it would have the lock otherwise.
                for part in place.parent.glob(f"{place.name}.part-*"):
                    remove(part)
                self.install(content, extras, place, lock.fileno())
        return place

    def root(self) -> Path:
        """Where installations are: shared by the runs of this user, and by nobody else."""
        shared = Path(tempfile.gettempdir()) / f"mlp-runtime-{os.getuid()}"
        for root in (shared, self.directory / "runtime"):
            with contextlib.suppress(FileExistsError):
                root.mkdir(0o700)
            if is_ours(root):
                return root
        # Somebody else has the first name, and nothing of theirs is executed. The second is in a directory of ours.
        raise RunFailed(f"{shared} is not this user's alone, and nothing can be made in {self.directory}.")

    def key(self, content: bytes, extras: list[str]) -> str:
        """What an installation depends on: the wheel, what is wanted of it, and the interpreter."""
        interpreter = [sys.implementation.cache_tag, platform.python_version(), platform.platform(), sys.executable]
        whole = json.dumps([hashlib.sha256(content).hexdigest(), extras, interpreter])
        return hashlib.sha256(whole.encode()).hexdigest()[:32]

    def install(self, content: bytes, extras: list[str], place: Path, lock: int) -> None:
        """Have pip install it beside, and give it its name once it is whole.

        pip has the lock, too: should this process be killed, nobody else begins before pip has ended.
        """
        part = Path(tempfile.mkdtemp(prefix=f"{place.name}.part-", dir=str(place.parent)))
        try:
            wheel = part / self.wheel.name
            wheel.write_bytes(content)
            wanted = f"{wheel}[{','.join(extras)}]" if extras else str(wheel)
            # The cluster's own settings apply, but for --user, with which --target does not go together.
            options = ["--no-user", "--quiet", "--no-input", "--disable-pip-version-check", "--no-warn-conflicts"]
            target = part / "installed"
            said, status = output_of(
                [sys.executable, "-m", "pip", "install", *options, "--target", str(target), wanted], lock
            )
            if status:
                lines = [line.strip() for line in said.splitlines() if line.strip()]
                raise RunFailed(
                    "pip could not install mlp on the cluster, which needs a package index that the cluster reaches: "
                    + " | ".join(lines[-LINES:])
                )
            target.rename(place)
        finally:
            remove(part)


def output_of(command: list[str], lock: int) -> tuple[str, int]:
    """What a program writes, and its status. It is gone when this returns, however it does."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=(lock,),
    ) as process:
        try:
            said, _ = process.communicate()
        except BaseException:
            end_session(process.pid)
            raise
    return said.decode("utf-8", "replace"), process.returncode


def arrive(runtime: Path, told: Path, project: str, environment: dict[str, str]) -> dict[str, Any]:
    """Start mlp in a process of its own, pass its output on, and give what it says of the end."""
    result = told.with_name("result.json")
    arguments = ["--assignment", str(told), "--project", project, "--result", str(result)]
    process = start(runtime, arguments, environment, subprocess.PIPE)
    copying = [
        threading.Thread(target=copy, args=(theirs, ours), daemon=True)
        for theirs, ours in ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
    ]
    try:
        for thread in copying:
            thread.start()
        process.wait()
    except BaseException:
        end(process)
        raise
    finally:
        for thread in copying:
            thread.join(PATIENCE)
    try:
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"reason": f"mlp {how_it_ended(process.returncode)} before the run was over."}
    return found


def how_it_ended(status: int) -> str:
    """An exit status in words."""
    if status == -signal.SIGKILL:
        return "was ended by SIGKILL, which is how the system ends a process when memory runs out,"
    return f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"


def start(
    runtime: Path, arguments: list[str], environment: dict[str, str], streams: int | None = None
) -> subprocess.Popen[bytes]:
    """A process that runs mlp, in a session of its own: all that it starts can be found by that."""
    path = os.pathsep.join([str(runtime), *filter(None, [environment.get("PYTHONPATH")])])
    return subprocess.Popen(
        # -P: the current directory is no place to import from.
        [sys.executable, "-P", "-m", ARRIVING, "--parent", str(os.getpid()), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=streams,
        stderr=streams,
        env=dict(environment, PYTHONPATH=path),
        start_new_session=True,
    )


def copy(theirs: IO[bytes], ours: Any) -> None:  # noqa: ANN401 -- whatever a driver has for sys.stdout
    """Pass bytes on as they come. A driver's streams may take text alone."""
    binary = getattr(ours, "buffer", None)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with contextlib.suppress(OSError), theirs:
        chunk = b"-"
        while chunk:
            chunk = os.read(theirs.fileno(), 65536)
            # A stream that takes no more is the driver's trouble: were reading to end with it, the command would fail.
            with contextlib.suppress(Exception):
                ours.flush()
                if binary is not None:
                    binary.write(chunk)
                    binary.flush()
                else:
                    ours.write(decoder.decode(chunk, final=not chunk))
                    ours.flush()


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything of its session: SIGTERM first, and SIGKILL for what is left."""
    # It passes the signal on to the command, and writes how the run has ended. Whoever sends us another is in a hurry.
    with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt, Terminated):
        process.terminate()
        process.wait(grace() + MORE_GRACE)
    end_session(process.pid)
    process.wait()


def grace() -> float:
    """Seconds that a command has to end."""
    try:
        return float(os.environ.get("MLP_GRACE", GRACE))
    except ValueError:
        return float(GRACE)


def end_session(leader: int) -> None:
    """Kill every process of a session. Those of leaders that have ended keep its number."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                # The name before ")" may hold anything; behind it stand the state, the parent, the group, the session.
                state, _, _, session = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:4]
                if int(session) == leader and state not in {b"Z", b"X"}:
                    os.kill(int(entry.name), signal.SIGKILL)


def surroundings() -> dict[str, str]:
    """The environment for mlp and the command: the driver's own, and a way to the workspace that it has no name for."""
    # The two outputs of a Python program are one there: lines of both stand in the order in which they were written.
    environment = {"PYTHONUNBUFFERED": "1", **os.environ, "MLP_GRACE": f"{grace():g}"}
    # Whoever has set any of these has another way. Else data (dbfs:/…) and MLflow are out of reach.
    if not any(environment.get(name) for name in WAYS):
        environment.update(driver_credentials())
    return environment


def driver_credentials() -> dict[str, str]:
    """The run's own token, which the driver has in its context and a process that it starts has not."""
    try:
        from dbruntime.databricks_repl_context import (  # type: ignore[import-not-found]  # noqa: PLC0415 -- a driver's
            get_context,
        )

        context = get_context()
        host, token = context.workspaceUrl or context.apiUrl, context.apiToken
    except Exception:  # noqa: BLE001 -- no driver, or one of another kind: then nothing is known of a token
        return {}
    if not host or not token:
        return {}
    return {"DATABRICKS_HOST": host if "://" in host else f"https://{host}", "DATABRICKS_TOKEN": token}


@contextlib.contextmanager
def ending_the_record(assignment: dict[str, Any]) -> Iterator[None]:
    """Let no MLflow run go on for ever whose end mlp could not write, such as because it could not be installed."""
    try:
        yield
    except BaseException as error:
        # Whatever comes of it, the run has ended as it has.
        with contextlib.suppress(Exception):
            end_record(assignment, surroundings(), "FAILED" if isinstance(error, Exception) else "KILLED")
        raise


def end_record(assignment: dict[str, Any], environment: dict[str, str], status: str) -> None:
    """Write the end of an MLflow run that is said to go on."""
    uri, run_id = assignment.get("tracking_uri"), assignment.get("run_id")
    if uri and run_id:
        server = Server(uri, environment)
        found = server.ask(f"runs/get?run_id={urllib.parse.quote(run_id)}")
        if found["run"]["info"].get("status") in {"RUNNING", "SCHEDULED"}:
            server.ask("runs/update", {"run_id": run_id, "status": status, "end_time": int(time.time() * 1000)})


class Server:
    """A tracking server, asked without mlp.

    Args:
        uri: Its address; ``databricks`` for the workspace.
        environment: The variables that say by what right it is asked.
    """

    def __init__(self, uri: str, environment: dict[str, str]) -> None:
        self.address, bearer = uri.rstrip("/"), environment.get("MLFLOW_TRACKING_TOKEN")
        if uri.startswith("databricks"):
            host, bearer = environment["DATABRICKS_HOST"].rstrip("/"), environment.get("DATABRICKS_TOKEN")
            self.address = host if "://" in host else f"https://{host}"
        user, password = (environment.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))
        self.authorization = f"Bearer {bearer}" if bearer else ""
        if user and password and not uri.startswith("databricks"):
            self.authorization = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send one request: the submitter has seen to it that the address is one of HTTP."""
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}/api/2.0/mlflow/{path}", content)  # noqa: S310 -- see above
        request.add_header("Content-Type", "application/json")
        if self.authorization:
            # Not to another host, to which an answer may lead.
            request.add_unredirected_header("Authorization", self.authorization)
        with urllib.request.urlopen(request, timeout=RECORDING) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
        return found


class Finishing:
    """Writes the end of a script's run into MLflow, which never changes how it ended."""

    def __init__(self, runtime: Path, told: Path, environment: dict[str, str]) -> None:
        self.runtime = runtime
        self.told = told
        self.environment = environment

    def write(self, status: str) -> None:
        """Write FINISHED, FAILED or KILLED."""
        arguments = ["--assignment", str(self.told), "--finish", status]
        process = start(self.runtime, arguments, self.environment)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(FINISHING)
        finally:
            end_session(process.pid)
            process.wait()


def run_script(script: dict[str, Any], finishing: Finishing) -> None:
    """Run a script here: a child of the driver could not use its Spark session."""
    status = "FAILED"
    try:
        # What it writes to its standard error would be lost: of a run, the standard output is kept.
        with as_the_script_expects(script), contextlib.redirect_stderr(sys.stdout):
            runpy.run_path(script["name"], run_name="__main__")
        status = "FINISHED"
    except SystemExit as ended:
        if ended.code not in {None, 0}:
            said = f"exit status {ended.code}" if isinstance(ended.code, int) else str(ended.code)
            raise RunFailed(f"{script['name']} ended with {said}") from None
        status = "FINISHED"
    except (KeyboardInterrupt, Terminated):
        status = "KILLED"
        raise
    finally:
        finishing.write(status)


@contextlib.contextmanager
def as_the_script_expects(script: dict[str, Any]) -> Iterator[None]:
    """The directory, arguments and variables of a script that was started as a program; afterwards, what was before."""
    argv, path, variables, directory = list(sys.argv), list(sys.path), dict(os.environ), Path.cwd()
    try:
        os.chdir(script["directory"])
        os.environ.update(script["variables"])
        sys.argv[:] = [script["name"], *script["arguments"]]
        sys.path.insert(0, str(Path(script["file"]).parent))
        yield
    finally:
        sys.argv[:], sys.path[:] = argv, path
        os.environ.clear()
        os.environ.update(variables)
        os.chdir(directory)


@contextlib.contextmanager
def fresh_directory(path: Path) -> Iterator[Path]:
    """A directory for this run alone, which is gone afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not is_safe(path.parent):
        raise RunFailed(f"{path.parent} is somebody else's, who could put another directory in place of the run's.")
    with contextlib.suppress(FileNotFoundError):
        if not is_ours(path):
            raise RunFailed(f"{path} is there, and is not this user's alone. Submit the run anew.")
        remove(path)  # an attempt before this one was killed
    path.mkdir(0o700)
    try:
        yield path
    finally:
        remove(path)


def remove(path: Path) -> None:
    """Remove a directory, also where a program has taken away the right to."""
    shutil.rmtree(path, ignore_errors=True)
    if path.is_dir():
        for directory, _, _ in os.walk(path):
            with contextlib.suppress(OSError):
                Path(directory).chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)


def is_ours(path: Path) -> bool:
    """Whether a path is a directory of this user's, and no link to one. What others could write to is not."""
    found = path.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def is_safe(parent: Path) -> bool:
    """Whether nobody but this user and root can take away or replace what this user makes in a directory."""
    found = parent.stat()
    return found.st_uid in {0, os.getuid()} and (not found.st_mode & 0o022 or bool(found.st_mode & stat.S_ISVTX))


@contextlib.contextmanager
def ending_by_signals() -> Iterator[None]:
    """Unwind at SIGTERM, where the driver's Python leaves it to the system; so nothing stays behind."""

    def terminate(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise Terminated(f"The run was told to end (signal {number}).")

    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


if __name__ == "__main__":
    main(sys.argv[1:])
