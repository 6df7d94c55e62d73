"""What makes an environment another one, and what does not."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from mlp.environment import read
from mlp.environment.matching import canonical

CONDA = """\
channels: [a, b, nodefaults]
dependencies: [python=3.11, "numpy >=1.2, <2", pip: [requests, scipy]]
variables: {A: 1, B: 2}
"""
PYTHON = "python: '3.11'\nbuild_dependencies: [pip]\ndependencies: [requests, scipy]\n"


@pytest.fixture
def hash_of(project):
    def hash_of(text, kind="conda", directory=project, **variables):
        directory.mkdir(exist_ok=True)
        file = directory / f"{kind}.yaml"
        file.write_text(text)
        return read(kind, file, variables=variables).hash

    return hash_of


def test_a_hash_is_20_hexadecimal_digits(hash_of):
    assert re.fullmatch(r"[0-9a-f]{20}", hash_of(CONDA))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("channels: [a", "name: x\nprefix: /x\nchannels: [a"),
        ("variables: {A: 1, B: 2}", "variables: {B: '2', A: 1}  # a remark"),
        ("python=3.11", "python 3.11.*"),
        ("numpy >=1.2, <2", "numpy>=1.2,<2"),
        (
            'python=3.11, "numpy >=1.2, <2"',
            "'numpy>=1.2,<2', python=3.11, python=3.11",
        ),
        ("[a, b,", "['https://conda.anaconda.org/a', b, a,"),
        ("[a, b,", "['https://me:secret@conda.anaconda.org/a/', b,"),
        ("[a, b,", "['https://conda.anaconda.org/t/my-token/a', b,"),
    ],
)
def test_what_is_only_written_differently_makes_no_difference(hash_of, before, after):
    assert before in CONDA
    assert hash_of(CONDA.replace(before, after)) == hash_of(CONDA)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[a, b,", "[b, a,"),
        ("3.11", "3.12"),
        ("requests, scipy", "scipy, requests"),
        ("scipy", "scipy==1"),
        ("B: 2", "B: 3"),
        (", nodefaults", ""),
    ],
)
def test_what_may_install_something_else_makes_a_difference(hash_of, before, after):
    assert before in CONDA
    assert hash_of(CONDA.replace(before, after)) != hash_of(CONDA)


@pytest.mark.parametrize(
    "variables",
    [
        {"MLP_CONDA_CHANNEL_PRIORITY": "strict"},
        {"MLP_CONDA_LINK_SCRIPTS": "no"},
        {"CONDA_OVERRIDE_CUDA": "12.4"},
        {"CONDA_OVERRIDE_GLIBC": "2.17"},
        {"CONDA_OVERRIDE_ARCHSPEC": "x86_64_v4"},
        {"MLP_EXCLUDE_NEWER": "2026-01-01"},
        {"PIP_INDEX_URL": "https://example.com/simple"},
        {"UV_INDEX": "https://example.com/simple"},
        {"MLP_INDEX_STRATEGY": "unsafe-best-match"},
        {"MLP_ENV_SALT": "week 7"},
        {"PIP_PRE": "1"},
        {"UV_RESOLUTION": "lowest"},
    ],
)
def test_settings_that_change_what_is_installed_make_a_difference(hash_of, variables):
    assert hash_of(CONDA, **variables) != hash_of(CONDA)


@pytest.mark.parametrize(
    "variables",
    [
        {"MLP_LINK_MODE": "copy"},
        {"MLP_ENV_BUILD_TIMEOUT": "60"},
        {"MLP_ENV_ROOT": "/elsewhere"},
        {"CONDA_OVERRIDE_LINUX": "6.1"},
        {"PIP_TRUSTED_HOST": "example.com"},
    ],
)
def test_other_settings_make_none(hash_of, variables):
    assert hash_of(CONDA, **variables) == hash_of(CONDA)


def test_credentials_of_an_index_make_no_difference(hash_of):
    urls = ("https://example.com/simple", "https://me:secret@example.com/simple")
    assert len({hash_of(PYTHON, "python", PIP_INDEX_URL=url) for url in urls}) == 1
    lines = [f"dependencies: ['--index-url {url}', numpy]\n" for url in urls]
    assert len({hash_of(line, "python") for line in lines}) == 1


def test_pips_variables_and_uvs_mean_the_same(hash_of):
    url = "https://example.com/simple"
    assert hash_of(PYTHON, "python", PIP_INDEX_URL=url) == hash_of(PYTHON, "python", UV_DEFAULT_INDEX=url)


def test_conda_channels_make_no_difference_to_an_environment_without_conda(hash_of):
    assert hash_of(PYTHON, "python", MLP_CONDA_CHANNELS="mine") == hash_of(PYTHON, "python")


def test_the_content_of_requirements_files_counts_and_their_names_do_not(hash_of, project):
    (project / "a.txt").write_text("requests\nscipy\n")
    text = "python: '3.11'\nbuild_dependencies: [pip]\ndependencies: [-r a.txt]\n"
    assert hash_of(text, "python") == hash_of(PYTHON, "python")
    (project / "a.txt").write_text("requests\nscipy==1\n")
    assert hash_of(text, "python") != hash_of(PYTHON, "python")


def test_the_content_of_local_packages_counts_wherever_they_lie(hash_of, tmp_path):
    hashes = []
    for name, content in (("one", "1"), ("two", "1"), ("three", "2")):
        directory = tmp_path / name
        (directory / "lib" / "__pycache__").mkdir(parents=True)
        (directory / "lib" / "module.py").write_text(content)
        (directory / "lib" / "__pycache__" / "module.pyc").write_text(name)
        hashes.append(hash_of("dependencies: [-e ./lib]\n", "python", directory))
    assert hashes[0] == hashes[1] != hashes[2]


SPECS = [
    "numpy", "_libgcc_mutex", "numpy=1", "numpy=1.20", "numpy=1.2.*", "numpy = 1.2.3", "numpy==1.2", "numpy == 1.2",
    "numpy>=1.2", "numpy >= 1.2", "numpy >1,<2", "numpy >1.0 , !=1.5 , <2", "numpy<=3.10", "ca-certificates=2023.10.3",
    "numpy=2023.08.22", "numpy=1.2=py*", "numpy 1.2", "Numpy=1", "a::numpy", "numpy[version='>=1']", "x.y-z=0",
    "numpy!=2",
]  # fmt: skip


def test_the_quick_way_to_one_form_gives_what_rattler_gives():
    # In a process of its own, left as rattler has to be left.
    code = (
        "import os, sys, json\nfrom rattler import MatchSpec\n"
        "print(json.dumps([str(MatchSpec(s)) for s in json.loads(sys.argv[1])]), flush=True)\nos._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(SPECS)], capture_output=True, text=True, check=True)
    assert [canonical(spec) for spec in SPECS] == json.loads(done.stdout)
