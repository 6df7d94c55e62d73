"""In which ranges a large file is asked for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlp.data.origin import Piece

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["pieces"]

_STREAMS: Final = 8
_SMALLEST: Final = 8 << 20
_LARGEST: Final = 64 << 20


def pieces(size: int, ends: tuple[int, ...] = ()) -> tuple[Piece, ...]:
    """The ranges in which a file comes, none of them across the end of a part that is checked on its own.

    As many as there are streams, unless they would be so small that asking for them takes longer than bringing them,
    or so large that little is done side by side at the end.

    Args:
        size: Of the file.
        ends: Where its parts end; () where it is checked as a whole.
    """
    return tuple(_pieces(size, ends))


def _pieces(size: int, ends: tuple[int, ...]) -> Iterator[Piece]:
    wanted = min(max(-(-size // _STREAMS), _SMALLEST), _LARGEST)
    if not ends:
        for begin in range(0, size, wanted) or (0,):
            yield Piece(begin, min(begin + wanted, size))
        return
    begin = 0
    within: list[int] = []
    for end in ends:
        within.append(end)
        if end - begin >= wanted or end == size:
            yield Piece(begin, end, tuple(within))
            begin, within = end, []
