"""Runs one Python file as the driver of a cluster would: inside this process, and without ``__file__``.

A program of its own, of the standard library alone: the cluster's Python runs it as ``launcher.py DIRECTORY``. What it
has to do stands in launch.json there. It says on the disk that it has started and how it ended, so that a server that
is started again finds out; and only the first of several started for one run does anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
import types
from pathlib import Path


def write(path, values):
    """Put a whole file there at once."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(values))
    temporary.replace(path)


def claim(path, values):
    """Put a whole file there if none is; whether that was so."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(values))
    try:
        os.link(str(temporary), str(path))
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def myself():
    """This process's id as /proc has it, and when it was started, in the kernel's ticks: the two are it for good."""
    words = Path("/proc/self/stat").read_text()
    return {"pid": int(words.split()[0]), "began": int(words.rpartition(")")[2].split()[19])}


def run(plan):
    """Execute the file; what it ended with."""
    source = Path(plan["file"]).read_bytes()
    main_module = types.ModuleType("__main__")
    sys.modules["__main__"] = main_module
    sys.argv = [plan["file"], *plan["parameters"]]
    sys.path[:] = plan["import_from"] + [entry for entry in sys.path if entry != plan["launcher"]]
    try:
        exec(compile(source, plan["file"], "exec"), main_module.__dict__)
    except SystemExit as ended:
        if ended.code in (None, 0) and not plan["every_exit_fails"]:
            return {"succeeded": True}
        return {"succeeded": False, "error": f"SystemExit: {ended.code}", "trace": traceback.format_exc()}
    except BaseException as error:  # noqa: BLE001 -- an interruption is an end too
        kind = type(error).__name__
        text = f"{kind}: {error}" if str(error) else kind
        return {"succeeded": False, "error": text, "trace": traceback.format_exc()}
    return {"succeeded": True}


def main():
    directory = Path(sys.argv[1])
    plan = json.loads((directory / "launch.json").read_text())
    if not claim(directory / "started.json", {**myself(), "at": time.time()}):
        return
    outcome = run(plan)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    if not outcome["succeeded"]:
        os.write(2, outcome["trace"].encode("utf-8", "backslashreplace"))
    write(directory / "ended.json", {**outcome, "at": time.time()})
    # Threads that the file has left behind hold up no cluster.
    os._exit(0)


if __name__ == "__main__":
    main()
