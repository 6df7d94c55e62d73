"""One thing that MLflow Projects do, what we do instead or too, and the tests that hold it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How what we do compares."""

    SAME = "same"
    """The same command line, message or record."""
    PROMISED = "as documented"
    """What MLflow's documentation promises and its code does not do."""
    FIXED = "fixed"
    """MLflow crashes, loses something or does harm; no working project relies on it."""
    OTHER = "different"
    """Decided otherwise, for the reason given."""
    LEFT_OUT = "left out"
    """Not done by us, and said so."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of docs/compatibility.md.

    Attributes:
        id: A letter for the table and a number; it stays when rows come and go.
        about: What the row is about.
        mlflow: What MLflow does.
        ours: What we do; with the reason where that is another thing.
        verdict: How the two compare.
        tests: Node IDs of pytest below `tests/`; behind one of the peers' tests, the name of its call in brackets.
    """

    id: str
    about: str
    mlflow: str
    ours: str
    verdict: Verdict
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Some rows of one kind.

    Attributes:
        letter: What their IDs begin with.
        title: The heading.
        rows: In the order of their numbers.
    """

    letter: str
    title: str
    rows: tuple[Row, ...]


_PEERS = "peers/test_mlflow_run.py"


def same(*calls: str) -> tuple[str, ...]:
    """The tests that give these calls to both programs and see the same."""
    return tuple(f"{_PEERS}::test_we_do_what_mlflow_does[{call}]" for call in calls)


def differs(*calls: str) -> tuple[str, ...]:
    """The tests that give these calls to both programs and see the difference that is meant."""
    return tuple(f"{_PEERS}::test_we_differ_only_where_and_as_we_mean_to[{call}]" for call in calls)


def held(module: str, *names: str) -> tuple[str, ...]:
    """Tests of one module."""
    return tuple(f"{module}::{name}" for name in names)
