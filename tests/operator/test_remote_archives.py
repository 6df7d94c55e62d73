"""Projects on their way to a workspace: all of a commit, from where the run may have it, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import tarfile
import threading

import pytest

from mlp.errors import AuthenticationFailed, SourceInvalid, SourceUnavailable
from mlp.resources import names
from mlp.resources.plan import PlannedBundle, PlannedSource
from mlp_operator.runs import remote_archives
from mlp_operator.runs.remote_archives import RemoteArchives
from mlp_operator.runs.resolution import forget_old_credentials
from mlp_operator.settings import Settings
from tests.operator.build import project_run
from tests.operator.resolving import Objects
from tests.servers.git_http import Accounts, serving
from tests.source import repositories

pytestmark = pytest.mark.usefixtures("temporary")

PATIENCE = 120
SETTINGS = Settings(git_protocols=("http",), resolve_timeout=60)
BUNDLE = b"\x1f\x8b packed"


@contextlib.asynccontextmanager
async def at_work(objects=None, settings=SETTINGS):
    archives = RemoteArchives(objects or Objects(), settings)
    try:
        yield archives
    finally:
        archives.close()
        async with asyncio.timeout(PATIENCE):
            while any(each.name.startswith("archive_") for each in threading.enumerate()):  # noqa: ASYNC110 -- a thread tells nobody
                await asyncio.sleep(0.01)


async def brought(archives, run, source, workspace="dbc"):
    async with archives.brought(run, source, workspace) as content:
        return content


def contents(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {each.name: tar.extractfile(each).read().decode() for each in tar if each.isfile()}


def git_source(server, repository, **options):
    fields = {"submodules": True, "protocols": ("http",), **options}
    return PlannedSource(uri=f"{server.url}/wine", commit=repository.git("rev-parse", "HEAD"), **fields)


@pytest.fixture
def repository(tmp_path):
    made = repositories.create(tmp_path / "served" / "wine")
    made.commit({"MLproject": "name: wine\n", "part/train.py": "1", ".mlpignore": "*.csv\n", "data.csv": "a,b"})
    return made


@pytest.fixture
def server(repository):
    with serving(repository.path.parent) as running:
        yield running


async def test_all_of_a_commit_is_packed_whatever_part_is_the_projects(repository, server):
    source = git_source(server, repository, subdirectory="part")
    repository.commit({"later.py": "2"})
    async with at_work() as archives:
        found = contents(await brought(archives, project_run(), source))
    assert found == {"MLproject": "name: wine\n", "part/train.py": "1", ".mlpignore": "*.csv\n", "data.csv": "a,b"}


async def test_the_same_commit_is_the_same_archive(repository, server):
    async with at_work() as archives:
        both = [await brought(archives, project_run(), git_source(server, repository)) for _ in range(2)]
    assert both[0] == both[1]


async def test_submodules_come_along_if_the_run_wants_them(tmp_path, repository, server):
    inner = repositories.create(tmp_path / "served" / "inner")
    inner.commit({"inner.py": "3"})
    repository.add_submodule(f"{server.url}/inner", "modules/inner")
    async with at_work() as archives:
        found = contents(await brought(archives, project_run(), git_source(server, repository)))
        without = contents(await brought(archives, project_run(), git_source(server, repository, submodules=False)))
    assert found["modules/inner/inner.py"] == "3"
    assert "modules/inner/inner.py" not in without
    assert not any(".git/" in path or path.endswith("/.git") for path in found)


async def test_a_private_repository_is_reached_by_the_runs_secret(repository):
    run = project_run(project={"uri": "https://git.example.org/wine", "authSecretRef": {"name": "creds"}})
    with serving(repository.path.parent, accounts=Accounts({"ada": "s3cret"})) as server:
        source = git_source(server, repository, credentials=True)
        async with at_work(Objects(creds={"username": "ada", "password": "s3cret"})) as archives:
            assert "MLproject" in contents(await brought(archives, run, source))
        async with at_work(Objects(creds={"username": "ada", "password": "other"})) as archives:
            with pytest.raises(AuthenticationFailed, match="Check the Secret creds") as refused:
                await brought(archives, run, source)
            assert "other" not in str(refused.value)
        async with at_work(Objects()) as archives:
            with pytest.raises(SourceUnavailable, match="there is no Secret creds"):
                await brought(archives, run, source)


async def test_a_repository_that_is_too_large_is_given_up(repository, server, monkeypatch):
    monkeypatch.setattr(remote_archives, "_LARGEST_TREE", 100_000)
    repository.commit({f"{number}.bin": os.urandom(20_000) for number in range(50)})
    async with at_work() as archives:
        with pytest.raises(SourceInvalid, match=r"too large to be sent to Databricks.*projectSource Git"):
            await brought(archives, project_run(), git_source(server, repository))


async def test_a_bundle_is_brought_from_its_config_map_as_it_was_packed():
    digest = hashlib.sha256(BUNDLE).hexdigest()
    run = project_run(project={"bundle": {"configMapName": "sent", "sha256": digest}})
    objects = Objects()
    objects.config_maps["sent"] = {names.BUNDLE_KEY: BUNDLE}
    async with at_work(objects) as archives:
        assert await brought(archives, run, PlannedSource(bundle=PlannedBundle(sha256=digest))) == BUNDLE
        objects.config_maps["sent"] = {names.BUNDLE_KEY: b"another"}
        with pytest.raises(SourceInvalid, match="is not the one that was submitted"):
            await brought(archives, run, PlannedSource(bundle=PlannedBundle(sha256=digest)))


async def test_one_workspace_has_one_place_and_all_have_two():
    digest = hashlib.sha256(BUNDLE).hexdigest()
    run = project_run(project={"bundle": {"configMapName": "sent", "sha256": digest}})
    source = PlannedSource(bundle=PlannedBundle(sha256=digest))
    objects = Objects()
    objects.config_maps["sent"] = {names.BUNDLE_KEY: BUNDLE}
    async with at_work(objects) as archives:
        async with archives.brought(run, source, "hangs"):
            second = asyncio.create_task(brought(archives, run, source, "hangs"))
            assert await brought(archives, run, source, "goes on") == BUNDLE
            assert not second.done()
        assert await second == BUNDLE


def test_what_a_killed_operator_has_left_is_removed(temporary):
    (temporary / "mlp-archive-abc").mkdir()
    (temporary / "mlp-archive-abc" / "left").write_text("x")
    forget_old_credentials()
    assert list(temporary.iterdir()) == []
