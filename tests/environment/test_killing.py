"""Builds that are killed: never is anything believed that is not whole, and the next run puts it right."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.environment.asking import Asking
from tests.processes import running_in

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 20
PATIENCE = 60.0


def contents(root: Path) -> dict[str, str]:
    """Every file of an environment with its content, apart from what tells when it was built."""
    found = {}
    for file in root.rglob("*"):
        path = str(file.relative_to(root))
        if path.startswith((".mlp/", "conda-meta/")) or file.name in {".lock", "uv_cache.json"}:
            continue
        if file.is_symlink():
            found[path] = str(file.readlink())
        elif file.is_file():
            found[path] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def wait_until_gone(group: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while left := running_in(group):
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def test_20_kills_at_any_moment_never_leave_an_environment_that_is_wrong(conda, cache, project, run_in):
    """Each round builds it anew, is killed at a step (and a moment later), and then simply runs."""
    specification = conda("python", "greeter", "pip: [beta]")
    environment = cache.ensure(specification)
    whole = contents(environment.path)
    steps = 10
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    outcomes = []
    for number in range(ROUNDS):
        step, moment = number % (steps + 1), chance.uniform(0, 0.12)
        with Asking(cache.root, project / "conda.yaml", refresh=True) as asking:
            for _ in range(step):
                if asking.hear() is None:
                    break
            builder = asking.builder
            time.sleep(moment)
            # In turns the run, which takes its builder with it, and the builder alone.
            victim = builder if number % 2 and builder else asking.process.pid
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                # It had just ended.
                victim = 0
            if victim == builder:
                outcomes.append(asking.result().get("error", "built"))
            asking.process.wait(PATIENCE)
        if builder:
            wait_until_gone(builder)
        again = cache.ensure(specification)
        round_of = f"round {number} of seed {seed}: step {step}, {moment:.3f} s"
        assert contents(again.path) == whole, round_of
        assert run_in(again, "greeter && beta") == "greeter 1.0\nbeta 1.0", round_of
        outcomes.append(again.built)
    # Some of them must have hit.
    assert True in outcomes
    assert set(outcomes) <= {True, False, "PreparationError", "built"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_builder_ends_with_the_run_that_ordered_it(conda, cache, project, number):
    conda("python", "pip: [beta]")
    with Asking(cache.root, project / "conda.yaml") as asking:
        asking.hear_step("Solving")
        builder = asking.builder
        assert builder is not None
        os.kill(asking.process.pid, number)
        wait_until_gone(builder)


def test_what_was_never_finished_is_not_believed(conda, cache):
    specification = conda("python")
    environment = cache.ensure(specification)
    (environment.locked / "ready.json").rename(environment.locked / "ready.tmp")
    (environment.path / "bin" / "left_behind").touch()
    assert cache.find(specification) is None
    again = cache.ensure(specification)
    assert again.built
    assert not (again.path / "bin" / "left_behind").exists()
