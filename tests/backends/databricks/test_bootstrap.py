"""The program that the driver runs: what it needs of a driver, what it leaves there, and what it says."""

import ast
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from mlp.backends.databricks import bootstrap
from mlp.backends.databricks.body import BOOTSTRAP_VERSION
from mlp.backends.databricks.bootstrap import RunFailed
from tests.servers.wheels import wheel

SOURCE = Path(bootstrap.__file__)
READY = """
import json, pathlib, runpy, sys
program = runpy.run_path(sys.argv[1], run_name="bootstrap")
with program["ending_by_signals"]():
    print(program["Runtime"](pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])).ready([]))
"""
SLOW_PIP = """
import os, pathlib, sys, time
target = pathlib.Path(sys.argv[sys.argv.index("--target") + 1])
target.mkdir()
(target / "half.py").write_text("")
pathlib.Path(os.environ["BEGUN"]).write_text(str(os.getpid()))
while not pathlib.Path(os.environ["GO"]).exists():
    time.sleep(0.02)
"""


@pytest.fixture
def driver(tmp_path, databricks_python):
    """Starts programs as a driver does, with a directory for temporary files of its own."""
    for name in ("tmp", "own"):
        (tmp_path / name).mkdir(mode=0o700)

    def start(file, **variables):
        known = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return subprocess.Popen(
            [databricks_python, "-c", READY, SOURCE, file, tmp_path / "own"],
            env={**known, "TMPDIR": str(tmp_path / "tmp"), "PIP_NO_INDEX": "1", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def slow(tmp_path):
    """Variables that let pip stop in the middle, until it may go on."""
    (tmp_path / "shim" / "pip").mkdir(parents=True)
    (tmp_path / "shim" / "pip" / "__init__.py").touch()
    (tmp_path / "shim" / "pip" / "__main__.py").write_text(SLOW_PIP)
    return {
        "PYTHONPATH": str(tmp_path / "shim"),
        "BEGUN": str(tmp_path / "begun"),
        "GO": str(tmp_path / "go"),
    }


def ready(process):
    said, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint
    return Path(said.strip())


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pid_in(file):
    until(lambda: file.exists() and file.read_text())
    return int(file.read_text())


def is_running(pid):
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    return False


def test_it_knows_the_standard_library_alone_and_says_so_to_any_python():
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 8))
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    named = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module for node in top if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in named} <= set(sys.stdlib_module_names)
    assert "__file__" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_its_arguments_are_of_the_version_that_is_sent():
    assert str(BOOTSTRAP_VERSION) == bootstrap.VERSION


def test_a_python_that_is_too_old_is_named_with_the_runtime_that_has_another(monkeypatch):
    monkeypatch.setattr(bootstrap, "OLDEST_PYTHON", (99, 0))
    with pytest.raises(RunFailed, match=r"has Python 3\..* Databricks Runtime 15\.4 LTS or later"):
        bootstrap.main([])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "got version None"),
        (["--bootstrap-version", "2"], "got version 2"),
        (["--bootstrap-version", "1", "--runtime", "/r"], "not told --project, --assignment"),
    ],
)
def test_arguments_that_it_was_not_made_for_are_refused(arguments, said):
    with pytest.raises(RunFailed, match=said):
        bootstrap.read_arguments(arguments)


def test_an_assignment_may_stand_in_a_file(tmp_path):
    (tmp_path / "a.json").write_text('{"text": "ü"}', encoding="utf-8")
    given = ["--bootstrap-version", "1", "--runtime", "r", "--project", "p", "--assignment-file"]
    assert json.loads(bootstrap.read_arguments([*given, str(tmp_path / "a.json")])["--assignment"]) == {"text": "ü"}


def test_many_at_once_share_one_installation(driver, tmp_path):
    file = wheel(tmp_path / "w", "ours")
    places = {ready(process) for process in [driver(file) for _ in range(3)]}
    (place,) = places
    assert (place / "ours.py").is_file()
    assert place.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(each.name for each in place.parent.iterdir()) == sorted([place.name, f"{place.name}.lock"])


def test_settings_of_the_clusters_pip_do_not_get_in_the_way(driver, tmp_path):
    assert (ready(driver(wheel(tmp_path / "w", "ours"), PIP_USER="1")) / "ours.py").is_file()


