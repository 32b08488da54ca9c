"""The door for who watches loops from above: a module's name, and the module behind it, imported when a loop first runs.

What lives here: the telling that a run begins and ends. What may not: an import upwards. The package's face puts the name in,
because the levels forbid it to know `watch/`, and because most of what an `import yieldloop` costs must not be paid for watching.
"""

from __future__ import annotations

import importlib
from typing import Any

watcher: str | None = None  # the dotted name of a module with ``begun(loop)`` and ``ended(loop)``
explainer: str | None = None  # the dotted name of a module with ``explain(loop)``
_module: Any = None


def begun(loop: Any) -> None:
    """*loop* begins to run, in this thread."""
    global _module
    if _module is None:
        if watcher is None:
            return
        _module = importlib.import_module(watcher)
    _module.begun(loop)


def ended(loop: Any) -> None:
    """The run of *loop* is over."""
    if _module is not None:
        _module.ended(loop)


def explain(loop: Any) -> str:
    """Who waits for whom on *loop*, as text. In the loop's thread."""
    if explainer is None:
        return repr(loop)
    text: str = importlib.import_module(explainer).explain(loop)
    return text
