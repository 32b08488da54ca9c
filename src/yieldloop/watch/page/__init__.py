"""The web page as one file: the template that ``make page`` builds out of ``web/``, filled with data.

What lives here: putting data into the template. What may not: what the page shows (``web/src``), where the data comes from.
"""

from __future__ import annotations

import base64
import gzip
import json
from importlib import resources
from typing import Any

__all__ = ["render", "render_live"]

_PLACE = "@PAYLOAD@"
"""Stands once in the template, in the script element that the page's code reads."""


def _fill(text: str) -> str:
    template = resources.files(__name__).joinpath("template.html").read_text(encoding="utf-8")
    before, found, after = template.partition(_PLACE)
    if not found:
        raise RuntimeError(f"the page's template has no {_PLACE}; build it again with `make page`")
    return f"{before}{text}{after}"


def render(payload: dict[str, Any]) -> str:
    """The page with *payload* in it, as the text of a self-contained HTML file.

    *payload* is JSON: ``title``, and ``recording`` and ``snapshot`` (documents of those names) or ``walks`` (a list of walk
    documents). It is embedded gzipped, so its texts cannot end the element that holds it.
    """
    packed = gzip.compress(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode(), compresslevel=6, mtime=0)
    return _fill(base64.b64encode(packed).decode("ascii"))


def render_live() -> str:
    """The page as a server sends it: it asks the server that it came from for its data."""
    return _fill("live")
