"""What a scheme has to offer so that things can be downloaded from it: the protocol between schemes and transfers.

A scheme (mlp.data.schemes) lists what there is, says in which pieces a file may be brought and what its bytes have to
be, and opens streams from any place in it. How many streams there are at once, what happens when one breaks, and where
the bytes go is for mlp.data.transfer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mlp.errors import DataUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    from mlp.data.checks import Check

__all__ = ["Changed", "Context", "Item", "Later", "Listing", "Origin", "Piece", "Plan", "Reply"]


class Changed(DataUnavailable):
    """What is being downloaded was replaced meanwhile: what has arrived of it is worth nothing."""


class Later(DataUnavailable):
    """The server wants to be asked again later.

    Attributes:
        seconds: Not before that.
    """

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Context:
    """What a scheme may need to know beside the URI.

    Attributes:
        tracking_uri: The tracking server that runs:/ and mlflow-artifacts:/ speak of; None for the user's own.
        threads: How many streams there will be at once.
    """

    tracking_uri: str | None = None
    threads: int = 8


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a listing.

    Attributes:
        path: Where it belongs below the destination, its parts separated by "/"; "" is the destination itself.
        size: Its bytes, where the listing says so.
        key: What the scheme calls it.
        version: What the listing says of its content: an ETag, a time. Means something to the scheme alone.
    """

    path: str
    size: int | None
    key: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a URI names.

    Attributes:
        items: The files.
        directories: Directories below the destination, where the origin names them apart.
        directory: Whether the destination is a directory; if not, there is one item, with the path "".
    """

    items: Sequence[Item]
    directories: Sequence[str] = ()
    directory: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of a file that comes in one stream.

    Attributes:
        begin: Its first byte.
        end: The byte after its last; None for "until it ends".
        ends: Where the parts that are checked on their own end, the last of them at ``end``.
    """

    begin: int = 0
    end: int | None = None
    ends: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """How one file will be brought.

    Attributes:
        pieces: In order and without gaps.
        check: What the bytes have to be; None where the first reply will say so, or nobody can.
        version: What has to be the same in all replies.
    """

    pieces: tuple[Piece, ...] = (Piece(),)
    check: Check | None = None
    version: str = ""


@dataclass(slots=True)
class Reply:
    """A stream of bytes.

    Attributes:
        blocks: The bytes.
        begin: Where they begin: where they were asked for, or 0 where the origin cannot do that (or not any more).
        end: Where they will end, where that is known.
        check: What all bytes of the file have to be, if the reply says so.
        version: What a later request for the rest has to name.
    """

    blocks: Iterable[bytes]
    begin: int = 0
    end: int | None = None
    check: Check | None = None
    version: str = ""


class Origin(Protocol):
    """What a URI of some scheme names, and the way there. Its methods are called in several threads at once.

    Errors are mlp.errors' DataError's: temporary ones make the transfer try again, all others end it.
    """

    @property
    def shown(self) -> str:
        """What is downloaded, for people."""

    def find(self) -> Listing:
        """Find out what there is."""

    def plan(self, item: Item) -> Plan:
        """Say how to bring a file."""

    def read(self, item: Item, version: str, begin: int, end: int | None) -> AbstractContextManager[Reply]:
        """Open a stream.

        Args:
            item: The file.
            version: What must not have changed since the plan or the last reply.
            begin: The first byte that is wanted.
            end: The byte after the last; None for the rest.

        Raises:
            Changed: It has.
        """

    def confirm(self, item: Item, version: str) -> None:
        """Called when all bytes are there, for origins that have nothing but a size and a time to compare.

        Raises:
            Changed: The file was replaced while it was read.
        """

    def close(self) -> None:
        """Let go of connections."""
