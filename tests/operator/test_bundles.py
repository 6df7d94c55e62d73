"""Packed projects: from ConfigMaps, and from real stores with nothing but their users' own credentials."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlp.errors import SourceInvalid
from mlp.source.bundle import Bundle, pack
from mlp.source.unpacking import Bounds
from mlp_operator.machinery.cluster import ApiError
from mlp_operator.runs.outcome import Refused, Unavailable, Working
from mlp_operator.runs.planning import Resolved
from mlp_operator.runs.status import plan_facts
from mlp_operator.runs.stores import store_of
from tests.operator.resolving import SETTINGS, Objects, at_work
from tests.servers.dbfs import workspace
from tests.servers.files_http import File, files_server

pytestmark = pytest.mark.usefixtures("temporary")

MLPROJECT = "name: wine\nentry_points:\n  main:\n    parameters: {alpha: float}\n    command: train {alpha}\n"
ALPHA = [{"name": "alpha", "value": "0.5"}]
PATIENT = replace(SETTINGS, resolve_timeout=60)
"""A program that imports boto3 takes its time where all cores are busy."""


@pytest.fixture
def packed(tmp_path):
    project = tmp_path / "wine"
    (project / "deep" / "er").mkdir(parents=True)
    (project / "MLproject").write_text(MLPROJECT)
    (project / "train.py").write_text("")
    (project / "deep" / "er" / "MLproject").write_text("name: deeper\nentry_points:\n  main: {command: dig}\n")
    return pack(project)


def in_config_map(content, *, key="project.tar.gz"):
    objects = Objects()
    objects.config_maps["wine-project"] = {key: content}
    return objects


def ask(desk, name, packed, *, sha256=None, subdirectory="", **options):
    """Ask for a run of what a ConfigMap holds."""
    bundle = {"configMapName": "wine-project", "sha256": sha256 or packed.sha256}
    return desk.ask_for(
        name,
        project={"bundle": bundle, "subdirectory": subdirectory},
        parameters=[] if subdirectory else ALPHA,
        **options,
    )


# --- ConfigMaps -----------------------------------------------------------------------------------------------------


async def test_a_config_map_becomes_a_plan(packed):
    async with at_work(in_config_map(packed.content)) as desk:
        found = await desk.answer(ask(desk, "a", packed))
    assert isinstance(found, Resolved)
    source = found.plan.source
    assert (source.bundle.sha256, source.bundle.uri, source.uri, source.commit) == (packed.sha256, None, None, None)
    assert (found.plan.project.name, found.plan.project.command) == ("wine", "train 0.5")
    facts = plan_facts(found.plan)["source"]
    assert (facts.sha256, facts.commit, facts.version) == (packed.sha256, None, None)


@pytest.mark.parametrize("subdirectory", ["deep/er", "./deep//er/"])
async def test_a_directory_of_a_bundle_is_a_project_too(packed, subdirectory):
    async with at_work(in_config_map(packed.content)) as desk:
        found = await desk.answer(ask(desk, "a", packed, subdirectory=subdirectory))
    assert (found.plan.source.subdirectory, found.plan.project.name) == ("deep/er", "deeper")


async def test_a_config_map_that_comes_after_its_run_is_asked_for_soon_and_again(packed):
    objects = Objects()
    async with at_work(objects) as desk:
        waits = []
        for _ in range(3):
            before = datetime.now(UTC)
            found = await desk.answer(ask(desk, "a", packed))
            assert isinstance(found, Unavailable)
            assert found.reason == "SourceUnavailable"
            assert "no ConfigMap wine-project in namespace team-a yet" in found.message
            waits.append((found.retry_at - datetime.now(UTC), found.retry_at - before))
        for (least, most), expected in zip(waits, (0.3, 0.6, 1.2), strict=True):
            assert least <= timedelta(seconds=expected) <= most
        objects.config_maps["wine-project"] = {"project.tar.gz": packed.content}
        assert isinstance(await desk.answer(ask(desk, "a", packed)), Resolved)


async def test_a_config_map_that_follows_its_run_at_once_is_no_news(packed, monkeypatch):
    objects = Objects()
    looks = []

    async def get(resource, namespace, name):
        looks.append(name)
        if len(looks) == 3:
            objects.config_maps["wine-project"] = {"project.tar.gz": packed.content}
        return await found(resource, namespace, name)

    found = objects.get
    monkeypatch.setattr(objects, "get", get)
    async with at_work(objects) as desk:
        assert isinstance(await desk.answer(ask(desk, "a", packed)), Resolved)


async def test_another_archive_than_the_one_that_was_submitted_is_refused(packed):
    other = hashlib.sha256(b"another").hexdigest()
    async with at_work(in_config_map(packed.content)) as desk:
        found = await desk.answer(ask(desk, "a", packed, sha256=other))
    assert isinstance(found, Refused)
    assert found.reason == "SourceInvalid"
    assert packed.sha256 in found.message
    assert other in found.message


async def test_what_is_left_of_an_earlier_run_is_not_taken_for_this_run_s(packed):
    objects = in_config_map(b"of another tree")
    objects.owners["wine-project"] = "u-earlier"
    async with at_work(objects) as desk:
        found = await desk.answer(ask(desk, "a", packed))
        assert isinstance(found, Unavailable)
        assert "made for an earlier run" in found.message
        objects.config_maps["wine-project"] = {"project.tar.gz": packed.content}
        objects.owners["wine-project"] = "u-a"
        assert isinstance(await desk.answer(ask(desk, "a", packed)), Resolved)


async def test_the_same_archive_serves_another_run(packed):
    objects = in_config_map(packed.content)
    objects.owners["wine-project"] = "u-earlier"
    async with at_work(objects) as desk:
        assert isinstance(await desk.answer(ask(desk, "a", packed)), Resolved)


UNREADABLE = {
    "another key": ({"project.zip": b"x"}, "has no key project.tar.gz in binaryData"),
    "forbidden": (ApiError(403, "Forbidden", "no rights"), "needs the verb get for configmaps"),
    "a server that fails": (ApiError(500, "InternalError", "etcd is away"), "etcd is away"),
}


@pytest.mark.parametrize(("answer", "part"), UNREADABLE.values(), ids=UNREADABLE)
async def test_a_config_map_that_cannot_be_read_is_waited_for(packed, answer, part):
    objects = Objects()
    objects.config_maps["wine-project"] = answer
    async with at_work(objects) as desk:
        found = await desk.answer(ask(desk, "a", packed))
    assert isinstance(found, Unavailable)
    assert (found.reason, part in found.message) == ("SourceUnavailable", True)


async def test_an_archive_that_cannot_be_unpacked_is_refused():
    rubbish = b"rubbish"
    bundle = Bundle(rubbish, hashlib.sha256(rubbish).hexdigest(), (), 7)
    async with at_work(in_config_map(rubbish)) as desk:
        found = await desk.answer(ask(desk, "a", bundle))
    assert (type(found), found.reason) == (Refused, "SourceInvalid")


async def test_a_directory_that_a_bundle_has_not_got_is_refused(packed):
    async with at_work(in_config_map(packed.content)) as desk:
        found = await desk.answer(ask(desk, "a", packed, subdirectory="none"))
    assert (type(found), found.reason) == (Refused, "SourceNotFound")


async def test_what_an_archive_holds_is_not_told_to_another_namespace(packed):
    objects = in_config_map(packed.content)
    async with at_work(objects) as desk:
        assert isinstance(await desk.answer(ask(desk, "a", packed)), Resolved)
        objects.config_maps.clear()
        for namespace in ("team-a", "team-b"):
            found = await desk.answer(ask(desk, "b", packed, namespace=namespace))
            assert isinstance(found, Unavailable), namespace


# --- stores ---------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def nothing_of_the_machine(monkeypatch):
    """What the machine's user has configured must not decide a test, and local servers are reached directly."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def stored(s3, packed):
    """The archive's URI in the session's store."""
    key = f"bundles/{uuid.uuid4()}.tar.gz"
    with contextlib.closing(s3.client()) as client:
        client.put_object(Bucket=s3.bucket, Key=key, Body=packed.content)
        yield f"s3://{s3.bucket}/{key}"
        client.delete_object(Bucket=s3.bucket, Key=key)