def test_another_wheel_is_another_installation(driver, tmp_path):
    first = ready(driver(wheel(tmp_path / "w", "ours")))
    second = ready(driver(wheel(tmp_path / "w", "ours", "2.0")))
    assert first != second
    assert "2.0" in (second / "ours.py").read_text()


def test_an_installation_that_was_killed_in_the_middle_is_made_anew(driver, slow, tmp_path):
    file = wheel(tmp_path / "w", "ours")
    with driver(file, **slow) as killed:
        pip = pid_in(tmp_path / "begun")
        killed.kill()
    assert is_running(pip)
    waiting = driver(file)
    Path(slow["GO"]).touch()
    place = ready(waiting)
    assert (place / "ours.py").is_file()
    assert not (place / "half.py").exists()
    assert sorted(each.name for each in place.parent.iterdir()) == sorted([place.name, f"{place.name}.lock"])


def test_a_cancel_while_it_installs_leaves_neither_pip_nor_a_part(driver, slow, tmp_path):
    with driver(wheel(tmp_path / "w", "ours"), **slow) as process:
        pip = pid_in(tmp_path / "begun")
        process.terminate()
        _, complaint = process.communicate(timeout=60)
    assert "Terminated: The run was told to end (signal 15)." in complaint
    until(lambda: not is_running(pip))
    assert not [each for each in (tmp_path / "tmp").rglob("*") if ".part-" in each.name]


@pytest.mark.parametrize("kind", ["link", "writable"])
def test_what_somebody_else_could_have_put_there_is_not_used(driver, tmp_path, kind):
    shared = tmp_path / "tmp" / f"mlp-runtime-{os.getuid()}"
    if kind == "link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        shared.symlink_to(tmp_path / "theirs")
    else:
        shared.mkdir()
        shared.chmod(0o777)
    place = ready(driver(wheel(tmp_path / "w", "ours")))
    assert place.parent == tmp_path / "own" / "runtime"
    assert list(shared.iterdir()) == []


def test_a_failing_pip_is_told_in_one_line(driver, tmp_path):
    with driver(wheel(tmp_path / "w", "ours", requires=["nothing-of-that-name"])) as process:
        _, complaint = process.communicate(timeout=120)
    last = complaint.strip().splitlines()[-1]
    assert "RunFailed: pip could not install mlp on the cluster" in last
    assert "No matching distribution found for nothing-of-that-name" in last


def test_a_runs_directory_is_fresh_and_its_own_and_gone_afterwards(tmp_path):
    path = tmp_path / "runs" / "one"
    path.mkdir(parents=True)
    (path / "left").touch()
    with bootstrap.fresh_directory(path) as directory:
        assert list(directory.iterdir()) == []
        assert directory.stat().st_mode & 0o777 == 0o700
        (directory / "locked").mkdir()
        (directory / "locked" / "file").touch()
        (directory / "locked").chmod(0o500)
    assert not path.exists()


def test_a_directory_of_somebody_elses_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    with pytest.raises(RunFailed, match="not this user's alone"), bootstrap.fresh_directory(tmp_path / "link"):
        pytest.fail("it was used")
    assert (tmp_path / "theirs").is_dir()


@pytest.mark.parametrize(("mode", "is_safe"), [(0o755, True), (0o1777, True), (0o777, False), (0o775, False)])
def test_a_directory_that_others_could_replace_is_refused(tmp_path, mode, is_safe):
    (tmp_path / "parent").mkdir()
    (tmp_path / "parent").chmod(mode)
    refused = contextlib.nullcontext() if is_safe else pytest.raises(RunFailed, match="somebody else's")
    with refused, bootstrap.fresh_directory(tmp_path / "parent" / "run"):
        pass


@pytest.mark.parametrize("code", ["print('here')", "raise SystemExit(0)", "raise SystemExit(2)", "1 / 0"])
def test_a_script_leaves_the_driver_as_it_was(tmp_path, code):
    changing = "import os, sys; os.environ['NEW'] = '1'; sys.path.append('x'); sys.argv.append('y'); os.chdir('/')\n"
    (tmp_path / "job.py").write_text(changing + code)
    before = (list(sys.argv), list(sys.path), dict(os.environ), Path.cwd())
    ends = []
    script = {
        "name": "job.py",
        "file": str(tmp_path / "job.py"),
        "arguments": [],
        "directory": str(tmp_path),
        "variables": {"MLFLOW_RUN_ID": "r"},
    }
    with contextlib.suppress(RunFailed, ZeroDivisionError):
        bootstrap.run_script(script, types.SimpleNamespace(write=ends.append))
    assert (list(sys.argv), list(sys.path), dict(os.environ), Path.cwd()) == before
    assert ends == ["FAILED" if code in {"raise SystemExit(2)", "1 / 0"} else "FINISHED"]


