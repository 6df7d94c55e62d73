"""What the double remembers, in a file: a server that was killed goes on where it was when it is started again."""

from __future__ import annotations

import json
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Store"]

TABLES = (
    "CREATE TABLE IF NOT EXISTS runs (run_id INTEGER PRIMARY KEY, document TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS facts (kind TEXT, name TEXT, document TEXT NOT NULL, PRIMARY KEY (kind, name))",
)


class Store:
    """Runs, and other facts by kind and name. Every write is there once the call returns, also for a process killed."""

    def __init__(self, path: Path):
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        # The kernel keeps what a killed process has written; only a machine's crash would lose it.
        self._database.execute("PRAGMA synchronous = OFF")
        for table in TABLES:
            self._database.execute(table)

    def runs(self) -> list[dict[str, Any]]:
        return [json.loads(text) for (text,) in self._ask("SELECT document FROM runs ORDER BY run_id")]

    def put_run(self, run_id: int, document: dict[str, Any]) -> None:
        self._ask("INSERT OR REPLACE INTO runs VALUES (?, ?)", run_id, json.dumps(document))

    def facts(self, kind: str) -> dict[str, Any]:
        found = self._ask("SELECT name, document FROM facts WHERE kind = ? ORDER BY rowid", kind)
        return {name: json.loads(text) for name, text in found}

    def fact(self, kind: str, name: str) -> Any:
        found = self._ask("SELECT document FROM facts WHERE kind = ? AND name = ?", kind, name)
        return json.loads(found[0][0]) if found else None

    def put_fact(self, kind: str, name: str, document: Any) -> None:
        self._ask("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", kind, name, json.dumps(document))

    def drop_fact(self, kind: str, name: str) -> None:
        self._ask("DELETE FROM facts WHERE kind = ? AND name = ?", kind, name)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()
