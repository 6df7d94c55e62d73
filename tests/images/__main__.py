"""`python -m tests.images build [runner|operator]...`: build the images, print their archives' paths."""

from __future__ import annotations

import argparse
import sys

from tests.cluster.packages import Missing
from tests.images.building import OPERATOR, RUNNER, build

IMAGES = {image.short: image for image in (RUNNER, OPERATOR)}


def main(arguments: list[str]) -> int:
    """Build what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.images")
    parser.add_argument("command", choices=["build"])
    parser.add_argument("image", nargs="*", choices=[*IMAGES, []], help="which (default: both)")
    options = parser.parse_args(arguments)
    try:
        for name in options.image or IMAGES:
            print(build(IMAGES[name]))
    except (Missing, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
