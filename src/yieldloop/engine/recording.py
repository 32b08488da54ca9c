"""Whether loops are recorded, and how much of it is kept: what the environment says.

What lives here: reading it, once a loop. What may not: the ring (`_record`), and files (``yieldloop.record``).
"""

from __future__ import annotations

import os

from yieldloop.engine._record import Recorder

MODES = ("ring", "full", "off")
RING = 4 << 20  # bytes a loop: 262,144 records, some seconds of a busy server
RING_AGE = 60 * 10**9  # ns
FULL = 256 << 20  # bytes a loop: 16 million records; from then on it is a ring too


def mode() -> str:
    """``ring`` (the default), ``full`` or ``off``, as ``YIELDLOOP_RECORD`` says; ValueError for anything else."""
    found = os.environ.get("YIELDLOOP_RECORD") or "ring"
    if found not in MODES:
        raise ValueError(f"YIELDLOOP_RECORD={found!r} is no way to record: set it to {', '.join(MODES)}, or not at all (ring)")
    return found


def new_recorder() -> Recorder | None:
    """The recorder of a new loop: the last 60 s in at most 4 MiB; with ``full``, everything in at most 256 MiB; None with ``off``."""
    found = mode()
    if found == "off":
        return None
    return Recorder(RING, RING_AGE) if found == "ring" else Recorder(FULL, 0)
