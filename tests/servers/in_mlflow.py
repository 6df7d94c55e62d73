"""Runs pieces of Python where MLflow is imported: that takes seconds, and MLflow warns of much that pytest refuses.

A program of its own, started once a session. A line of JSON on standard input is one piece (``code``, ``names``,
``directory``, ``variables``, ``unset``), a line on standard output what it has left in ``answer``. Whatever it prints
goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

import mlflow


def run(piece: dict) -> dict:
    os.chdir(piece["directory"])
    # What an earlier piece has set counts more than the environment, for as long as the process lives.
    mlflow.set_tracking_uri(None)
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "MLP_", "DATABRICKS_"))]:
        del os.environ[name]
    os.environ.update(piece["variables"])
    names = {"mlflow": mlflow, **piece["names"]}
    try:
        exec(piece["code"], names)
    except BaseException as error:  # noqa: BLE001 -- the test decides what an error means
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        while mlflow.active_run() is not None:
            mlflow.end_run()
    return {"answer": names.get("answer")}


def main() -> None:
    # A piece must neither read the pieces nor write among the answers.
    pieces = os.fdopen(os.dup(0))
    answers = os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    for line in pieces:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    sys.exit(main())
