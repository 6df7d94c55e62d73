"""The two images, as the Dockerfiles make them."""

from __future__ import annotations

import json
import tarfile

import pytest

from tests.cluster import Missing
from tests.cluster.fixtures import own_kind
from tests.images import OPERATOR, RUNNER, build


class Contents:
    """What an archive of `docker save` holds: the image's configuration, and its files."""

    def __init__(self, path):
        self.files = {}
        with tarfile.open(path) as archive:
            (image,) = json.load(archive.extractfile("manifest.json"))
            self.config = json.load(archive.extractfile(image["Config"]))["config"]
            for layer in image["Layers"]:
                with tarfile.open(fileobj=archive.extractfile(layer)) as files:
                    for member in files:
                        self.files["/" + member.name.removeprefix("./")] = member
            # The base is the first layer; what is in it, we have not put there.
            with tarfile.open(fileobj=archive.extractfile(image["Layers"][0])) as files:
                self.catatonit = files.extractfile(files.getmember("usr/bin/catatonit")).read()


@pytest.fixture(scope="module")
def archives():
    if own_kind() != "node":
        raise Missing("images are built as root")
    return {image: build(image) for image in (RUNNER, OPERATOR)}


@pytest.fixture(scope="module")
def runner(archives):
    return Contents(archives[RUNNER])


@pytest.fixture(scope="module")
def operator(archives):
    return Contents(archives[OPERATOR])


def test_building_again_with_nothing_changed_costs_next_to_nothing(archives, capsys):
    # Their times are no witness: an archive that is used again is touched.
    before = {path: path.stat().st_ino for path in archives.values()}
    assert {image: build(image) for image in archives} == archives
    assert {path: path.stat().st_ino for path in archives.values()} == before
    assert "building" not in capsys.readouterr().err


def test_neither_image_runs_as_root(runner, operator):
    assert runner.config["User"] == operator.config["User"] == "65532:65532"


def test_the_operators_image_starts_the_operator(operator):
    assert operator.config["Entrypoint"] == ["mlp-operator"]
    assert "/opt/mlp/bin/mlp-operator" in operator.files


def test_the_runners_image_leaves_the_choice_of_program_to_the_pod(runner):
    assert not runner.config.get("Entrypoint")


def test_the_runners_image_has_only_what_runs_need(runner, operator):
    assert "/opt/mlp/pydantic/__init__.py" in runner.files
    assert "/opt/mlp/kopf/__init__.py" not in runner.files
    # Drivers start runs from their own pods.
    assert "/opt/mlp/kubernetes/__init__.py" in runner.files
    assert "/opt/mlp/kopf/__init__.py" in operator.files


def test_the_runners_image_brings_data_and_builds_environments(runner):
    for path in ("boto3/__init__.py", "_awscrt.abi3.so", "rattler/__init__.py", "bin/uv"):
        assert f"/opt/mlp/{path}" in runner.files
    # Git finds it on its PATH, and calls it for repositories that keep large files apart.
    assert "/usr/bin/git-lfs" in runner.files


def test_the_operators_image_reads_bundles_and_builds_nothing(operator):
    assert "/opt/mlp/boto3/__init__.py" in operator.files
    assert "/opt/mlp/rattler/__init__.py" not in operator.files
    assert "/opt/mlp/bin/uv" not in operator.files


def test_all_code_of_ours_is_compiled(runner):
    ours = [path for path in runner.files if path.startswith("/opt/mlp/mlp/") and path.endswith(".py")]
    assert "/opt/mlp/mlp/__init__.py" in ours
    for path in ours:
        directory, _, name = path.rpartition("/")
        assert any(
            other.startswith(f"{directory}/__pycache__/{name.removesuffix('.py')}.cpython-") for other in runner.files
        )


@pytest.mark.parametrize("which", ["runner", "operator"])
def test_an_image_has_neither_caches_nor_settings_of_the_build(which, request):
    files = request.getfixturevalue(which).files
    assert not [path for path in files if path.startswith(("/run/secrets/", "/root/.cache/", "/build/"))]
    assert "/etc/pip.conf" not in files
    assert not [path for path in files if path.startswith("/var/lib/apt/lists/") and path.endswith("Packages")]


def test_the_init_program_runs_in_any_image_because_it_is_static(runner):
    # A dynamic program names its loader in a program header of type PT_INTERP (3).
    program = runner.catatonit
    assert program[:5] == b"\x7fELF\x02"
    start, size, count = (
        int.from_bytes(program[32:40], "little"),
        *(int.from_bytes(program[at : at + 2], "little") for at in (54, 56)),
    )
    types = [int.from_bytes(program[start + i * size :][:4], "little") for i in range(count)]
    assert types
    assert 3 not in types
