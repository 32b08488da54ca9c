"""A recording as the rest of the package reads it.

What lives here: `Recording`, from file to document. What may not: what is done with one (``watch``).
"""

from __future__ import annotations

import os
from typing import Any

from yieldloop.record import RecordingError, files
from yieldloop.record.decode import Decoder

__all__ = ["Recording"]


class Recording:
    """What the loops of a process did. Made by `load`; `as_json` gives it all as plain data."""

    def __init__(self, head: dict[str, Any], records: bytes) -> None:
        self.process: dict[str, Any] = head["process"]
        self.wall_ns: int = head["wall_ns"]
        self.taken_ns: int = head["taken_ns"]
        self.mode: str = head["mode"]
        self.blocks: list[Any] = head["more"].get("blocks") or []
        self.snapshot: dict[str, Any] | None = head["more"].get("snapshot")
        self.loops: list[dict[str, Any]] = []
        view, place = memoryview(records), 0
        for loop in head["loops"]:
            size = sum(chunk["bytes"] for chunk in loop["chunks"])
            found = Decoder(loop, head["labels"], view[place : place + size], head["taken_ns"])
            place += size
            stood, places = found.places()
            self.loops.append(
                {
                    "id": loop["id"],
                    "name": loop["name"],
                    "thread": loop["thread"],
                    "closed": loop["closed"],
                    "events": found.events,
                    "tasks": found.tasks,
                    "things": found.things,
                    "stood": stood,
                    "places": places,
                    "lost": loop["lost"],
                }
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recording:
        """Read the file *path*. RecordingError if it is no recording or is damaged; OSError if it cannot be read."""
        head, records = files.read(path)
        try:
            return cls(head, records)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as exc:
            raise RecordingError(f"{os.fspath(path)!r} is damaged: its parts do not fit together ({exc!r})") from exc

    def as_json(self) -> dict[str, Any]:
        """The document: process, ``wall_ns`` (the wall clock at monotonic 0), loops, blocks, and a snapshot of the moment or None.

        A loop's ``events`` are ``[t_ns, kind, subject, object]`` in order. *kind* is one of the probe's. *subject* is a task's
        number; in ``timer_fired``, ``callback_*`` and ``handed_to_thread`` the id of a thing; in ``fd_ready`` the descriptor; in
        ``poll_begun`` the time-out in ns (-1: none); in ``poll_done`` the number of ready entries. *object* is the id of the thing
        that is waited for or that wakes, or 0; in ``fd_ready`` the mask.

        ``stood`` says where a task stood that parked, as far as that was recorded: the event's index, and the innermost of
        ``places``, each of which is ``under`` another one, or 0. It is known of waits of more than about a millisecond; of all
        with ``YIELDLOOP_RECORD=full``.
        """
        return {
            "format": 1,
            "process": self.process,
            "wall_ns": self.wall_ns,
            "taken_ns": self.taken_ns,
            "loops": self.loops,
            "blocks": self.blocks,
            "snapshot": self.snapshot,
        }
