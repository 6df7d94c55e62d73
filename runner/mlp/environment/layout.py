"""Where things lie below the root of an environment cache: environments, locks, package caches, and what goes.

Everything is below one directory, so that one volume holds all of it: packages are hard-linked from the caches into
the environments, which works within one mount only.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlp.environment.volume import not_writable, refusal
from mlp.errors import PreparationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Layout"]

_HASH: Final = re.compile(r"[0-9a-f]{20}")


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below a root."""

    root: Path

    def prefix(self, name: str) -> Path:
        """An environment's directory."""
        return self.root / name

    def lock(self, name: str) -> Path:
        """An environment's lock file."""
        return self.root / ".locks" / f"{name}.lock"

    def metadata(self, name: str) -> Path:
        """What mlp keeps about an environment, inside of it."""
        return self.prefix(name) / ".mlp"

    def marker(self, name: str) -> Path:
        """The file that makes an environment one: written last, by a rename."""
        return self.metadata(name) / "ready.json"

    @property
    def caches(self) -> Path:
        """The package caches: pkgs and repodata are rattler's, uv is uv's."""
        return self.root / ".cache"

    def current(self, name: str) -> str:
        """The name of the environment that answers a request: the request's own hash, or what was built beside it."""
        try:
            found = self._pointer(name).read_text(encoding="utf-8").strip()
        except OSError:
            return name
        return found if _HASH.fullmatch(found) else name

    def point(self, name: str, to: str) -> None:
        """Have another environment answer a request from now on. The request's lock has to be held."""
        pointer = self._pointer(name)
        being_written = pointer.with_suffix(".tmp")
        try:
            pointer.parent.mkdir(parents=True, exist_ok=True)
            being_written.write_text(f"{to}\n", encoding="utf-8")
            being_written.rename(pointer)
        except OSError as error:
            raise refusal(error, self.root) or not_writable(self.root, f"{error.strerror}") from None

    def _pointer(self, name: str) -> Path:
        return self.root / ".current" / name

    def uses(self, name: str) -> Path:
        """The marks of those who use an environment: see `mlp.environment.uses`."""
        return self.root / ".uses" / name

    @property
    def trash(self) -> Path:
        """What is being deleted."""
        return self.root / ".trash"

    def names(self) -> Iterator[str]:
        """The names of all environments, whole or not."""
        if self.root.is_dir():
            yield from sorted(entry.name for entry in self.root.iterdir() if _HASH.fullmatch(entry.name))

    def record(self, name: str) -> dict[str, Any] | None:
        """What the marker says; None where there is none."""
        try:
            record: dict[str, Any] = json.loads(self.marker(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record

    def ready(self, name: str) -> dict[str, Any] | None:
        """What the marker says; None unless the environment is whole and its interpreter can be started here."""
        record = self.record(name)
        # The interpreter of a virtual environment lies outside of it, and may have gone with an upgrade or an image.
        if record and record.get("python") and not os.access(self.prefix(name) / "bin" / "python", os.X_OK):
            return None
        return record

    def discard(self, name: str) -> None:
        """Make an environment vanish at once, and its files after that. Its lock has to be held.

        Raises:
            PreparationError: It cannot be moved away.
        """
        if away := self.move_away(name):
            shutil.rmtree(away, ignore_errors=True)

    def move_away(self, name: str) -> Path | None:
        """Make an environment vanish at once, whatever is in it. Its lock has to be held.

        Returns:
            Where its files are now; None if there were none.

        Raises:
            PreparationError: It cannot be moved away.
        """
        away = self.trash / f"{name}.{uuid.uuid4().hex[:8]}"
        try:
            self.trash.mkdir(parents=True, exist_ok=True)
            self.prefix(name).rename(away)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refusal(error, self.root) or PreparationError(
                f"The environment {self.prefix(name)} cannot be removed: {error.strerror}."
            ) from None
        return away
