"""Walks as one self-contained HTML file: the page of `yieldloop.watch` with its stepper.

What lives here: handing walks to that page. What may not: HTML.
"""

from __future__ import annotations

from typing import Any

from yieldloop.learn.walk import pack
from yieldloop.watch.page import render

__all__ = ["page"]


def page(walks: list[dict[str, Any]]) -> str:
    """The text of the file. *walks* tell the same run in several languages; the first one's is shown at first."""
    packed = [{**walk, **pack(walk["steps"])} for walk in walks]
    return render({"kind": "walks", "title": walks[0]["title"], "walks": packed})
