"""``python -m mlp.resources [DIRECTORY]``: write the CustomResourceDefinitions into crds/ (``make crds``)."""

from __future__ import annotations

import sys
from pathlib import Path

from mlp.resources.crd import FILE_NAME, render


def main() -> None:
    """Write the files and say which."""
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "crds")
    directory.mkdir(exist_ok=True)
    path = directory / FILE_NAME
    path.write_text(render(), encoding="utf-8")
    print(path)  # noqa: T201 -- the program's output


main()
