"""A resolver at work, beside what it needs of a cluster: objects by their names."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from datetime import UTC, datetime

from mlp_operator.machinery.cluster import CONFIGMAPS, SECRETS, ApiError
from mlp_operator.machinery.metrics import Metrics
from mlp_operator.machinery.queue import WorkQueue
from mlp_operator.runs.outcome import Working
from mlp_operator.runs.resolution import Resolver
from mlp_operator.settings import Settings
from tests.operator.build import project_run

SETTINGS = Settings(git_protocols=("http",), resolve_timeout=20, resolvers=4)


class Objects:
    """The part of a cluster that a look-up needs: Secrets, and ConfigMaps with texts or bytes, by name.

    An exception in an object's place is what the API server answers.
    """

    def __init__(self, **secrets):
        self.secrets = secrets
        self.config_maps = {}
        self.owners = {}
        self.asked = []

    async def get(self, resource, namespace, name):
        self.asked.append((resource.plural, namespace, name))
        found = {SECRETS: self.secrets, CONFIGMAPS: self.config_maps}[resource].get(name)
        if found is None:
            raise ApiError(404, "NotFound", f"{resource.plural} {name!r} not found")
        if isinstance(found, Exception):
            raise found
        metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": "1"}
        if name in self.owners:
            metadata["ownerReferences"] = [{"kind": "ProjectRun", "name": "wine", "uid": self.owners[name]}]
        if resource is SECRETS:
            return {"metadata": metadata, "data": {key: _encoded(value) for key, value in found.items()}}
        return {
            "metadata": metadata,
            "data": {key: value for key, value in found.items() if isinstance(value, str)},
            "binaryData": {key: _encoded(value) for key, value in found.items() if isinstance(value, bytes)},
        }


def _encoded(value):
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


class Desk:
    """A resolver at work, and what came of each run."""

    def __init__(self, objects=None, settings=SETTINGS):
        self.queue = WorkQueue()
        self.objects = objects if objects is not None else Objects()
        self.resolver = Resolver(self.objects, self.queue, settings, Metrics())
        self.runs = {}

    def ask(self, name, uri, *, alpha="0.5", secret=None, **project):
        """Ask for a run of a repository."""
        source = {"uri": uri, **project} | ({"authSecretRef": {"name": secret}} if secret else {})
        return self.ask_for(name, project=source, parameters=[{"name": "alpha", "value": alpha}])

    def ask_for(self, name, *, namespace="team-a", **spec):
        """Ask for a run."""
        metadata = {"name": name, "namespace": namespace, "uid": f"u-{name}"}
        run = project_run(metadata=metadata, **spec)
        key = (namespace, name)
        self.runs[key] = run
        self.resolver.start(key, run, datetime.now(UTC))
        return key

    def outcome(self, key):
        return self.resolver.outcome(key, self.runs[key].uid)

    async def answer(self, *keys):
        """Wait until these runs have an outcome; each brings its key on the queue."""
        async with asyncio.timeout(60):
            while any(isinstance(self.outcome(key), Working) for key in keys):
                self.queue.done(await self.queue.get(), ok=True)
        found = [self.outcome(key) for key in keys]
        return found[0] if len(found) == 1 else found

    async def gone(self):
        """Wait until no thread is at work any more: each ends with its program, which ends at its deadline."""
        threads = self.resolver._work._threads._threads
        async with asyncio.timeout(60):
            while any(thread.is_alive() for thread in threads):  # noqa: ASYNC110 -- a thread tells nobody
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def at_work(*arguments, **options):
    desk = Desk(*arguments, **options)
    try:
        yield desk
    finally:
        await desk.resolver.close()
        await desk.gone()
