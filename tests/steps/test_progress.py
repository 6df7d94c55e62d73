"""What is said of a long step."""

from __future__ import annotations

import pytest

from mlp.steps import progress
from mlp.steps.progress import Progress

GIB = 1 << 30


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_download_is_told_of_every_ten_seconds(clock, capsys):
    told = Progress("Downloading data for parameter x")
    for _ in range(25):
        clock[0] += 1
        told.transfer(3 << 20, None, "s3://b/k")
    assert capsys.readouterr().out == "Downloading data for parameter x: s3://b/k: 3.0 MiB\n" * 2


def test_a_quick_download_of_much_is_told_of_every_tenth(clock, capsys):
    told = Progress("x")
    for eighth in range(9):
        clock[0] += 0.01
        told.transfer(eighth * GIB // 8, GIB, "u")
        told.transfer(eighth * GIB // 8 + 1, GIB, "u")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert lines[0] == "x: u: 128.0 MiB of 1.0 GiB (12%)"


def test_a_quick_download_of_little_is_not_told_of(capsys):
    told = Progress("x")
    for done in range(0, 1001, 100):
        told.transfer(done, 1000, "u")
    assert capsys.readouterr().out == ""


def test_of_steps_that_are_alike_some_are_told(clock, capsys):
    told = Progress("Environment")
    told.step("Solving for python")
    for number in range(30):
        clock[0] += 1
        told.step(f"Linking p{number} ({number} of 30)")
        told.step("Downloading conda packages: 1.0 MB so far")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Environment: Solving for python"
    assert [line.split()[2] for line in lines if "Linking" in line] == ["p0", "p10", "p20"]
    assert len([line for line in lines if "Downloading" in line]) == 3
