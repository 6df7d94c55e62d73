"""The double as a test has it: started, stopped, killed and started again on the same port with the same memory."""

from __future__ import annotations

import dataclasses
import secrets
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.databricks_server.auth import Auth, FederationPolicy
from tests.databricks_server.executing import Executor
from tests.databricks_server.faults import Faults
from tests.databricks_server.files import Files
from tests.databricks_server.jobs import Jobs
from tests.databricks_server.journal import Journal
from tests.databricks_server.processes import below, end_below, of_run
from tests.databricks_server.routes import Routes
from tests.databricks_server.run import Phase
from tests.databricks_server.runs import Delays, Runs
from tests.databricks_server.serving import Listener
from tests.databricks_server.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["EXISTING_CLUSTER", "DatabricksServer"]

EXISTING_CLUSTER = "0101-120000-double01"


class DatabricksServer:
    """A Databricks workspace on this machine.

    Used as a context manager it is started and leaves nothing: no thread, no process of any run.

    Args:
        directory: Where it keeps everything: runs.db, files, runs, and the machines of its clusters.
        tokens: User names by personal access token; one of a user "ann@example.com" if not given.
        principals: Secrets of service principals by application id (OAuth M2M).
        policies: Whose tokens are exchanged for one of Databricks.
        token_lifetime: Seconds for which an issued token is good.
        python: The clusters' Python; a plain one with pip, made once for the machine, if not given.
        driver: The directory of the clusters' machines (home and temporary files). Servers may share one.
        host: The address that it listens on.
        port: The port; 0 for a free one, which it keeps.
        certificate: Files of a certificate and its key: it speaks TLS then.
        clusters: The ids of clusters that exist.
        volumes: The volumes that exist.
        dbfs_root: Whether DBFS can be used.
        private_homes: Whether /Workspace/Users/NAME is only for NAME.
        git_credentials: By identity, what it has in the workspace, as the API lists it; with "password" it is used.
        may_run_as: Whom identities may let runs run as; None: anybody.
        delays: How long runs stay in a state.
        internal_error: Whether a failed task's run ends as serverless compute tells it (INTERNAL_ERROR, FAILED).
        every_exit_fails: Whether sys.exit(0) is a failure too, as on some runtimes.
        at_once: How many runs may run at a time.
        gone_status: How a run that does not exist is answered: 400 or 404.
        metadata: Whether there is a /.well-known/databricks-config, which older workspaces do not have.
        control_token: Who may use POST /double/…; random if not given.
    """

    def __init__(
        self,
        directory: Path,
        *,
        tokens: Mapping[str, str] | None = None,
        principals: Mapping[str, str] | None = None,
        policies: Sequence[FederationPolicy] = (),
        token_lifetime: float = 3600.0,
        python: Path | None = None,
        driver: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        certificate: tuple[Path, Path] | None = None,
        clusters: Sequence[str] = (EXISTING_CLUSTER,),
        volumes: Sequence[str] = ("main.default.files",),
        dbfs_root: bool = True,
        private_homes: bool = True,
        git_credentials: Mapping[str, list[dict[str, Any]]] | None = None,
        may_run_as: dict[str, list[str]] | None = None,
        delays: Delays | None = None,
        internal_error: bool = False,
        every_exit_fails: bool = False,
        at_once: int | None = None,
        gone_status: int = 400,
        metadata: bool = True,
        control_token: str | None = None,
    ):
        self.directory = directory
        self.tokens = dict(tokens) if tokens is not None else {f"dapi{secrets.token_hex(16)}": "ann@example.com"}
        self.principals = dict(principals or {})
        self.policies = list(policies)
        self.token_lifetime = token_lifetime
        self.git_credentials = dict(git_credentials or {})
        self.delays = delays or Delays()
        self.control_token = control_token or secrets.token_hex(16)
        self.faults = Faults()
        self.journal = Journal()
        self.mistakes: list[str] = []
        """What the double itself did wrong: a test that sees any has found an error of the double."""
        self.submissions: list[dict[str, Any]] = []
        """Every accepted submission: run_id, token, identity, and whether it made a new run."""
        self.cancels: list[dict[str, Any]] = []
        """Every accepted cancel."""
        self._host = host
        self._port = port
        self._tls = _tls(certificate)
        self._clusters = clusters
        self._files_options: dict[str, Any] = {
            "volumes": tuple(volumes),
            "dbfs_root": dbfs_root,
            "private_homes": private_homes,
        }
        self._runs_options: dict[str, Any] = {
            "internal_error": internal_error,
            "at_once": at_once,
            "gone_status": gone_status,
        }
        self._may_run_as = may_run_as
        self._metadata = metadata
        self._reservation: socket.socket | None = None
        self._listener: Listener | None = None
        self._store: Store | None = None
        self._runs: Runs | None = None
        self._auth: Auth | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self._executor_options: dict[str, Any] = {"python": python, "every_exit_fails": every_exit_fails}
        self._driver = driver or directory / "driver"
        # One for all lives of this object: the children that it starts remain this process's, and are asked for
        # their status, also while nobody serves.
        self._executor: Executor | None = None

    # -- its life ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Serve, on the same port and with the same memory as before."""
        if self._listener is not None:
            raise RuntimeError("it serves already")
        self._reserve()
        self._store = Store(self.directory / "runs.db")
        self.files = Files(self.directory / "files", self._store, **self._files_options)
        if self._executor is None:
            self._executor = Executor(
                self.files, self._driver, self.mistakes, git_credentials=self.git_credentials, **self._executor_options
            )
        self._executor.serves(self.files)
        self._auth = Auth(
            self._store,
            tokens=self.tokens,
            principals=self.principals,
            policies=tuple(self.policies),
            lifetime=self.token_lifetime,
        )
        self._runs = Runs(self._store, self._executor, self.directory / "runs", self.delays, **self._runs_options)
        self._runs.submissions, self._runs.cancels = self.submissions, self.cancels
        routes = Routes(
            auth=self._auth,
            jobs=Jobs(self._runs, self._executor, self._clusters, self._may_run_as),
            files=self.files,
            faults=self.faults,
            journal=self.journal,
            mistakes=self.mistakes,
            git_credentials=self.git_credentials,
            control_token=self.control_token,
            controls=self.control,
            metadata=self._metadata,
        )
        self._listener = Listener((self._host, self._port), routes, self._tls)
        self._runs.start()
        self._listener.start()
        return self

    def stop(self) -> None:
        """Serve no more. Connections are cut; what the runs have started goes on."""
        if self._listener is None:
            return
        self._listener.stop()
        self._listener = None
        assert self._runs is not None
        assert self._store is not None
        self._runs.stop()
        self._store.close()

    kill = stop
    """A crash, as clients and runs see it. (For one of the process too, see `Program`.)"""

    def close(self) -> None:
        """Stop, and leave no process of any run."""
        self.stop()
        if self._executor is not None:
            end_below(self.directory / "runs")
            self._executor.end_all()
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None

    def _reserve(self) -> None:
        """Keep the port while nobody listens: bound, it is given to nobody else, and connections to it are refused."""
        if self._reservation is None:
            self._reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._reservation.bind((self._host, self._port))
            self._port = self._reservation.getsockname()[1]

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://{self._host}:{self._port}"

    @property
    def token(self) -> str:
        """A personal access token."""
        return next(iter(self.tokens))

    @property
    def user(self) -> str:
        """Whose `token` is."""
        return self.tokens[self.token]

    # -- what tests do with it -----------------------------------------------------------------------------------------

    def script(self, pattern: str, directives: str | dict[str, Any] | None = None, **more: Any) -> None:
        """Let runs that are submitted from now on do what is said (`run.script_of`), if their name has the pattern."""
        self._now.script(pattern, directives if directives is not None else more)

    def release(self, run_id: int) -> None:
        """Let a run go on that its script holds."""
        self._now.release(run_id)

    def forget(self, run_id: int) -> None:
        """Let a run's history be over: nobody has heard of it, nor of its token."""
        self._now.forget(run_id)

    def runs(self) -> list[dict[str, Any]]:
        """All runs, the oldest first, as `run.Run` has them; also those that are deleted or forgotten."""
        return self._now.everything()

    def run(self, run_id: int) -> dict[str, Any]:
        """One of them."""
        return next(each for each in self.runs() if run_id in {each["run_id"], each["task_run_id"]})

    def stderr(self, run_id: int) -> str:
        """What a run's task has written to its standard error, which the API tells nobody."""
        path = Path(self.run(run_id)["directory"]) / "stderr"
        return path.read_text(errors="replace") if path.exists() else ""

    def processes(self, run_id: int) -> list[str]:
        """The command lines of a run's processes that are running."""
        run = self.run(run_id)
        return [each.command for each in of_run(run["pid"], run["directory"])]

    def left_behind(self) -> list[str]:
        """The command lines of what still runs of runs that have ended: there must not be any."""
        ended = {run["directory"] for run in self.runs() if run["phase"] == Phase.ENDED}
        return [command for directory, command in below(self.directory / "runs").values() if directory in ended]

    def change_delays(self, **seconds: float) -> None:
        """Let runs stay in a state for another time (the attributes of `Delays`)."""
        for name, value in seconds.items():
            if not hasattr(self.delays, name):
                raise AttributeError(f"there is no delay {name}")
            setattr(self.delays, name, value)

    def revoke_issued_tokens(self) -> None:
        """Let all tokens be invalid that the token endpoint has issued until now."""
        assert self._auth is not None
        self._auth.revoke_issued()

    @property
    def issued(self) -> list[dict[str, Any]]:
        """What the token endpoint has issued, to whom."""
        assert self._auth is not None
        return self._auth.issued

    def control(self, call: str, given: dict[str, Any]) -> Any:
        """One of the calls above, by name: for tests in another process."""
        calls: dict[str, Callable[..., Any]] = {
            "script": self.script,
            "release": self.release,
            "forget": self.forget,
            "run": self.run,
            "runs": self.runs,
            "processes": self.processes,
            "stderr": self.stderr,
            "requests": lambda: [dataclasses.asdict(each) for each in self.journal.requests()],
            "submissions": lambda: self.submissions,
            "cancels": lambda: self.cancels,
            "mistakes": lambda: self.mistakes,
            "issued": lambda: self.issued,
            "delays": self.change_delays,
            "revoke_issued_tokens": self.revoke_issued_tokens,
            "faults/add": self._add_fault,
            "faults/random": self.faults.random,
            "faults/clear": self.faults.clear,
            "faults/done": lambda: self.faults.done,
        }
        if call not in calls:
            raise ValueError(f"there is no call {call}")
        return calls[call](**given)

    def _add_fault(self, **options: Any) -> None:
        self.faults.add(**options)

    @property
    def _now(self) -> Runs:
        if self._runs is None:
            raise RuntimeError("it was never started")
        return self._runs


def _tls(certificate: tuple[Path, Path] | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context