@pytest.fixture
def web(packed):
    with files_server() as server:
        server.files["/wine.tar.gz"] = File(packed.content)
        yield server


def credentials_of(s3):
    """What a user's Secret says of the session's store."""
    return {
        name: value
        for name, value in s3.environment.items()
        if name in {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"}
    }


def fetch(desk, name, uri, packed, *, secret=None, **options):
    """Ask for a run of what lies in a store."""
    data = {} if secret is None else {"data": {"secretRef": {"name": secret}}}
    bundle = {"uri": uri, "sha256": packed.sha256}
    return desk.ask_for(name, project={"bundle": bundle}, parameters=ALPHA, **data, **options)


async def test_an_archive_in_s3_is_read_with_the_run_s_secret_and_kept_for_that_alone(s3, stored, packed, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)  # the operator's own, which are nobody else's
    objects = Objects(right=credentials_of(s3), wrong={**credentials_of(s3), "AWS_SECRET_ACCESS_KEY": "wr0ng-secret"})
    async with at_work(objects, settings=PATIENT) as desk:
        found = await desk.answer(fetch(desk, "a", stored, packed, secret="right"))
        assert isinstance(found, Resolved), found
        assert (found.plan.source.bundle.uri, found.plan.source.bundle.sha256) == (stored, packed.sha256)
        assert s3.secret_key not in repr([desk.resolver._outcomes, desk.resolver._snapshots._answers])
        with contextlib.closing(s3.client()) as client:
            client.delete_object(Bucket=s3.bucket, Key=stored.partition(f"{s3.bucket}/")[2])
        assert isinstance(await desk.answer(fetch(desk, "again", stored, packed, secret="right")), Resolved)
        keys = [
            fetch(desk, "wrong", stored, packed, secret="wrong"),
            fetch(desk, "none", stored, packed),
            fetch(desk, "elsewhere", stored, packed, namespace="team-b"),
        ]
        for each in await desk.answer(*keys):
            assert isinstance(each, Refused), each
            assert each.reason == "AuthenticationFailed"
            assert "spec.data.secretRef" in each.message
            assert "AWS_ACCESS_KEY_ID" in each.message
            assert "wr0ng-secret" not in each.message


NO_ARCHIVES = {"nothing": ("none.tar.gz", "SourceNotFound"), "a prefix": ("", "SourceInvalid")}


@pytest.mark.parametrize(("name", "reason"), NO_ARCHIVES.values(), ids=NO_ARCHIVES)
async def test_what_is_no_object_is_refused(s3, stored, packed, name, reason):
    uri = f"{stored.rpartition('/')[0]}/{name}".rstrip("/")
    async with at_work(Objects(s3=credentials_of(s3)), settings=PATIENT) as desk:
        found = await desk.answer(fetch(desk, "a", uri, packed, secret="s3"))
    assert (type(found), found.reason) == (Refused, reason)
    assert uri in found.message


async def test_a_secret_can_neither_run_programs_nor_send_the_operator_s_token_somewhere(
    s3, stored, packed, web, tmp_path, monkeypatch
):
    token, ran, configuration = tmp_path / "token", tmp_path / "ran", tmp_path / "config"
    token.write_text("the-operator-s-own-token")
    configuration.write_text(f"[default]\ncredential_process = touch {ran}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(configuration))
    tricks = {
        "AWS_ENDPOINT_URL": s3.endpoint,
        "AWS_ENDPOINT_URL_STS": web.url,
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/any",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_CONFIG_FILE": str(configuration),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{web.url}/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": web.url,
        "AWS_EC2_METADATA_DISABLED": "false",
        "PYTHONPATH": str(tmp_path),
        "LD_PRELOAD": str(token),
    }
    async with at_work(Objects(tricks=tricks), settings=PATIENT) as desk:
        found = await desk.answer(fetch(desk, "a", stored, packed, secret="tricks"))
    assert (type(found), found.reason) == (Refused, "AuthenticationFailed")
    assert (web.requests, ran.exists()) == ([], False)


async def test_a_secret_of_data_that_is_not_there_is_waited_for(stored, packed):
    async with at_work() as desk:
        found = await desk.answer(fetch(desk, "a", stored, packed, secret="s3"))
    assert isinstance(found, Unavailable)
    assert "spec.data.secretRef: there is no Secret s3 in namespace team-a" in found.message


async def test_an_archive_on_dbfs_is_read_with_the_run_s_token(tmp_path, packed):
    with workspace(tmp_path / "dbfs", token="dapi-0123") as server:
        server.root.mkdir(exist_ok=True)
        (server.root / "wine.tar.gz").write_bytes(packed.content)
        objects = Objects(dbx={"DATABRICKS_HOST": server.url, "DATABRICKS_TOKEN": "dapi-0123\n"})
        async with at_work(objects, settings=PATIENT) as desk:
            found = await desk.answer(fetch(desk, "a", "dbfs:///wine.tar.gz", packed, secret="dbx"))
    assert isinstance(found, Resolved), found


async def test_an_archive_on_a_web_server_is_fetched_once_for_many(web, packed):
    async with at_work(settings=PATIENT) as desk:
        keys = [fetch(desk, f"run-{n}", f"{web.url}/wine.tar.gz", packed) for n in range(20)]
        found = await desk.answer(*keys)
    assert {type(each) for each in found} == {Resolved}
    assert len(web.requests) == 1


async def test_an_archive_that_is_not_the_submitted_one_is_refused(web, packed):
    web.files["/wine.tar.gz"] = File(b"another")
    async with at_work(settings=PATIENT) as desk:
        found = await desk.answer(fetch(desk, "a", f"{web.url}/wine.tar.gz", packed))
    assert (type(found), found.reason) == (Refused, "SourceInvalid")
    assert packed.sha256 in found.message
    assert hashlib.sha256(b"another").hexdigest() in found.message


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "unannounced"])
async def test_an_archive_that_is_too_large_is_not_kept(web, packed, chunked, monkeypatch):
    monkeypatch.setattr("mlp_operator.runs.bundles.archives.BOUNDS", Bounds(packed=100_000))
    web.files["/wine.tar.gz"] = File(bytes(5_000_000), chunked=chunked)
    async with at_work(settings=PATIENT) as desk:
        found = await desk.answer(fetch(desk, "a", f"{web.url}/wine.tar.gz", packed))
    assert (type(found), found.reason) == (Refused, "SourceInvalid")
    assert "larger than the 100,000 bytes" in found.message


