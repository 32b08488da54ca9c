"""Recordings, for those who watch: the class is `yieldloop.record`'s; blocks and a snapshot are what this level puts into files.

What lives here: the name, and the sources. What may not: reading files (``yieldloop.record``).
"""

from __future__ import annotations

from typing import Any

from yieldloop.record import RecordingError, taking
from yieldloop.record.document import Recording

__all__ = ["SOURCES", "Recording", "RecordingError"]


def _blocks() -> list[Any]:
    from yieldloop.watch import watchdog

    return [block.as_json() for block in watchdog.blocks()]


def _snapshot() -> Any:
    if all(each.closed for each in taking.loops_of_now()):  # nothing to be seen; and at exit nothing more can be imported
        return None
    from yieldloop.watch import snapshot

    return snapshot.take().as_json()


SOURCES = {"blocks": _blocks, "snapshot": _snapshot}
