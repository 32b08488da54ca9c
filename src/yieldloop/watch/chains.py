"""Await chains: from the coroutine that a task drives inwards to where it stands.

What lives here: stepping from one suspended coroutine, generator or awaitable to what it awaits, and the place of each. What may
not: what the innermost one waits for (`ends`).

Rules for the editor, here and in `ends` and `holders`:
1. Called from any thread while the loop runs: whatever is read may be gone at the next line. Nothing may raise for that.
2. The program's own code is never run: no ``repr``, no attribute of a class that is not the interpreter's, the standard
   library's or ours. What else an object refers to is asked of the garbage collector, which only looks.
3. A hundred thousand tasks stand at few different places: a place is worked out once (`Place`), and all share it.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import opcode
import types
from asyncio import futures as _futures
from dataclasses import dataclass
from typing import Any

from yieldloop.engine import _leaf
from yieldloop.engine._record import PLUMBING
from yieldloop.engine.futures import Future
from yieldloop.engine.sleeping import Sleep
from yieldloop.transports.intake import Reading
from yieldloop.transports.sockcalls import SockCall

DEEPEST = 200  # links of a chain that are followed; a recursion deeper than that repeats itself
MOST_PLACES = 50_000  # that are remembered; then all are forgotten

_C_ATTRIBUTES = (types.GetSetDescriptorType, types.MemberDescriptorType)  # reading one runs no code of the program's
_OURS = (Sleep, SockCall, Reading, _leaf.Turn)
# What `await future` is in the chain: it says no more than the future does.
_SILENT = {_leaf.FutureIter, type(iter(()))}
_SILENT_CODE = {
    id(function.__code__) for function in (_futures._PyFuture.__await__,) if hasattr(function, "__code__")  # type: ignore[attr-defined]
}
for _kind in (getattr(_futures, "_CFuture", None), Future):
    if _kind is not None and hasattr(_kind.__await__, "__code__"):
        _SILENT_CODE.add(id(_kind.__await__.__code__))


@dataclass(slots=True, frozen=True)
class Frame:
    """A link of an await chain, or a frame of a stack. *file* and *line* are None where there is no Python code."""

    kind: str  # coroutine | generator | async generator | function | awaitable | task
    name: str
    file: str | None
    line: int | None

    def as_json(self) -> dict[str, Any]:
        """As a dictionary of plain values."""
        return {"kind": self.kind, "name": self.name, "file": self.file, "line": self.line}

    def __str__(self) -> str:
        where = f"  {self.file}:{self.line}" if self.file is not None else ""
        return f"{self.name}(){where}"


class Place:
    """A chain up to one of its links: the root of all is empty, and each link leads from one place to the next.

    So the chain of a task is found by one look into a dictionary a link, and tasks that stand alike share it.
    """

    __slots__ = ("_chain", "_codes", "above", "below", "code", "count", "depth", "frame", "limits", "silent", "wait", "withs")

    def __init__(self, above: Place | None, code: types.CodeType | None, frame: Frame | None) -> None:
        self.above = above
        self.below: dict[Any, Place] = {}  # by the address of an instruction (`walk`), or by a name
        self.code = code  # of the last link, None if that has none; kept, since places are found by its id
        self.frame = frame
        self.silent = code is not None and id(code) in _SILENT_CODE
        self.depth: int = 0 if above is None else above.depth + 1
        self.count: int = (0 if above is None else above.count) + (code is not None)  # links with code
        # Those of them (by number, from 0) in whose code there is an `async with`.
        self.withs: tuple[int, ...] = () if above is None else above.withs
        if code is not None and has_async_with(code):
            self.withs = (*self.withs, self.count - 1)
        # What `ends` finds out once: which of them have a time-out of their own, and how it is read; what is waited for.
        self.limits: tuple[tuple[int, Any], ...] | None = None
        self.wait: tuple[Any, ...] | None = None
        self._chain: tuple[Frame, ...] | None = None
        self._codes: tuple[types.CodeType, ...] | None = None

    @property
    def chain(self) -> tuple[Frame, ...]:
        """The links, outermost first."""
        if self._chain is None:
            self._chain = tuple(place.frame for place in self._way() if place.frame is not None)
        return self._chain

    @property
    def codes(self) -> tuple[types.CodeType, ...]:
        """The code of the links that have one, outermost first."""
        if self._codes is None:
            self._codes = tuple(place.code for place in self._way() if place.code is not None)
        return self._codes

    def _way(self) -> list[Place]:
        way = []
        place: Place | None = self
        while place is not None:
            way.append(place)
            place = place.above
        return way[::-1]

    def step(self, key: Any, code: types.CodeType | None, frame: Frame) -> Place:
        """The place one link further, which is not known yet."""
        global _count
        _count += 1
        place = self.below[key] = Place(self, code, frame)
        return place


_root = Place(None, None, None)
_count = 0


def _start() -> Place:
    """The root: a fresh one when too much is remembered."""
    global _root, _count
    if _count > MOST_PLACES:
        _root = Place(None, None, None)
        _count = 0
    return _root


def has_async_with(code: types.CodeType) -> bool:
    """True if there is, or may be, an ``async with`` in *code*."""
    return any(op in _ASYNC_WITH for op in code.co_code[::2])


# The instructions that begin an `async with`. Where there is none of its own (Python 3.14), any special method may be meant.
_ASYNC_WITH = {opcode.opmap[name] for name in ("BEFORE_ASYNC_WITH", "LOAD_SPECIAL") if name in opcode.opmap}


def _kind_of(code: types.CodeType) -> str:
    if code.co_flags & inspect.CO_COROUTINE:
        return "coroutine"
    if code.co_flags & inspect.CO_ASYNC_GENERATOR:
        return "async generator"
    if code.co_flags & inspect.CO_GENERATOR:
        return "generator"
    return "function"


def frame_of(frame: types.FrameType) -> Frame:
    """Where *frame* stands."""
    code = frame.f_code
    return Frame(_kind_of(code), code.co_qualname, code.co_filename, frame.f_lineno)


def walk(coro: Any) -> tuple[Place, list[Any], Any]:
    """Where a suspended *coro* stands; the coroutines and generators of the links that have code, outermost first; and the
    awaitable without a frame at the end (a `Sleep`, a `SockCall`, …) or None.
    """
    # `_record.label_chain` follows the same links; one function for both would cost either of them a tenth.
    place = _start()
    passed: list[Any] = []
    obj = coro
    while obj is not None and place.depth < DEEPEST:
        kind = type(obj)
        if kind is _Coroutine:
            frame, following = obj.cr_frame, obj.cr_await
        elif kind is _Generator:
            frame, following = obj.gi_frame, obj.gi_yieldfrom
        elif kind is _AsyncGenerator:
            frame, following = obj.ag_frame, obj.ag_await
        elif kind in _SILENT:
            break
        elif kind.__name__ == "FutureIter" and kind.__module__ == "_asyncio":
            _SILENT.add(kind)
            break
        else:
            place, following = _through(place, obj, kind)
            if following is None or type(following) in _SILENT:
                return place, passed, obj
            obj = following
            continue
        if frame is None:
            break  # it has ended meanwhile
        code = frame.f_code
        key = id(code) + frame.f_lasti  # lies inside of the code object, which its place keeps: no two have one in common
        known = place.below.get(key)
        if known is None:
            known = place.step(key, code, frame_of(frame))
        if known.silent:
            break
        place = known
        passed.append(obj)
        obj = following
    return place, passed, None


_Coroutine, _Generator, _AsyncGenerator = types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType
_RESUMABLE = (_Coroutine, _Generator, _AsyncGenerator)


def _through(place: Place, obj: Any, kind: type) -> tuple[Place, Any]:
    """The place and the next link behind an object that is no generator; None if it is the end, or cannot be seen through."""
    if issubclass(kind, _OURS):
        name = obj.__name__ if kind is not _leaf.Turn else "sleep"
        following = obj.cr_await if kind is not _leaf.Turn else None
        if type(following) is not _Coroutine:
            following = None  # the future itself
        return place.below.get(name) or place.step(name, None, Frame("awaitable", name, None, None)), following
    name = kind.__name__
    plumbing = kind.__module__ == "builtins" and name in PLUMBING
    if not plumbing:
        for attribute in ("cr_await", "gi_yieldfrom"):  # a coroutine compiled by Cython
            if isinstance(getattr(kind, attribute, None), _C_ATTRIBUTES):
                name = getattr(obj, "__qualname__", name)
                place = place.below.get(name) or place.step(name, None, Frame("coroutine", name, None, None))
                return place, getattr(obj, attribute)
        name = kind.__qualname__
        place = place.below.get(name) or place.step(name, None, Frame("awaitable", name, None, None))
    inner = [
        found
        for found in gc.get_referents(obj)
        if type(found) in _RESUMABLE or (plumbing and type(found).__name__ in PLUMBING)
    ]
    return place, inner[0] if len(inner) == 1 else None


def stack_of(innermost: types.FrameType | None, until: Any = None) -> tuple[Frame, ...]:
    """The running frames from *innermost* outwards, outermost first; up to the frame *until* and with it, if it is met."""
    frames: list[Frame] = []
    frame = innermost
    while frame is not None and len(frames) < DEEPEST:
        frames.append(frame_of(frame))
        if frame is until:
            break
        frame = frame.f_back
    return tuple(reversed(frames))


def is_new(coro: Any) -> bool:
    """True if *coro* has not begun."""
    kind = type(coro)
    if kind is types.CoroutineType:
        return inspect.getcoroutinestate(coro) == inspect.CORO_CREATED
    if kind is types.GeneratorType:
        return inspect.getgeneratorstate(coro) == inspect.GEN_CREATED
    return False


def is_future_type(kind: type) -> bool:
    """True for the classes of ours and of the standard library, and what derives from them."""
    return issubclass(kind, (Future, asyncio.Future, _futures._PyFuture))  # type: ignore[attr-defined]
