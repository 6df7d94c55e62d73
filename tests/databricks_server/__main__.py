"""`python -m tests.databricks_server --directory DIR`: the double as a process of its own.

That it can be killed, or live in the network of a test cluster. It prints its URL once it serves and ends with
SIGTERM, leaving no process of any run. What is secret comes in a file (--configuration: a JSON object of
DatabricksServer's keyword arguments), never in the arguments.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
from pathlib import Path
from typing import Any

from tests.databricks_server.auth import FederationPolicy
from tests.databricks_server.runs import Delays
from tests.databricks_server.server import DatabricksServer

PATHS = ("python", "driver")


def options(given: dict[str, Any]) -> dict[str, Any]:
    """DatabricksServer's keyword arguments from JSON."""
    found = dict(given)
    for name in PATHS:
        if found.get(name) is not None:
            found[name] = Path(found[name])
    if "certificate" in found:
        found["certificate"] = tuple(map(Path, found["certificate"]))
    if "delays" in found:
        found["delays"] = Delays(**found["delays"])
    if "policies" in found:
        found["policies"] = [
            FederationPolicy(**{**each, "audiences": tuple(each["audiences"])}) for each in found["policies"]
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--configuration", type=Path, help="a JSON file of further options")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    given = json.loads(arguments.configuration.read_text()) if arguments.configuration else {}
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with DatabricksServer(arguments.directory, host=arguments.host, port=arguments.port, **options(given)) as server:
        print(server.url, flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
