"""The wheel of mlp is one that pip installs, of what is installed here, and always the same."""

import base64
import hashlib
import io
import subprocess
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import mlp
from mlp.backends.databricks import runtime as making
from mlp.backends.databricks.runtime import runtime
from mlp.errors import UsageError


@pytest.fixture
def wheel():
    return zipfile.ZipFile(io.BytesIO(runtime().content))


def test_every_file_of_the_package_is_in_it_and_nothing_else(wheel):
    root = Path(mlp.__file__).parent
    modules = {f"mlp/{path.relative_to(root).as_posix()}" for path in root.rglob("*.py")}
    names = {name for name in wheel.namelist() if not name.startswith("mlp_remote-")}
    assert modules | {"mlp/py.typed"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("mlp_operator")]
    assert wheel.read("mlp/errors.py") == (root / "errors.py").read_bytes()


def test_a_package_without_files_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(mlp, "__path__", [str(tmp_path / "program.pyz" / "mlp")])
    with pytest.raises(UsageError, match="inside of an archive"):
        runtime.__wrapped__()


def test_it_wants_what_the_installed_distribution_wants_for_running_projects(wheel):
    (name,) = [each for each in wheel.namelist() if each.endswith("/METADATA")]
    text = wheel.read(name).decode()
    wanted = [line.removeprefix("Requires-Dist: ") for line in text.splitlines() if line.startswith("Requires-Dist")]
    installed = metadata.requires("mlp-operator")
    assert wanted == [each for each in installed if "extra ==" not in each or "'conda'" in each or "'data'" in each]
    assert [each for each in wanted if "py-rattler" in each]
    assert not [each for each in wanted if each.startswith(("kopf", "kubernetes", "mlp-operator", "databricks"))]


def test_its_record_tells_what_is_in_it(wheel):
    (name,) = [each for each in wheel.namelist() if each.endswith("/RECORD")]
    recorded = {}
    for line in wheel.read(name).decode().splitlines():
        path, digest, size = line.rsplit(",", 2)
        recorded[path] = (digest, size)
    assert recorded.pop(name) == ("", "")
    assert set(recorded) == set(wheel.namelist()) - {name}
    for path, (digest, size) in recorded.items():
        content = wheel.read(path)
        expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        assert (digest, size) == (f"sha256={expected}", str(len(content)))


def test_the_same_files_give_the_same_bytes_and_others_another_name():
    first = runtime()
    runtime.cache_clear()
    assert runtime() == first
    assert runtime() is runtime()
    described = b"Name: a\n"
    files = {"mlp/a.py": b"1"}
    assert making._digest(files, described) != making._digest({"mlp/a.py": b"2"}, described)
    assert making._digest(files, described) != making._digest(files, b"Name: b\n")


def test_pip_installs_it_into_a_directory(tmp_path, databricks_python):
    file = tmp_path / runtime().name
    file.write_bytes(runtime().content)
    target = tmp_path / "installed"
    pip = [databricks_python, "-m", "pip", "install", "--no-index", "--no-deps", "--target", target, f"{file}[conda]"]
    subprocess.run(pip, check=True, capture_output=True, timeout=120)
    show = "import sys; sys.path.insert(0, sys.argv[1]); import mlp.errors as found; print(found)"
    said = subprocess.run(
        [databricks_python, "-I", "-c", show, target], check=True, capture_output=True, text=True, timeout=60
    )
    assert str(target / "mlp" / "errors.py") in said.stdout


def test_files_that_nobody_has_installed_are_refused(monkeypatch):
    monkeypatch.setattr(making, "_DISTRIBUTION", "mlp-of-nobody")
    runtime.cache_clear()
    with pytest.raises(UsageError, match="pip install mlp-of-nobody"):
        runtime()
