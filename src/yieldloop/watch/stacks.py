"""The stack of a loop's thread, taken from another thread, and which line of it is the program's.

What lives here: frames as plain dictionaries ``{"file", "line", "function"}``, the newest last as in a traceback. What may not:
an opinion on what the thread does there.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import types
from collections.abc import Iterator
from typing import Any

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDLIB = sysconfig.get_path("stdlib") + os.sep
_SITES = tuple({sysconfig.get_path("purelib") + os.sep, sysconfig.get_path("platlib") + os.sep})
_ENGINE = _PACKAGE + "engine" + os.sep
_DRIVERS = (
    _PACKAGE + os.path.join("loop", "base.py"),
    os.path.join(_STDLIB, "asyncio", "base_events.py"),
    os.path.join(_STDLIB, "asyncio", "events.py"),
    os.path.join(_STDLIB, "asyncio", "runners.py"),
)
"""The files whose frames drive the loop: what is outside them started the loop, and is not what holds it."""
_DRIVING = frozenset({"run", "run_forever", "_run_once", "_run", "_run_ready", "_run_ready_watched", "_iterate"})

Frame = dict[str, Any]


def frames_of_thread(thread_id: int | None) -> list[types.FrameType]:
    """The frames of thread *thread_id* inside its loop's run, the newest last; the engine's own at the outer end are left out."""
    frames: list[types.FrameType] = []
    frame = sys._current_frames().get(thread_id) if thread_id is not None else None
    while frame is not None and not _drives(frame.f_code):
        frames.append(frame)
        frame = frame.f_back
    while frames and frames[-1].f_code.co_filename.startswith(_ENGINE):
        frames.pop()
    frames.reverse()
    return frames


def _drives(code: types.CodeType) -> bool:
    file = code.co_filename
    return code.co_name in _DRIVING and (file in _DRIVERS or file.startswith(_ENGINE))


def as_stack(frames: list[types.FrameType]) -> list[Frame]:
    """*frames* as dictionaries."""
    return [frame_of(frame.f_code, frame.f_lineno) for frame in frames]


def frame_of(code: types.CodeType, line: int | None) -> Frame:
    """One frame as a dictionary; the line is the function's first where the frame has none."""
    return {"file": code.co_filename, "line": line or code.co_firstlineno, "function": code.co_qualname}


def site_in(stack: list[Frame]) -> Frame | None:
    """The frame of *stack* that the program's author can do something about: the newest of the program itself, else of a library,
    else of anything but us.
    """
    ranked = sorted(((_rank(frame["file"]), -place, frame) for place, frame in enumerate(stack)), key=lambda found: found[:2])
    return ranked[0][2] if ranked else None


def _rank(file: str) -> int:
    if file.startswith(_PACKAGE):
        return 3
    if file.startswith(_SITES):
        return 1
    return 2 if file.startswith((_STDLIB, "<frozen")) else 0


def source_line(file: str, line: int) -> str:
    """That line of source, stripped; "" if it cannot be read."""
    import linecache

    return linecache.getline(file, line).strip()


def lines_of(stack: list[Frame]) -> Iterator[str]:
    """*stack* as a traceback prints it, without indentation of its own."""
    for frame in stack:
        yield f'File "{frame["file"]}", line {frame["line"]}, in {frame["function"]}'
        text = source_line(frame["file"], frame["line"])
        if text:
            yield f"  {text}"
