"""What a user is told when an environment cannot be built. Nothing is left behind in any of these cases."""

from __future__ import annotations

import socket

import pytest

from mlp.environment import read
from mlp.errors import (
    EnvironmentAccessDenied,
    EnvironmentInvalid,
    EnvironmentUnavailable,
    EnvironmentUnsolvable,
    PreparationError,
)
from tests.servers.conda_channel import Channel, Package, python_stub
from tests.servers.package_server import serving
from tests.servers.wheels import Index


@pytest.fixture(autouse=True)
def nothing_is_left(cache):
    yield
    assert not list(cache.layout.names())


@pytest.fixture
def index(tmp_path, monkeypatch):
    """An index over HTTP with one package."""
    index = Index(tmp_path / "index")
    index.add("gamma")
    monkeypatch.delenv("UV_NO_INDEX")
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with serving(index.root) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        yield server


def closed_port() -> int:
    """A port that nobody listens on, and nobody else can get while this test runs on this machine: 1 is reserved."""
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", 1)) != 0
    return 1


def test_a_conda_package_that_does_not_exist(conda, cache, conda_channel):
    with pytest.raises(EnvironmentUnsolvable) as raised:
        cache.ensure(conda("python", "nosuch"))
    message = str(raised.value)
    assert message.count("nosuch") == 1
    assert conda_channel.url in message
    assert "No candidates were found for nosuch" in message
    assert raised.value.exit_code == 69


def test_conda_packages_that_do_not_fit_together_are_explained_by_the_solver(conda, cache):
    with pytest.raises(EnvironmentUnsolvable, match=r"greeter .*\n?.*words >=1,<2"):
        cache.ensure(conda("python", "greeter", "words=2"))


def test_a_conda_package_for_another_machine_is_explained(conda, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "")
    channel = Channel(tmp_path / "channel", Package("fast", depends=("__cuda >=12",)))
    with pytest.raises(EnvironmentUnsolvable, match="__cuda"):
        cache.ensure(conda("fast", channel=channel.url))


@pytest.mark.usefixtures("index")
def test_a_pip_package_that_does_not_exist(python_env, cache):
    with pytest.raises(EnvironmentUnsolvable, match="nosuch was not found in the package registry") as raised:
        cache.ensure(python_env("dependencies: [nosuch]\n"))
    assert raised.value.exit_code == 69


def test_pip_packages_that_do_not_fit_together(python_env, cache):
    with pytest.raises(EnvironmentUnsolvable, match=r"picky depend on alpha<2"):
        cache.ensure(python_env("dependencies: [picky, alpha==2.0]\n"))


def test_a_line_that_is_no_requirement_is_told_with_its_place(python_env, cache, project):
    (project / "requirements.txt").write_text("alpha\n\nbeta beta\n")
    with pytest.raises(EnvironmentInvalid, match=r"^requirements\.txt:3: 'beta beta' is no requirement\."):
        cache.ensure(python_env("dependencies: [-r requirements.txt]\n"))


def test_a_channel_that_is_down(conda, cache):
    with pytest.raises(EnvironmentUnavailable, match=r"A conda channel that .*conda\.yaml needs could not be read"):
        cache.ensure(conda("python", channel=f"http://127.0.0.1:{closed_port()}"))


def test_a_channel_that_is_none(conda, cache, tmp_path):
    with pytest.raises(EnvironmentUnavailable, match=r"could not be read"):
        cache.ensure(conda("python", channel=(tmp_path / "absent").as_uri()))


@pytest.mark.parametrize("status", [401, 403])
def test_a_channel_that_wants_credentials(conda, cache, tmp_path, status):
    Channel(tmp_path / "served", python_stub())
    with (
        serving(tmp_path / "served", status=status) as server,
        pytest.raises(EnvironmentAccessDenied, match=r"It wants credentials, or others: put them into"),
    ):
        cache.ensure(conda("python", channel=server.url))


def test_a_conda_package_that_cannot_be_fetched(conda, cache, tmp_path):
    channel = Channel(tmp_path / "served", python_stub())
    for package in channel.root.rglob("*.tar.bz2"):
        package.unlink()
    with serving(tmp_path / "served") as server, pytest.raises(EnvironmentUnavailable, match="could not be read"):
        cache.ensure(conda("python", channel=server.url))


@pytest.mark.usefixtures("index")
def test_an_index_that_is_down(python_env, cache, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{closed_port()}/simple")
    with pytest.raises(
        EnvironmentUnavailable, match=r"A package index that .*python_env\.yaml needs could not be read"
    ):
        cache.ensure(python_env("dependencies: [gamma]\n"))


@pytest.mark.parametrize("status", [401, 403])
def test_an_index_that_wants_credentials(python_env, cache, index, status):
    index.behaviour.status = status
    with pytest.raises(EnvironmentAccessDenied, match=r"A package index refuses .* netrc file"):
        cache.ensure(python_env("dependencies: [gamma]\n"))


def test_a_package_that_cannot_be_built(python_env, cache, project):
    package = project / "lib"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "absent"\n[project]\nname = "ours"\nversion = "1"\n'
    )
    with pytest.raises(PreparationError, match=r"Installing the pip packages of .* failed\.\n") as raised:
        cache.ensure(python_env("dependencies: [./lib]\n"))
    assert type(raised.value) is PreparationError
    assert "absent" in str(raised.value)


def test_without_uv_the_way_to_get_it_is_told(python_env, cache, tmp_path, monkeypatch):
    # The builder is a process of its own: it is kept from finding uv as a user without it is.
    (tmp_path / "uv.py").write_text("raise ImportError\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(PreparationError, match=r"needs uv: pip install 'mlp-operator\[conda\]'"):
        cache.ensure(python_env("dependencies: [alpha]\n"))


def test_without_rattler_the_way_to_get_it_is_told(conda, cache, tmp_path, monkeypatch):
    (tmp_path / "rattler.py").write_text("raise ImportError\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(PreparationError, match=r"needs py-rattler: pip install 'mlp-operator\[conda\]'"):
        cache.ensure(conda("python"))


def test_warnings_of_the_file_are_logged(project, cache, conda_channel, caplog):
    (project / "conda.yaml").write_text(
        f"remark: x\nchannels: ['{conda_channel.url}', nodefaults]\ndependencies: [nosuch]\n"
    )
    with pytest.raises(EnvironmentUnsolvable):
        cache.ensure(read("conda", project / "conda.yaml"))
    assert "'remark' in the file is ignored" in caplog.text
