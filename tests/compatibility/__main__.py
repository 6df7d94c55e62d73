"""``python -m tests.compatibility``: write docs/compatibility.md."""

from __future__ import annotations

from tests.compatibility.document import FILE_NAME, ROOT, render

(ROOT / FILE_NAME).write_text(render(), encoding="utf-8")
print(FILE_NAME)
