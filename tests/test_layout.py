"""How the repository is laid out: what is easy to break by accident, and hard to find afterwards."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"mlp": ROOT / "runner" / "mlp", "mlp_operator": ROOT / "operator" / "mlp_operator"}


@pytest.fixture(scope="module")
def configuration():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def tracked(*patterns: str) -> list[Path]:
    """Files that Git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


@pytest.mark.parametrize("folder", ["operator", "runner"])
def test_the_folders_of_the_packages_are_no_packages(folder):
    assert not (ROOT / folder / "__init__.py").exists()


def test_the_standard_library_s_operator_can_be_imported_from_the_root():
    done = subprocess.run(
        [sys.executable, "-c", "import operator, collections; print(operator.add(1, 2))"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert done.stdout == "3\n"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_directory_of_a_package_with_modules_is_a_package(package):
    directories = {file.parent for file in PACKAGES[package].rglob("*.py")}

    assert [str(directory) for directory in directories if not (directory / "__init__.py").exists()] == []


def test_every_directory_of_tests_is_a_package():
    directories = {file.parent for file in tracked("tests/**.py")}

    assert directories
    assert [str(directory) for directory in directories if not (directory / "__init__.py").exists()] == []


def test_tests_lie_under_tests_alone():
    found = {file.relative_to(ROOT).parts[0] for file in tracked("*test_*.py", "*_test.py", "*conftest.py")}

    assert found == {"tests"}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_begins_by_saying_why_it_exists(package):
    bare = [file for file in PACKAGES[package].rglob("*.py") if not file.read_text().lstrip().startswith('"""')]

    assert bare == []


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_say_that_they_are_typed(package):
    assert (PACKAGES[package] / "py.typed").exists()


def test_the_rooms_that_the_import_contracts_speak_of_exist(configuration):
    """import-linter passes over a module that is not there: a renamed one would be free of its contract."""
    contracts = configuration["tool"]["importlinter"]["contracts"]
    names = {
        name.strip()
        for contract in contracts
        for key in ("source_modules", "forbidden_modules", "layers")
        for entry in contract.get(key, [])
        for name in entry.split("|")
    }
    ours = {name for name in names if name.split(".")[0] in PACKAGES}

    def exists(name: str) -> bool:
        package, *parts = name.split(".")
        path = PACKAGES[package].joinpath(*parts)
        return path.is_dir() or path.with_suffix(".py").exists()

    assert len(contracts) >= 6
    assert sorted(name for name in ours if not exists(name)) == []


def test_what_the_make_targets_leave_is_ignored():
    left = [".venv/", ".cache/", ".bootstrap/", "dist/", "runner/mlp/__pycache__/", ".pytest_cache/", ".ruff_cache/"]
    ignored = subprocess.run(
        ["git", "check-ignore", *left], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert ignored.stdout.split() == left
