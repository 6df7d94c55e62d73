"""conda.yaml: channels, match specs, pip's lines and variables.

For the managers that install no conda packages there is the part of it that they can use, as MLflow chooses it.
"""

from __future__ import annotations

import platform
import re
from typing import TYPE_CHECKING, Final

from mlp.environment.declared import Declared, place, requirement_lines
from mlp.environment.matching import SpecInvalid, canonical
from mlp.environment.requirements import Line

if TYPE_CHECKING:
    from mlp.project.problems import Findings
    from mlp.project.values import Mapping, Value

__all__ = ["declared", "python_part"]

_KEYS: Final = ("name", "channels", "dependencies", "variables", "prefix", "platforms", "category")
_WITHOUT_CONDA: Final = re.compile(r"(python|pip|setuptools|wheel)(<|>|<=|>=|=|==|!=)?([\d.]+)?$")


def declared(content: Value, findings: Findings) -> Declared:
    """Read the whole file. ``name`` and ``prefix`` mean nothing here: the environment is named by its hash.

    Raises:
        ProjectInvalid: It is not what such a file has to be.
    """
    mapping = _mapping(content, findings)
    if mapping is None:
        return Declared()
    specs: list[str] = []
    pip: tuple[Line, ...] = ()
    for item in _dependencies(mapping):
        if isinstance(item.data, str):
            specs.append(_canonical(item))
        else:
            pip += _pip(item, findings)
    return Declared(
        channels=_channels(mapping.given("channels")),
        conda=tuple(specs),
        pip=pip,
        variables=_variables(mapping.given("variables"), findings),
    )


def python_part(content: Value, findings: Findings) -> Declared:
    """Read what an interpreter with pip's packages can have of the file: its version, build tools and the pip section.

    Raises:
        ProjectInvalid: It is not what such a file has to be, or the version of Python is not pinned.
    """
    mapping = _mapping(content, findings)
    python: str | None = None
    build: list[Line] = []
    pip: tuple[Line, ...] = ()
    dropped: list[str] = []
    for item in _dependencies(mapping) if mapping else ():
        if not isinstance(item.data, str):
            pip = _pip(item, findings)
        elif found := _WITHOUT_CONDA.match(item.data):
            package, operator, version = found.groups()
            if package == "python" and python is None:
                python = _pinned(item, operator, version)
            else:
                pinned = {"=": "=="}.get(operator, operator)
                build.append(Line(f"{package}{pinned or ''}{version or ''}", place(item)))
        else:
            dropped.append(item.data)
    if python is None:
        python = platform.python_version()
        findings.warn(
            f"{content.position.file} does not include a python version specification. "
            f"Using the current python version {python}."
        )
    if dropped:
        findings.warn(f"The following conda dependencies will not be installed in the resulting environment: {dropped}")
    # The file's variables are dropped with conda, as MLflow does; it says nothing about it.
    if mapping and mapping.given("variables"):
        mapping.keys["variables"].warn("variables are set in conda environments only.", findings)
    return Declared(python=python, build=tuple(build), pip=pip)


def _mapping(content: Value, findings: Findings) -> Mapping | None:
    if content.empty:
        return None
    mapping = content.mapping("the file", wanted="a mapping with the keys channels and dependencies", findings=findings)
    mapping.only(_KEYS, findings)
    return mapping


def _dependencies(mapping: Mapping) -> list[Value]:
    value = mapping.given("dependencies")
    if value is None:
        return []
    if not isinstance(value.data, list):
        raise value.invalid(f"dependencies is {value.kind}, but it must be a list, such as [python=3.11, numpy].")
    items = list(value.items())
    for item in items:
        if isinstance(item.data, dict) and set(item.data) == {"pip"}:
            continue
        if not isinstance(item.data, str):
            raise item.invalid(
                f'Invalid conda dependency: {item.data}. Must be str or dict in the form of {{"pip": [...]}}'
            )
    return items


def _canonical(item: Value) -> str:
    text = str(item.data)
    try:
        return canonical(text)
    except SpecInvalid as error:
        raise item.invalid(
            f"{text!r} is no conda dependency: {error}. Write such as numpy=1.26 or 'numpy>=1.26,<2'."
        ) from None


def _pip(item: Value, findings: Findings) -> tuple[Line, ...]:
    section = item.mapping("the pip section", wanted="a mapping with the key pip", findings=findings).given("pip")
    return requirement_lines(section, "the pip section")


def _pinned(item: Value, operator: str | None, version: str | None) -> str:
    if operator is None or not version:
        raise item.invalid(f"Invalid dependency for python: {item.data}. It must be pinned (e.g. python=3.8.13).")
    if operator in {"<", ">", "!="}:
        raise item.invalid(
            f"Invalid version comparator for python: '{operator}'. Must be one of ['<=', '>=', '=', '==']."
        )
    return version.strip(".")


def _channels(value: Value | None) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value.data, list):
        raise value.invalid(f"channels is {value.kind}, but it must be a list, such as [conda-forge].")
    for item in value.items():
        if not isinstance(item.data, str) or not item.data.strip():
            raise item.no_text("a channel")
    return tuple(str(item.data).strip() for item in value.items())


def _variables(value: Value | None, findings: Findings) -> dict[str, str]:
    if value is None:
        return {}
    mapping = value.mapping("variables", wanted="a mapping of names and values", findings=findings)
    found: dict[str, str] = {}
    for name, entry in mapping.entries.items():
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            raise mapping.keys[name].invalid(f"{name!r} is no name of a variable: letters, digits and underscores.")
        if isinstance(entry.data, (list, dict)) or entry.empty:
            raise entry.no_text(f"the variable {name}")
        found[name] = str(entry.data)
    return found
