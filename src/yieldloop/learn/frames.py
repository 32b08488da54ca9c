"""Reads frames, generators and instances as they are, on every supported Python, and leaves them so.

What lives here: what differs from version to version of the interpreter, each with its reason. What may not: knowledge of walks.
"""

from __future__ import annotations

import dis
import functools
import inspect
import sys
import types
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any

from yieldloop.learn.names import is_generator

__all__ = [
    "RESUMABLE",
    "SKIPPED",
    "attributes",
    "delegates_now",
    "frame_of",
    "hide_snapshot",
    "locals_of",
    "stands_at_its_beginning",
    "state_of",
    "waits_in",
]

RESUMABLE = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
SKIPPED = (
    types.ModuleType,
    type,
    types.CodeType,
    types.FrameType,
    types.TracebackType,
    types.MemberDescriptorType,
    str,
    bytes,
    int,
)
"""Kinds of objects that a walk does not look into."""
_SNAPSHOTS = sys.version_info < (3, 13)  # f_locals is a copy that the frame keeps (until PEP 667)


def locals_of(frame: types.FrameType, keep: bool) -> dict[str, Any]:
    """The variables of *frame*. *keep* for the frame that is traced at this moment.

    Before Python 3.13 a frame keeps the copy that is made for asking, and with it what the copy refers to; so it is emptied again.
    Not that of the frame that is traced (the interpreter writes it back into the variables), and not one that the program looks at.
    """
    snapshot = frame.f_locals
    found = dict(snapshot)
    if _SNAPSHOTS and not keep and frame.f_code.co_flags & inspect.CO_OPTIMIZED and sys.getrefcount(snapshot) <= 3:
        snapshot.clear()
    return found


def hide_snapshot(frame: types.FrameType) -> None:
    """Keep the copy of its variables that tracing leaves in *frame* (before Python 3.13) out of `gc.get_referrers`.

    A program that asks who refers to an object is to get the answer that it gets when it is not traced.
    """
    if _SNAPSHOTS and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        import ctypes

        ctypes.pythonapi.PyObject_GC_UnTrack(ctypes.py_object(frame.f_locals))


def frame_of(generator: Any) -> types.FrameType | None:
    """The frame that *generator* owns; None once it is over."""
    return getattr(generator, "gi_frame", None) or getattr(generator, "cr_frame", None) or getattr(generator, "ag_frame", None)


def waits_in(generator: Any) -> Any:
    """What *generator* delegates to by ``yield from`` or ``await``, or None. Of a running one Python 3.11 must not be asked."""
    frame = frame_of(generator)
    if frame is None or frame.f_back is not None:
        return None
    return getattr(generator, "gi_yieldfrom", None) or getattr(generator, "cr_await", None) or getattr(generator, "ag_await", None)


def state_of(generator: Any) -> str:
    """created, running, suspended or closed."""
    frame = frame_of(generator)
    if frame is None:
        return "closed"
    if getattr(generator, "gi_running", False) or getattr(generator, "cr_running", False) or _ag_runs(generator):
        return "running"
    return "created" if stands_at_its_beginning(frame) else "suspended"


def _ag_runs(generator: Any) -> bool:
    # ag_running is also true while a step of it is awaited and suspended; then it has no frame behind it.
    frame = generator.ag_frame if isinstance(generator, types.AsyncGeneratorType) else None
    return frame is not None and generator.ag_running and frame.f_back is not None


@functools.cache
def _first_resume(code: types.CodeType) -> int:
    return next(at for at in range(0, len(code.co_code), 2) if dis.opname[code.co_code[at]] == "RESUME")


def stands_at_its_beginning(frame: types.FrameType) -> bool:
    """True of a generator's frame in which no line has run."""
    return frame.f_lasti <= _first_resume(frame.f_code)


def delegates_now(frame: types.FrameType) -> bool:
    """True of a generator's frame that is on the stack and stands in ``yield from`` or ``await``."""
    code, at = frame.f_code.co_code, frame.f_lasti
    while dis.opname[code[at]] == "CACHE":  # Python 3.12 names the place behind the instruction
        at -= 2
    if dis.opname[code[at]] == "YIELD_VALUE":
        at += 2
    if dis.opname[code[at]] == "RESUME":  # the low bits say after what: 1 a yield, 2 a yield from, 3 an await
        return code[at + 1] & 3 >= 2
    return dis.opname[code[at]] in ("SEND", "JUMP_BACKWARD_NO_INTERRUPT")


_slots: weakref.WeakKeyDictionary[type, tuple[tuple[str, types.MemberDescriptorType], ...]] = weakref.WeakKeyDictionary()


def _slots_of(kind: type) -> tuple[tuple[str, types.MemberDescriptorType], ...]:
    try:
        return _slots[kind]
    except KeyError:
        members = [(name, member) for cls in kind.__mro__ for name, member in cls.__dict__.items()]
        found = tuple(
            (name, member)
            for name, member in members
            if isinstance(member, types.MemberDescriptorType)
            and hasattr(member.__objclass__, "__slots__")
            and name != "__weakref__"
        )
        _slots[kind] = found
        return found


_WITHOUT = (*SKIPPED, types.FunctionType, list, tuple, dict, set, deque)


def attributes(obj: Any) -> Iterator[tuple[str, Any]]:
    """The instance attributes of *obj*, in its dictionary and in its slots, read without calling the program's code."""
    if isinstance(obj, _WITHOUT) or is_generator(obj):
        return
    try:
        yield from list(object.__getattribute__(obj, "__dict__").items())
    except AttributeError:
        pass
    for name, member in _slots_of(type(obj)):
        try:
            yield name, member.__get__(obj)
        except AttributeError:  # not set
            pass