def test_a_script_that_is_interrupted_was_killed(tmp_path):
    (tmp_path / "job.py").write_text("raise KeyboardInterrupt")
    script = {
        "name": "job.py",
        "file": str(tmp_path / "job.py"),
        "arguments": [],
        "directory": str(tmp_path),
        "variables": {},
    }
    ends = []
    with pytest.raises(KeyboardInterrupt):
        bootstrap.run_script(script, types.SimpleNamespace(write=ends.append))
    assert ends == ["KILLED"]


def test_output_reaches_a_stream_that_takes_text_alone():
    reading, writing = os.pipe()
    text = "ü 🦊\n" * 20_000
    ours = io.StringIO()
    with subprocess.Popen([sys.executable, "-c", f"print('ü 🦊\\n' * {20_000}, end='')"], stdout=writing):
        os.close(writing)
        bootstrap.copy(os.fdopen(reading, "rb", buffering=0), ours)
    assert ours.getvalue() == text


@pytest.mark.parametrize("error", [OSError("no space"), UnicodeEncodeError("ascii", "ü", 0, 1, "no"), AttributeError()])
def test_a_stream_that_takes_no_more_does_not_end_the_command(error):
    class Full(io.StringIO):
        def write(self, _text):
            raise error

    reading, writing = os.pipe()
    program = "import sys; [print('x' * 1000, flush=True) for _ in range(1000)]"
    with subprocess.Popen([sys.executable, "-c", program], stdout=writing) as process:
        os.close(writing)
        bootstrap.copy(os.fdopen(reading, "rb", buffering=0), Full())
    assert process.returncode == 0


def test_the_drivers_own_token_is_lent_to_what_it_starts(monkeypatch):
    context = types.SimpleNamespace(workspaceUrl="workspace.example", apiUrl=None, apiToken="dapi-of-the-run")
    package = types.ModuleType("dbruntime")
    module = types.ModuleType("dbruntime.databricks_repl_context")
    module.get_context = lambda: context
    monkeypatch.setitem(sys.modules, "dbruntime", package)
    monkeypatch.setitem(sys.modules, "dbruntime.databricks_repl_context", module)
    for name in bootstrap.WAYS:
        monkeypatch.delenv(name, raising=False)
    lent = bootstrap.surroundings()
    assert lent["DATABRICKS_HOST"] == "https://workspace.example"
    assert lent["DATABRICKS_TOKEN"] == "dapi-of-the-run"
    assert "DATABRICKS_TOKEN" not in os.environ
    for name in bootstrap.WAYS:
        with monkeypatch.context() as patch:
            patch.setenv(name, "of-the-cluster")
            lent = bootstrap.surroundings()
        assert {key: lent.get(key) for key in bootstrap.WAYS if key in lent} == {name: "of-the-cluster"}


@pytest.mark.parametrize(
    ("uri", "variables", "address", "authorization"),
    [
        ("databricks", {"DATABRICKS_HOST": "dbc.example/", "DATABRICKS_TOKEN": "t"}, "https://dbc.example", "Bearer t"),
        ("http://a:5000/b/", {"MLFLOW_TRACKING_TOKEN": "t", "DATABRICKS_TOKEN": "d"}, "http://a:5000/b", "Bearer t"),
        (
            "https://a",
            {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "p"},
            "https://a",
            "Basic YWRhOnA=",
        ),
        ("https://a", {"DATABRICKS_TOKEN": "d"}, "https://a", ""),
    ],
)
def test_a_tracking_server_gets_the_credentials_that_are_its_own(uri, variables, address, authorization):
    server = bootstrap.Server(uri, variables)
    assert (server.address, server.authorization) == (address, authorization)


def test_a_process_that_ends_without_a_word_is_told_by_its_status():
    assert bootstrap.how_it_ended(3) == "ended with exit status 3"
    assert bootstrap.how_it_ended(-signal.SIGSEGV) == "was ended by signal 11"
    assert "memory" in bootstrap.how_it_ended(-signal.SIGKILL)
