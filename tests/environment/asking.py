"""A process of its own that asks for an environment: ``python -m tests.environment.asking ROOT FILE [refresh]``.

It prints one line of JSON for each step, then one that says what it got.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Self

from mlp.environment import EnvironmentCache, read
from mlp.errors import MlpError


def main() -> int:
    root, file, *refresh = sys.argv[1:]
    kind = "conda" if Path(file).name == "conda.yaml" else "python"

    def say(**what) -> None:
        print(json.dumps(what), flush=True)

    try:
        environment = EnvironmentCache(Path(root)).ensure(
            read(kind, Path(file)), refresh=bool(refresh), progress=lambda line: say(step=line)
        )
    except MlpError as error:
        say(error=type(error).__name__, message=str(error))
        return 1
    say(path=str(environment.path), built=environment.built)
    return 0


class Asking:
    """Such a process, seen from a test. Entered, it runs; left, it is gone."""

    def __init__(self, root: Path, file: Path, *, refresh: bool = False) -> None:
        command = [sys.executable, "-m", "tests.environment.asking", str(root), str(file)]
        self.process = subprocess.Popen(
            command + ["refresh"] * refresh, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        self.said: list[dict] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def hear(self) -> dict | None:
        """The next thing that it says; None when it has nothing more to say."""
        line = self.process.stdout.readline()
        if not line:
            return None
        self.said.append(json.loads(line))
        return self.said[-1]

    def hear_step(self, beginning: str) -> None:
        """Listen until it says that it does something."""
        while (heard := self.hear()) is not None:
            if heard.get("step", "").startswith(beginning):
                return
        raise AssertionError(f"it never said {beginning!r}: {self.said}")

    def result(self) -> dict:
        """The last thing that it says."""
        while self.hear() is not None:
            pass
        return self.said[-1]

    @property
    def builder(self) -> int | None:
        """The process that builds for it, if there is one."""
        children = Path("/proc", str(self.process.pid), "task", str(self.process.pid), "children")
        found = [int(each) for each in children.read_text().split()]
        return found[0] if found else None


if __name__ == "__main__":
    sys.exit(main())
