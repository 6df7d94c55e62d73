"""Conda packages, with py-rattler: solve, install, write down what was installed. Runs in the builder only.

Its traps, all met before: results are believed by what lies on the disk, never by how the process ends; the package
cache is validated on every use, as a cut file would spread silently into new environments; symbolic links are never
turned off, since bin/python would become a copy that does not start.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from mlp.environment.diagnosis import unreadable_channel
from mlp.environment.extras import missing
from mlp.environment.package_cache import layers
from mlp.environment.settings import subdir
from mlp.environment.volume import refusal_in
from mlp.errors import EnvironmentUnsolvable, PreparationError

try:
    import rattler
    from rattler import exceptions
except ImportError:
    raise missing("py-rattler", "a conda environment") from None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from mlp.environment.order import Order

__all__ = ["install"]

_EVERY: Final = 1.0
"""Seconds between two lines about one and the same thing."""


def install(order: Order, specs: Sequence[str], say: Callable[[str], None]) -> None:
    """Solve for specs and install the packages into the environment, with lock files.

    Raises:
        EnvironmentUnsolvable: A package does not exist, or no versions fit together.
        EnvironmentUnavailable: A channel does not answer.
        EnvironmentAccessDenied: It wants credentials, or others.
        PreparationError: Installing failed.
    """
    asyncio.run(_install(order, specs, say))


async def _install(order: Order, specs: Sequence[str], say: Callable[[str], None]) -> None:
    order.metadata.mkdir(parents=True, exist_ok=True)
    with _authentication(order):
        client = rattler.Client.default_client()
    channels = [rattler.Channel(url) for url in order.channels]
    wanted = [rattler.MatchSpec(spec) for spec in specs]
    say(f"Solving for {', '.join(specs) or 'no packages'} from {', '.join(order.channels) or 'no channels'}")
    started = time.monotonic()
    records = await _solve(order, channels, wanted, client)
    say(f"Solved: {len(records)} conda packages in {time.monotonic() - started:.1f} s")
    settings = "" if order.settings.link == "hardlink" else "allow-hard-links = false\n"
    with layers(order) as paths:
        try:
            await rattler.install(
                records,
                order.prefix,
                package_cache=rattler.PackageCache.new_layered(
                    list(paths), validation_mode=rattler.ValidationMode.full()
                ),
                client=client,
                config=rattler.Config.from_toml(settings),
                reporter=cast("Any", _Reporter(say)),
                execute_link_scripts=order.settings.link_scripts,
                # The binding takes its own inner objects here, and nothing else.
                requested_specs=cast("Any", [spec._match_spec for spec in wanted]),  # noqa: SLF001
            )
        except exceptions.InstallerError as error:
            raise _not_installed(order, str(error)) from None
    _write_lock_files(order, records)


async def _solve(order: Order, channels: list[Any], wanted: list[Any], client: rattler.Client) -> list[Any]:
    priority = getattr(rattler.ChannelPriority, order.settings.channel_priority.capitalize())
    try:
        return await rattler.solve(
            channels,
            wanted,
            gateway=rattler.Gateway(order.cache("repodata"), client=client),
            platforms=[rattler.Subdir(subdir()), rattler.Subdir("noarch")],
            virtual_packages=_virtual_packages(order),
            channel_priority=priority,
            exclude_newer=_moment(order.settings.exclude_newer),
        )
    except exceptions.SolverError as error:
        raise EnvironmentUnsolvable(
            f"The conda packages of {order.file} cannot be installed together, or do not exist in "
            f"{', '.join(order.channels) or 'no channel'}.\n{error}"
        ) from None
    except (exceptions.GatewayError, exceptions.FetchRepoDataError) as error:
        raise unreadable_channel(order, str(error)) from None


def _virtual_packages(order: Order) -> list[Any]:
    texts = [*order.settings.virtual, "__unix=0", f"__linux={os.uname().release.partition('-')[0]}"]
    found = []
    for text in texts:
        name, version, build = [*text.split("=", 2), "0"][:3]
        found.append(
            rattler.GenericVirtualPackage(
                rattler.PackageName(name), rattler.Version(version), rattler.BuildString(build)
            )
        )
    return found


def _moment(text: str | None) -> datetime | None:
    from datetime import UTC, datetime  # noqa: PLC0415 -- rarely set

    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@contextmanager
def _authentication(order: Order) -> Iterator[None]:
    """Credentials in a private file, for as long as a client takes to read it: not one request is sent meanwhile."""
    if not order.credentials:
        yield
        return
    entries: dict[str, object] = {}
    if given := os.environ.get("RATTLER_AUTH_FILE"):
        with open(given, encoding="utf-8") as file:  # noqa: PTH123 -- an ambient path, as it was given
            entries = json.load(file)
    entries |= {credential.host: credential.for_rattler() for credential in order.credentials}
    private = order.metadata / "authentication.json"
    descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(entries, file)
        os.environ["RATTLER_AUTH_FILE"] = str(private)
        yield
    finally:
        private.unlink()
        os.environ.pop("RATTLER_AUTH_FILE", None)


class _Reporter:
    """What rattler calls while it installs; it takes any object that has some of its methods."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._total = self._linked = 0
        self._downloaded: dict[int, int] = {}
        self._last = 0.0

    def on_transaction_start(self, total_operations: int) -> None:
        self._total = total_operations

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:  # noqa: ARG002 -- rattler's signature
        self._downloaded[download_idx] = progress
        if time.monotonic() - self._last >= _EVERY:
            self._last = time.monotonic()
            self._say(f"Downloading conda packages: {sum(self._downloaded.values()) / 1e6:.1f} MB so far")

    def on_link_start(self, operation: int, package_name: str) -> int:
        self._linked += 1
        self._say(f"Linking {package_name} ({self._linked} of {self._total})")
        return operation


def _not_installed(order: Order, said: str) -> PreparationError:
    if refused := refusal_in(said, order.layout.root):
        return refused
    if "failed to fetch" in said.lower() or "error sending request" in said.lower() or "http status" in said.lower():
        return unreadable_channel(order, said)
    return PreparationError(f"Installing the conda packages of {order.file} failed.\n{order.secrets.mask(said)}")


def _write_lock_files(order: Order, records: Sequence[Any]) -> None:
    """Write down what was installed: for rattler's own family of tools, and in the form that conda reads."""
    platform = rattler.LockPlatform(subdir())
    lock = rattler.LockFile([platform])
    lock.set_channels("default", [rattler.LockChannel(url) for url in order.channels])
    for record in records:
        lock.add_conda_package("default", platform, record)
    lock.to_path(order.metadata / "env.lock.yaml")
    lines = [f"{record.url}#{record.md5.hex() if record.md5 else ''}" for record in records]
    (order.metadata / "explicit.txt").write_text(
        "".join(f"{line}\n" for line in (f"# platform: {subdir()}", "@EXPLICIT", *lines)), encoding="utf-8"
    )
