"""Names of a package that are imported when they are first asked for (PEP 562).

Every command of the command line and every step in a pod waits for its imports. A package that offers ten names should
not cost the nine that a caller does not use. Nothing here knows any of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["lazily"]


def lazily(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that finds names in its submodules.

    Args:
        package: The package, ``__name__`` there.
        homes: Names by the submodule that has them. None may be called as a submodule is.
    """
    home = {name: module for module, names in homes.items() for name in names}

    def find(name: str) -> Any:  # noqa: ANN401 -- whatever the module holds
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home[name]}"), name)

    return find
