"""Taking what the recorders hold: from any thread, while loops run.

What lives here: the head of a file, with the names that records mean by numbers, and the records as they are. What may not:
understanding them (`decode` does that, when somebody reads).
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

from yieldloop._speed import compiled
from yieldloop.engine import recording
from yieldloop.engine._marks import ticks_now
from yieldloop.engine._record import LINK, labels
from yieldloop.loop.registry import all_loops

__all__ = ["process", "take"]


def take(since_ns: int = 0) -> tuple[dict[str, Any], list[bytes]]:
    """The head of a recording, and the chunks of records that it speaks of.

    Chunks that hold nothing younger than *since_ns* (by `time.monotonic_ns`) are left out.
    """
    found = loops_of_now()
    chunks: list[bytes] = []
    loops = [_loop(past, chunks, since_ns) for past in found]
    head = {
        "process": process(),
        "wall_ns": time.time_ns() - time.monotonic_ns(),
        "taken_ns": time.monotonic_ns(),
        "mode": recording.mode(),
        "loops": loops,
        "labels": {str(label): _describe(what, where) for label, what, where in labels()},
        "bytes": sum(map(len, chunks)),
    }
    return head, chunks


def loops_of_now() -> list[recording.Past]:
    """The recorded loops of this process: those that were closed last, then those that live."""
    living = [recording.Past(loop) for loop in all_loops() if loop.recorder is not None and not loop._closed]
    return [each for each in (*recording.past(), *sorted(living, key=lambda each: each.id)) if each.pid == os.getpid()]


def process() -> dict[str, Any]:
    """What this process is."""
    return {
        "pid": os.getpid(),
        "argv": sys.orig_argv[1:] if not sys.argv or not sys.argv[0] else list(sys.argv),
        "python": sys.version.split()[0],
        "yieldloop": sys.modules["yieldloop"].__version__,
        "speed": "compiled" if compiled() else "interpreted",
    }


def _loop(past: recording.Past, chunks: list[bytes], since_ns: int) -> dict[str, Any]:
    recorder = past.recorder
    names = recorder.names()
    spans: list[dict[str, Any]] = []
    for number in recorder.numbers():
        chunk = recorder.chunk(number)
        if chunk is None:  # used again meanwhile
            continue
        tick, ns, offset, cells = chunk
        if spans and ns <= since_ns:  # so the one before is over
            spans.pop()
            chunks.pop()
        spans.append({"tick": tick, "ns": ns, "offset": offset, "bytes": len(cells)})
        chunks.append(cells)
    return {
        "id": past.id,
        "name": past.name,
        "thread": past.thread,
        "closed": past.closed,
        "age": recorder.age,
        "lost": recorder.lost,
        "names": {str(number): name for number, name in names.items()},
        "chunks": spans,
        "until": {"tick": ticks_now(), "ns": time.monotonic_ns()},
        "tasks": {str(number): facts for number, facts in past.tasks()},
        "doing": _doing(past),
    }


def _doing(past: recording.Past) -> dict[str, Any] | None:
    """What runs at this moment: its record comes only when it is over."""
    if past.core is None:
        return None
    entry, began, _ = past.core._doing()
    if entry is None:
        return None
    number = getattr(entry, "_number", None)
    if number is not None:
        return {"task": number, "began_ns": began}
    label = recording.label_of_entry(entry)
    return {"task": None, "label": label, "began_ns": began}


def _describe(what: Any, where: int) -> dict[str, Any]:
    """A label's meaning: of code its name and place, of anything else its name. Of a link of a chain also the label around it."""
    around, instruction = where >> LINK, where & (1 << LINK) - 1
    found: dict[str, Any]
    if isinstance(what, str):
        found = {"name": what}
    elif isinstance(what, tuple):
        found = {"module": what[0], "name": what[1]}
    elif isinstance(what, type):
        found = {"name": what.__qualname__, "module": what.__module__}
    else:
        found = recording.place(what, where if around <= 0 else instruction)
        module = _module_of(what.co_filename)
        if module is not None:
            found["module"] = module
    if around > 0:
        found["under"] = around - 1
    return found


def _module_of(file: str) -> str | None:
    """The module in *file*, if it is one of the standard library's asyncio or ours."""
    for name, folder in _LIBRARIES.items():
        if file.startswith(folder):
            return f"{name}.{file[len(folder) : -len('.py')].replace(os.sep, '.')}"
    return None


def _folder_of(module: Any) -> str:
    return os.path.join(os.path.dirname(os.path.abspath(module.__file__)), "")


_LIBRARIES = {"asyncio": _folder_of(asyncio), "yieldloop": _folder_of(sys.modules["yieldloop"])}