FORBIDDEN = {
    "a file": ("file:///etc/passwd", "not by file"),
    "ftp": ("ftp://host/wine.tar.gz", "not by ftp"),
    "a tracking server": ("runs://0123/wine.tar.gz", "not by runs"),
    "another store": ("gs://bucket/wine.tar.gz", "not by gs"),
    "clear text": ("http://host/wine.tar.gz", "not by http"),
}


@pytest.mark.parametrize(("uri", "part"), FORBIDDEN.values(), ids=FORBIDDEN)
async def test_the_operator_asks_stores_alone(packed, uri, part):
    async with at_work(settings=replace(SETTINGS, git_protocols=("https",))) as desk:
        found = await desk.answer(fetch(desk, "a", uri, packed))
    assert (type(found), found.reason) == (Refused, "SourceInvalid")
    assert part in found.message


def test_an_address_with_a_password_is_refused_though_a_schema_let_it_pass():
    with pytest.raises(SourceInvalid, match="has credentials in it") as refused:
        store_of("https://ann:pa55word@host/wine.tar.gz", schemes=("https",))
    assert "pa55word" not in str(refused.value)


def programs():
    """The command lines of the downloads that this process has started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            line = (process / "cmdline").read_bytes()
            if parent == os.getpid() and b"mlp.data.fetching" in line:
                found.append(line)
    return found


async def test_a_signature_in_an_address_is_nobody_s_to_read(packed):
    signature = uuid.uuid4().hex
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        uri = f"http://127.0.0.1:{server.getsockname()[1]}/wine.tar.gz?signature={signature}"
        async with at_work(settings=PATIENT) as desk:
            key = fetch(desk, "a", uri, packed)
            connection, _ = await asyncio.to_thread(server.accept)
            with connection:
                lines = programs()
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                found = await desk.answer(key)
    assert lines
    assert not [line for line in lines if signature.encode() in line]
    assert (type(found), found.reason) == (Refused, "SourceNotFound")
    assert signature not in found.message


async def test_a_store_that_hangs_is_given_up_and_its_download_ended(packed):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}/wine.tar.gz?signature=0123abcd"
        async with at_work(settings=replace(SETTINGS, resolve_timeout=2)) as desk:
            found = await desk.answer(fetch(desk, "a", uri, packed))
    assert (type(found), found.reason) == (Unavailable, "SourceUnavailable")
    assert "was not here within 2 seconds" in found.message
    assert "0123abcd" not in found.message
    assert programs() == []


async def test_a_store_that_hangs_does_not_keep_archives_from_the_others(web, packed):
    enough = asyncio.Event()

    async def hang(_, writer):
        await enough.wait()
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with at_work(settings=PATIENT) as desk:
            stuck = [fetch(desk, f"stuck-{n}", f"{url}/{n}.tar.gz", packed) for n in range(3)]
            found = await desk.answer(fetch(desk, "quick", f"{web.url}/wine.tar.gz", packed))
            others = {type(desk.outcome(key)) for key in stuck}
            enough.set()
            answers = await desk.answer(*stuck)
    assert (type(found), others) == (Resolved, {Working})
    assert {type(answer) for answer in answers} == {Refused}
