"""Credentials of channels and indexes reach their servers, and nothing else: no argument list, line, error or file."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from mlp.environment import read
from mlp.environment.credentials import Secrets, bare, split
from mlp.environment.git_access import GitAccess
from mlp.environment.indexes import indexes_from
from mlp.errors import MlpError
from tests.environment.local_package import write_package
from tests.servers import git_http
from tests.servers.conda_channel import Channel, noarch, python_stub
from tests.servers.package_server import serving
from tests.servers.wheels import Index

CHANNEL_PASSWORD = "ch4nnel-p@ss/word"
CHANNEL_TOKEN = "tk-0123456789abcdef"
INDEX_PASSWORD = "1ndex%word"
QUOTED = {CHANNEL_PASSWORD: "ch4nnel-p%40ss%2Fword", INDEX_PASSWORD: "1ndex%25word"}
PATIENCE = 60.0
BASIC = [f"bob:{CHANNEL_PASSWORD}", f"ann:{INDEX_PASSWORD}"]
SECRETS = [
    *(CHANNEL_PASSWORD, CHANNEL_TOKEN, INDEX_PASSWORD, *QUOTED.values()),
    *(base64.b64encode(each.encode()).decode() for each in BASIC),
]


@contextlib.contextmanager
def argument_lists():
    """All argument lists of this machine's processes, as often as they can be read while the block lasts."""
    seen: set[str] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            for entry in Path("/proc").iterdir():
                if entry.name.isdecimal():
                    with contextlib.suppress(OSError):
                        seen.add((entry / "cmdline").read_text(errors="replace"))
            time.sleep(0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def released_once(server, condition):
    """Hold what a server holds until a condition has come true, so that there is time to look."""

    def wait() -> None:
        server.asked_for_held.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        server.release()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        server.asked_for_held.set()
        server.release()
        thread.join()


def secrets_in(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def files_with_secrets(root: Path) -> list[str]:
    found = []
    for file in root.rglob("*"):
        if file.is_file() and not file.is_symlink():
            data = file.read_bytes()
            found += [f"{file}: {secret}" for secret in SECRETS if secret.encode() in data]
    return found


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A channel that wants a password, one that wants a token, and an index that wants a password."""
    Channel(tmp_path / "one", python_stub())
    Channel(tmp_path / "two", noarch("words"))
    index = Index(tmp_path / "index")
    index.add("gamma", requires=["delta"])
    index.add("delta")
    for name in ("UV_NO_INDEX", "UV_FIND_LINKS"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with (
        serving(tmp_path / "one", user=("bob", CHANNEL_PASSWORD)) as one,
        serving(tmp_path / "two", token=CHANNEL_TOKEN) as two,
        serving(index.root, user=("ann", INDEX_PASSWORD)) as three,
    ):
        yield one, two, three


@pytest.mark.parametrize("way", ["in the file", "in variables", "on a line"])
def test_credentials_are_used_and_left_nowhere(project, cache, served, monkeypatch, caplog, way):
    one, two, index = served
    caplog.set_level(logging.DEBUG)
    first = one.url_with(f"bob:{QUOTED[CHANNEL_PASSWORD]}")
    # Another host: rattler knows one credential for each, whatever the port.
    elsewhere = two.url.replace("127.0.0.1", "localhost")
    second = f"{elsewhere}/t/{CHANNEL_TOKEN}"
    simple = f"{index.url_with(f'ann:{QUOTED[INDEX_PASSWORD]}')}/simple"
    pip = "gamma"
    monkeypatch.setenv("PIP_INDEX_URL", simple)
    if way == "in variables":
        monkeypatch.setenv("FIRST", first)
        monkeypatch.setenv("TOKEN", CHANNEL_TOKEN)
        first, second = "${FIRST}", f"{elsewhere}/t/${{TOKEN}}"
    if way == "on a line":
        monkeypatch.delenv("PIP_INDEX_URL")
        pip = f"'--index-url {simple}', gamma"
    # The project's own file lies outside of what is searched: it is the user's.
    (project / "conda.yaml").write_text(
        f"channels: ['{first}', '{second}', nodefaults]\ndependencies: [python, words, pip: [{pip}]]\n"
    )
    lines: list[str] = []
    index.behaviour.held = ("/simple/gamma/",)
    with argument_lists() as seen, released_once(index, lambda: any("pip\0install" in each for each in list(seen))):
        specification = read("conda", project / "conda.yaml")
        environment = cache.ensure(specification, progress=lines.append)
    assert (environment.locked / "pip-freeze.txt").read_text() == "delta==1.0\ngamma==1.0\n"
    assert any("mlp.environment.builder" in each for each in seen)
    assert any("pip\0install" in each for each in seen)
    assert not secrets_in("\n".join(seen))
    assert not secrets_in("\n".join(lines) + caplog.text + repr(specification) + repr(environment))
    assert not secrets_in(json.dumps(specification.request()))
    assert not files_with_secrets(cache.root)
    assert not files_with_secrets(Path(os.environ["HOME"]))
    for server in served:
        assert {request.status for request in server.requests} <= {200, 404}


def test_credentials_are_in_no_error(project, cache, served, monkeypatch):
    one, two, index = served
    monkeypatch.setenv("PIP_INDEX_URL", f"{index.url_with(f'ann:{QUOTED[INDEX_PASSWORD]}')}/simple")
    told = []
    for channel, status in (
        (one.url_with(f"bob:{QUOTED[CHANNEL_PASSWORD]}"), 403),
        (f"{two.url}/t/{CHANNEL_TOKEN}", 403),
    ):
        for server in served:
            server.behaviour.status = status
        (project / "conda.yaml").write_text(f"channels: ['{channel}', nodefaults]\ndependencies: [python]\n")
        (project / "python_env.yaml").write_text("dependencies: [gamma]\n")
        for kind, name in (("conda", "conda.yaml"), ("python", "python_env.yaml")):
            with pytest.raises(MlpError) as raised:
                cache.ensure(read(kind, project / name))
            told.append(str(raised.value))
    assert len(told) == 4
    assert not secrets_in("\n".join(told))
    assert not files_with_secrets(cache.root)


@pytest.mark.parametrize("way", ["on a line", "in a variable"])
def test_credentials_for_git_are_used_and_left_nowhere(python_env, cache, tmp_path, monkeypatch, run_in, way):
    repository = tmp_path / "served" / "ours"
    repository.mkdir(parents=True)
    write_package(repository, "1")
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
        subprocess.run(["git", *identity, *command], cwd=repository, check=True)
    with git_http.serving(tmp_path / "served", accounts=git_http.Accounts({"bob": CHANNEL_PASSWORD})) as server:
        monkeypatch.setenv("PASS", QUOTED[CHANNEL_PASSWORD])
        password = "${PASS}" if way == "in a variable" else QUOTED[CHANNEL_PASSWORD]
        url = server.url.replace("://", f"://bob:{password}@")
        lines: list[str] = []
        specification = python_env(f"dependencies: ['ours @ git+{url}/ours']\n")
        with argument_lists() as seen:
            environment = cache.ensure(specification, progress=lines.append)
        assert run_in(environment, "python -c 'import ours; print(ours.value)'") == "1"
        assert any(request.credentials for request in server.requests)
        frozen = (environment.locked / "pip-freeze.txt").read_text()
        assert frozen.startswith(f"ours @ git+{server.url}/ours@")
    assert not secrets_in("\n".join([*seen, *lines, frozen, repr(specification)]))
    assert not files_with_secrets(cache.root)


def test_repositories_of_one_host_may_want_different_credentials():
    lines = ["a @ git+https://u:one1@h.example/a.git@v1", "b @ git+https://${T}@h.example/b.git", "c"]
    access = GitAccess(lines, {"T": "token", "GIT_CONFIG_COUNT": "1"})
    assert access.lines == ("a @ git+https://h.example/a.git@v1", "b @ git+https://h.example/b.git", "c")
    assert access.variables() == {
        "GIT_CONFIG_COUNT": "3",
        "GIT_CONFIG_KEY_1": "http.https://h.example/a.git.extraHeader",
        "GIT_CONFIG_VALUE_1": f"Authorization: Basic {base64.b64encode(b'u:one1').decode()}",
        "GIT_CONFIG_KEY_2": "http.https://h.example/b.git.extraHeader",
        "GIT_CONFIG_VALUE_2": f"Authorization: Basic {base64.b64encode(b'token:').decode()}",
    }


def test_two_credentials_for_one_host_are_warned_about(project):
    channels = "['https://a:one1@example.com/x', 'https://b:two2@example.com/y', nodefaults]"
    (project / "conda.yaml").write_text(f"channels: {channels}\n")
    assert read("conda", project / "conda.yaml").warnings == (
        "Channels of example.com are given with different credentials; only the last of them is used.",
    )


def test_a_users_own_authentication_file_is_used(project, cache, served, monkeypatch, tmp_path):
    one, _, _ = served
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"127.0.0.1": {"BasicHTTP": {"username": "bob", "password": CHANNEL_PASSWORD}}}))
    monkeypatch.setenv("RATTLER_AUTH_FILE", str(file))
    (project / "conda.yaml").write_text(f"channels: ['{one.url}', nodefaults]\ndependencies: [python]\n")
    assert cache.ensure(read("conda", project / "conda.yaml")).built
    assert not files_with_secrets(cache.root)


@pytest.mark.parametrize(
    ("url", "clean", "username", "password"),
    [
        ("https://example.com/c", "https://example.com/c", None, None),
        ("https://bob:pw@example.com:8443/c", "https://example.com:8443/c", "bob", "pw"),
        ("https://bob:p%40w@example.com/c", "https://example.com/c", "bob", "p@w"),
        ("https://example.com/t/TOKEN/c", "https://example.com/c", "", "TOKEN"),
        ("https://TOKEN@example.com/c", "https://example.com/c", "TOKEN", ""),
        ("file:///srv/t/x", "file:///srv/t/x", None, None),
        ("conda-forge", "conda-forge", None, None),
    ],
)
def test_an_address_is_split(url, clean, username, password):
    found, credential = split(url)
    assert found == clean
    assert (credential and credential.username, credential and credential.password) == (username, password)
    assert credential is None or credential.secret not in repr(credential)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--index-url https://me:pw@example.com/simple", "--index-url https://example.com/simple"),
        ("git+ssh://git@example.com/a.git", "git+ssh://git@example.com/a.git"),
        ("https://${USER}:${PASS}@example.com/", "https://${USER}:${PASS}@example.com/"),
        ("https://example.com/t/tk-123/c", "https://example.com/t/****/c"),
        ("a@b", "a@b"),
    ],
)
def test_texts_lose_the_credentials_of_addresses_in_them(text, expected):
    assert bare(text) == expected


def test_a_secret_is_masked_in_each_of_its_forms():
    secrets = Secrets.of(["p@ss", "p@ss-longer", "ab"])
    assert secrets.mask("p@ss p%40ss p@ss-longer ab") == "**** **** **** ab"
    assert "p@ss" not in repr(secrets)


def test_indexes_are_told_to_uv_in_its_own_variables():
    found = indexes_from(
        {
            "PIP_INDEX_URL": "https://me:pw@one.example/simple",
            "PIP_EXTRA_INDEX_URL": "https://two.example/simple https://TOKEN@three.example/simple",
            "PIP_FIND_LINKS": "/a /b",
            "PIP_TRUSTED_HOST": "one.example",
            "PIP_CERT": "/ca.pem",
            "UV_FIND_LINKS": "/c",
        }
    )
    assert found.variables == {
        "UV_DEFAULT_INDEX": "mlp-main-0=https://one.example/simple",
        "UV_INDEX_MLP_MAIN_0_USERNAME": "me",
        "UV_INDEX_MLP_MAIN_0_PASSWORD": "pw",
        "UV_INDEX": "https://two.example/simple mlp-further-1=https://three.example/simple",
        "UV_INDEX_MLP_FURTHER_1_USERNAME": "TOKEN",
        "UV_INDEX_MLP_FURTHER_1_PASSWORD": "",
        "UV_FIND_LINKS": "/c",
        "UV_INSECURE_HOST": "one.example",
        "SSL_CERT_FILE": "/ca.pem",
    }
    assert found.shown == {
        "UV_DEFAULT_INDEX": "https://one.example/simple",
        "UV_INDEX": "https://two.example/simple https://three.example/simple",
        "UV_FIND_LINKS": "/c",
    }
