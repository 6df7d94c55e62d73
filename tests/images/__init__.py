"""The project's two images, built from their real Dockerfiles without Docker and without a registry.

    python -m tests.images build     prints the archives' paths; `python -m tests.cluster load` takes them

The base is Debian, put together by mmdebstrap from packages; buildah runs the Dockerfiles on it. Both are cached by
content.
"""

from __future__ import annotations

from tests.images.building import OPERATOR, RUNNER, build

__all__ = ["OPERATOR", "RUNNER", "build"]
