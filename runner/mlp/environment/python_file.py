"""python_env.yaml: MLflow's own format, an interpreter's version and two lists of pip's lines."""

from __future__ import annotations

import platform
import re
from typing import TYPE_CHECKING, Final

from mlp.environment.declared import Declared, requirement_lines
from mlp.project.suggestion import did_you_mean, shortened

if TYPE_CHECKING:
    from mlp.project.problems import Findings
    from mlp.project.values import Value

__all__ = ["VERSION", "declared"]

_KEYS: Final = ("python", "build_dependencies", "dependencies")
VERSION: Final = re.compile(r"\d+(\.\d+){0,2}((a|b|rc)\d+)?")


def declared(content: Value, findings: Findings) -> Declared:
    """Read the file.

    Raises:
        ProjectInvalid: It is not what such a file has to be.
    """
    if content.empty:
        return Declared(python=platform.python_version())
    mapping = content.mapping(
        "the file", wanted="a mapping with the keys python, build_dependencies and dependencies", findings=findings
    )
    for key in mapping.entries:
        # MLflow refuses every key that it does not know, with a traceback.
        if key not in _KEYS:
            raise mapping.keys[key].invalid(
                f"{shortened(key)!r} is no key of a python_env file; the keys are {', '.join(_KEYS)}."
                f"{did_you_mean(key, _KEYS)}"
            )
    return Declared(
        python=_version(mapping.given("python")),
        build=requirement_lines(mapping.given("build_dependencies"), "build_dependencies"),
        pip=requirement_lines(mapping.given("dependencies"), "dependencies"),
    )


def _version(value: Value | None) -> str:
    if value is None or value.data == "":
        return platform.python_version()
    if not isinstance(value.data, str):
        # An unquoted 3.10 is the number 3.1: whoever wrote it has to say what was meant.
        quoted = f"; write python: '{value.text}'" if value.text else ""
        raise value.invalid(f"`python` must be a string but got {value.kind}{quoted}.")
    if not VERSION.fullmatch(value.data.strip()):
        raise value.invalid(
            f"python is {shortened(value.data)!r}, but it must be one version, such as '3.11' or '3.11.7'."
        )
    return value.data.strip()
