"""`make demo`: projects on this machine, with the installed mlp. Each step is checked; the first that is off fails."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

EXAMPLES = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
COLOURS = sys.stdout.isatty() and "NO_COLOR" not in os.environ

# As if .venv were activated; nothing of this is for the tracking server that you may use.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
ENVIRONMENT["PATH"] = f"{PROGRAMS}:{os.environ['PATH']}"


def style(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if COLOURS else text


def step(title: str, *arguments: str, expect: str, status: int = 0) -> None:
    """Run mlp, show the call and what it prints, and insist on a piece of output and an exit status."""
    print(f"\n{style(title, '1')}\n{style('$ ' + shlex.join(['mlp', *arguments]), '36')}", flush=True)
    done = subprocess.run(
        [PROGRAMS / "mlp", *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(textwrap.indent(done.stdout, "  "), end="", flush=True)
    if done.returncode != status or expect not in done.stdout:
        wanted = f"exit status {status} and {expect!r} in the output"
        sys.exit(f"\nThis should have given {wanted}; the exit status was {done.returncode}.")
    if status:
        print(style(f"  (exit status {status}, as it should be)", "2"))


def repository(directory: Path) -> str:
    """A Git repository with the examples, as a team would have one."""
    # Your own settings (a signing key, hooks) are not for this repository.
    environment = {**ENVIRONMENT, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    git = ["git", "-c", "user.name=Demo", "-c", "user.email=demo@example.com", "-c", "init.defaultBranch=main"]
    for arguments in (
        ["init", "--quiet", "--bare", str(directory)],
        [f"--git-dir={directory}", f"--work-tree={EXAMPLES}", "add", "."],
        [f"--git-dir={directory}", f"--work-tree={EXAMPLES}", "commit", "--quiet", "--message=Examples"],
        [f"--git-dir={directory}", "tag", "v1"],
    ):
        subprocess.run([*git, *arguments], env=environment, check=True)
    return directory.as_uri()


def main(temporary: Path) -> None:
    step(
        "A project in a directory. Its MLproject file declares typed parameters; we give one.",
        "run", "diabetes_regression", "--env-manager", "local", "-P", "alpha=0.1",
        expect='"alpha": 0.1',
    )  # fmt: skip
    step(
        "A value that is no number is found before anything starts, with the place where its type stands.",
        "run", "diabetes_regression", "--env-manager", "local", "-P", "alpha=strong",
        expect="'alpha' got 'strong'", status=1,
    )  # fmt: skip
    step(
        "Scripts without an MLproject file are a project too. Values arrive exactly as they were typed.",
        "run", "no_mlproject", "-e", "greet.py", "-P", "name=Zoë O'Neill & $HOME",
        expect="Hello, Zoë O'Neill & $HOME!",
    )  # fmt: skip
    step(
        "Two entry points that pass a file: one writes it …",
        "run", "two_steps", "-e", "prepare", "-P", f"output={temporary / 'table.csv'}",
        expect="prepared 200 rows",
    )  # fmt: skip
    step(
        "… and the other takes it as a parameter of type path.",
        "run", "two_steps", "-e", "train", "-P", f"data={temporary / 'table.csv'}",
        expect='"slope": 1.999',
    )  # fmt: skip
    uri = repository(temporary / "examples.git")
    step(
        "The same from a Git repository: a tag, and a subdirectory of it.",
        "run", f"{uri}#two_steps", "-v", "v1",
        expect="prepared 200 rows",
    )  # fmt: skip
    manifest = temporary / "projectrun.yaml"
    text = (EXAMPLES / "no_mlproject" / "projectrun.yaml").read_text()
    manifest.write_text(text.replace("https://git.example.com/team/examples.git", uri))
    print(f"\n{style('A ProjectRun, as it would be applied to a cluster …', '1')}\n{style(f'$ cat {manifest}', '36')}")
    print(textwrap.indent(manifest.read_text(), "  "), end="")
    step("… runs here without any cluster.", "run", "-f", str(manifest), expect="Hello, Ada Lovelace!")


if __name__ == "__main__":
    began = time.monotonic()
    os.chdir(EXAMPLES)
    with tempfile.TemporaryDirectory(prefix="mlp-demo-") as directory:
        main(Path(directory))
    print(f"\n{style('Everything did what it should', '32')}, in {time.monotonic() - began:.1f} s.")
