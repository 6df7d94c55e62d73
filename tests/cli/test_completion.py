"""What a shell completes: asked by the real bash and the real kubectl, with the programs as they are installed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from mlp.cli.application import COMMANDS
from tests.cli.program import BIN, environment, mlp
from tests.cluster import binaries

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """\
entry_points:
  main:
    parameters:
      alpha: float
      rows: {type: int, default: 10}
      data: path
      verbose: {type: bool, default: false}
    command: python train.py
  my eval: {command: "true"}
  manual: {command: "true", parameters: {banana: }}
"""

# Outside of a completion bash has no compopt; this one tells what it was called with.
ASK = """\
eval "$(mlp completion bash)"
compopt() { echo "$2"; }
COMP_LINE=$1 COMP_POINT=${#1}
_mlp_completion mlp
for word in "${COMPREPLY[@]}"; do echo "=$word"; done
"""

UNANSWERING = """\
apiVersion: v1
kind: Config
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: "http://127.0.0.1:PORT"}}]
users: [{name: a, user: {}}]
"""


@pytest.fixture
def home(tmp_path):
    """A directory with a project in it, and nothing to know of any cluster."""
    (tmp_path / "wine").mkdir()
    (tmp_path / "wine" / "MLproject").write_text(PROJECT)
    (tmp_path / "wine" / "train.py").touch()
    (tmp_path / "wine" / "data").mkdir()
    return tmp_path


def ask(line: str, home: Path, **variables: str) -> tuple[list[str], set[str]]:
    """What bash would offer for the last word of a line, and the options that it is told to complete with."""
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK, "bash", line],
        cwd=home,
        env=environment(**{"HOME": str(home), "KUBECONFIG": "", **variables}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    return [line[1:] for line in lines if line.startswith("=")], {line for line in lines if not line.startswith("=")}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("mlp v", ["validate"]),
        ("mlp run --no-c", ["--no-conda"]),
        ("mlp completion ", ["bash", "zsh", "fish"]),
        ("mlp submit --dry-run c", ["client"]),
        # Entry points, and the scripts beside them.
        ("mlp run wine -e ", ["main", r"my\ eval", "manual", "train.py"]),
        ("mlp run wine --entry-point ma", ["main", "manual"]),
        ("mlp submit -P alpha=1 wine -e m", ["main", r"my\ eval", "manual"]),
        ("mlp validate .#wine -e ma", ["main", "manual"]),
        # Parameters that are not given yet.
        ("mlp run wine -P ", ["alpha=", "rows=", "data=", "verbose="]),
        ("mlp run wine -P alpha=1 -P ", ["rows=", "data=", "verbose="]),
        ("mlp run wine -e manual -P ", ["banana="]),
        ("mlp run -e manual wine -P b", ["banana="]),
        # And their values; what stands before the '=' stays on bash's line.
        ("mlp run wine -P rows=", ["10"]),
        ("mlp run wine -P verbose=f", ["false"]),
        ("mlp run wine -P data=wi", ["wine/"]),
        ("mlp run wine -P data=wine/", ["wine/MLproject", "wine/data/", "wine/train.py"]),
        # Where there is nothing to offer.
        ("mlp run gone -e ", []),
        ("mlp run https://git.example.com/a.git -P ", []),
        ("mlp run wine -e gone -P ", []),
        ("mlp run wine -P gone=", []),
        # As Click has it for what is no command.
        ("mlp gone ", list(COMMANDS)),
        ("mlp get ", []),
    ],
)
def test_bash_completes(home, line, offered):
    assert ask(line, home)[0] == offered


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("mlp run wi", {"dirnames"}),
        ("mlp submit -f ", {"default"}),
        ("mlp run wine -P ", {"nospace"}),
        ("mlp run wine -e ", set()),
    ],
)
def test_bash_is_told_what_it_completes_itself_and_where_no_space_follows(home, line, options):
    assert ask(line, home)[1] == options


def test_without_a_uri_the_current_directory_is_the_project(home):
    assert ask("mlp run -e ma", home / "wine")[0] == ["main", "manual"]


def test_a_project_with_mistakes_is_completed_as_far_as_it_can_be_read(home):
    (home / "wine" / "MLproject").write_text("entrypoints: {a: {command: x}, b: {comand: y}, c: z}\nname: [")
    assert ask("mlp run wine -e ", home)[0] == ["train.py"]

    (home / "wine" / "MLproject").write_text("entrypoints: {a: {command: x}, b: {comand: y}, c: z}\n")
    assert ask("mlp run wine -e ", home)[0] == ["a", "b", "train.py"]


@pytest.mark.parametrize("line", ["mlp run wine -P ", "mlp run wine -e ", "mlp get "])
def test_completion_imports_nothing_heavy(home, line):
    program = (
        "import sys\nfrom mlp.cli import main\n"
        "try: main([])\n"
        "finally: print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run(
        [str(BIN / "python"), "-c", program],
        cwd=home,
        env=environment(_MLP_COMPLETE="bash_complete", COMP_WORDS=line, HOME=str(home)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    imported = set(done.stderr.split())
    assert "mlp" in imported
    assert imported.isdisjoint({"kubernetes", "pydantic", "git", "requests", "mlflow", "asyncio", "rattler", "boto3"})


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(home, shell):
    done = mlp("completion", shell)

    assert done.returncode == 0
    assert f"_MLP_COMPLETE={shell}_complete" in done.stdout
    if shutil.which(shell):
        file = home / "script"
        file.write_text(done.stdout)
        subprocess.run([shell, "-n", str(file)], check=True, timeout=60)


def test_another_shell_is_a_usage_error():
    done = mlp("completion", "tcsh")

    assert done.returncode == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in done.stderr


def test_a_person_at_a_terminal_gets_the_word_completed(home):
    terminal, theirs = pty.openpty()
    with subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        cwd=home,
        env=environment(HOME=str(home), TERM="dumb", PS1="$ ", INPUTRC="/dev/null"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as bash:
        os.close(theirs)
        try:
            os.write(terminal, b'eval "$(mlp completion bash)"; echo "rea"dy\n')
            _read_until(terminal, b"ready\r\n")
            os.write(terminal, b"echo; mlp run wine -P verb\t")
            _read_until(terminal, b"-P verbose=")
            os.write(terminal, b"t\t")
            _read_until(terminal, b"true")
        finally:
            bash.kill()
            os.close(terminal)


def _read_until(terminal: int, wanted: bytes) -> None:
    """Read what a terminal shows until it has shown this."""
    shown = b""
    deadline = time.monotonic() + 60
    while wanted not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, shown
        shown += os.read(terminal, 4096)


def plugin(*words: str, cwd: Path, **variables: str) -> list[str]:
    """What the program that kubectl calls answers."""
    return subprocess.run(
        ["kubectl_complete-mlp", *words],
        cwd=cwd,
        env=environment(HOME=str(cwd), **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["va"], ["validate\tFind what is wrong with a project or a ProjectRun.", ":4"]),
        (["run", "wine", "-e", "m"], ["main\talpha rows data verbose", "my eval", "manual\tbanana", ":4"]),
        (["run", "wine", "-P", "r"], ["rows=\tint (default 10)", ":6"]),
        (["run", ""], [":16"]),
        (["submit", "-f", ""], [":0"]),
        (["get", ""], [":4"]),
    ],
)
def test_kubectl_is_answered_in_its_own_way(home, words, answer):
    assert plugin(*words, cwd=home) == answer


def test_without_any_word_the_commands_are_offered(home):
    assert plugin(cwd=home)[0].startswith("run\t")


def kubectl_directory() -> Path:
    return binaries.directory("control-plane")


def test_kubectl_mlp_is_completed_by_kubectl_itself(home):
    done = subprocess.run(
        [str(kubectl_directory() / "kubectl"), "__complete", "mlp", "run", "wine", "-e", "ma"],
        cwd=home,
        env=environment(HOME=str(home)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.splitlines() == ["main\talpha rows data verbose", "manual\tbanana", ":4"]


def test_the_names_of_runs_are_completed_from_the_cluster(home, runs):
    for name in ("wine-1", "wine-2", "beer-1"):
        runs.create(name)
    variables = {
        "PATH": f"{kubectl_directory()}:{BIN}:{os.environ['PATH']}",
        "KUBECONFIG": str(runs.cluster.kubeconfig),
    }

    # A server that is slow now has nothing to offer, and may have a moment later.
    deadline = time.monotonic() + 120
    offered: list[str] = []
    while not offered and time.monotonic() < deadline:
        offered, _ = ask(f"mlp delete -n {runs.namespace} wine-1 wi", home, **variables)
    assert offered == ["wine-2"]


def test_a_cluster_that_does_not_answer_has_nothing_to_offer(home):
    with socket.create_server(("127.0.0.1", 0)) as server:
        config = home / "config"
        config.write_text(UNANSWERING.replace("PORT", str(server.getsockname()[1])))
        path = f"{kubectl_directory()}:{BIN}:{os.environ['PATH']}"

        assert ask("mlp get ", home, PATH=path, KUBECONFIG=str(config)) == ([], set())
