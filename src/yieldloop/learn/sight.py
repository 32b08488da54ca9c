"""Sees which generators there are, who holds each of them, and what an event loop has before it.

What lives here: one walk over the program's objects, from the names in its frames and modules on. The names say who holds what, so
the walk follows variables, attributes, items and closures, and asks the garbage collector only where there are no names.
What may not: anything that the program could notice. Nothing that is seen is kept: weak references, names and texts are.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import selectors
import socket
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from yieldloop.learn.frames import (
    RESUMABLE,
    SKIPPED,
    attributes,
    delegates_now,
    frame_of,
    locals_of,
    stands_at_its_beginning,
    state_of,
    waits_in,
)
from yieldloop.learn.names import Names, code_of, is_generator
from yieldloop.learn.words import Phrase

__all__ = ["Sight"]

READY = frozenset({"ready", "_ready"})
TIMERS = frozenset({"timers", "_timers", "heap", "scheduled", "_scheduled", "sleeping"})
ENOUGH = 4000  # objects that one look visits: a program's own come first, what is behind them is not worth the time
_ATOMS = frozenset({int, float, complex, bool, str, bytes, bytearray, type(None), type, types.ModuleType, range})


class Sight:
    """Looks at the program between two of its lines.

    *label* names the file of a code whose generators are of interest, and is None for others.
    """

    def __init__(self, names: Names, label: Callable[[types.CodeType], str | None]) -> None:
        self._names = names
        self._label = label
        self._known: list[weakref.ref[Any]] = []
        self._dying: list[Any] = []
        self._delegates: dict[int, weakref.ref[Any]] = {}  # id of a generator → what it delegated to when last seen suspended

    def notice_new(self, frames: list[types.FrameType]) -> None:
        """Take note of generators that were made since the last time, and of those whose *frames* are on the stack.

        The collector is off: what is new is in its youngest part. (A program that calls it itself hides them until they run.)
        """
        for obj in gc.get_objects(generation=0):
            if is_generator(obj) and self._label(code_of(obj)) is not None:
                self._know(obj)
        gc.freeze()  # what has been seen moves to the oldest part: both calls move lists as a whole
        gc.unfreeze()
        self._dying.clear()
        owned = {id(frame_of(generator)) for generator in self.generators()}
        strange = {id(frame) for frame in frames if frame.f_code.co_flags & RESUMABLE and id(frame) not in owned}
        for obj in gc.get_objects() if strange else ():
            if is_generator(obj) and id(frame_of(obj)) in strange:
                self._know(obj)

    def _know(self, generator: Any) -> None:
        frame = frame_of(generator)
        if frame is None or any(ref() is generator for ref in self._known):
            return
        if stands_at_its_beginning(frame):
            self._known.append(weakref.ref(generator))
            self._names.of(generator)
        elif id(generator) not in map(id, self._dying):
            # It is old, and yet its weak reference is gone: it is closed because nobody refers to it any more. A new weak reference
            # would outlive it (CPython clears them before it closes a generator, not after), so it is held, for this step only.
            self._dying.append(generator)
            self._names.pin(generator)

    def let_go(self) -> None:
        """To be called before the program goes on."""
        self._dying.clear()

    def generators(self) -> list[Any]:
        """Those of interest that are alive, oldest first. (The caller drops them before the program goes on.)"""
        self._known = [ref for ref in self._known if ref() is not None]
        return [generator for ref in self._known if (generator := ref()) is not None] + self._dying

    def look(self, frames: list[types.FrameType], traced: types.FrameType | None, spaces: Iterable[Mapping[str, Any]]) -> _Look:
        """Walk over what can be reached from *frames* (outermost first), the modules' *spaces* and the generators."""
        generators = self.generators()
        below = {id(generator): self._delegate(generator, generators) for generator in generators}
        look = _Look(self._names, self._label, generators, below)
        look.walk(frames, traced, spaces)
        self._names.forget([*look.seen, *map(id, self._dying)])
        return look

    def _delegate(self, generator: Any, generators: list[Any]) -> Any:
        """What *generator* delegates to. One on the stack does not tell: its instruction does, and the frame above it."""
        below, frame = waits_in(generator), frame_of(generator)
        if below is None and frame is not None and frame.f_back is not None and delegates_now(frame):
            above = [other for other in generators if (top := frame_of(other)) is not None and top.f_back is frame]
            remembered = self._delegates.get(id(generator))
            below = above[0] if above else remembered and remembered()
        try:
            self._delegates[id(generator)] = weakref.ref(below)
        except TypeError:  # None, or no place for weak references
            self._delegates.pop(id(generator), None)
        return below


class _Look:
    """One walk and what it found."""

    def __init__(
        self,
        names: Names,
        label: Callable[[types.CodeType], str | None],
        generators: list[Any],
        below: dict[int, Any],
    ) -> None:
        self.seen: dict[int, Any] = {}
        self._names = names
        self._label = label
        self._generators = generators
        self._below = below
        self._on_stack: set[int] = set()  # identities of frames
        self._holders: dict[int, list[Phrase]] = {id(generator): [] for generator in generators}
        self._pending: deque[tuple[Any, str]] = deque()
        self._ready: dict[int, Any] = {}
        self._timers: dict[int, Any] = {}
        self._selectors: dict[int, Any] = {}
        self._pollers: dict[int, Any] = {}

    # --- the walk ---

    def walk(self, frames: list[types.FrameType], traced: types.FrameType | None, spaces: Iterable[Mapping[str, Any]]) -> None:
        self._on_stack = {id(frame) for frame in frames}
        for space in spaces:
            for name, value in list(space.items()):
                if type(value) not in _ATOMS and not (name.startswith("__") and name.endswith("__")):
                    self._edge(value, name, "global", name=name)
        for frame in frames:
            if frame.f_code.co_flags & inspect.CO_OPTIMIZED:  # a module's variables are its globals
                self._variables(self._owner(frame), locals_of(frame, frame is traced))
        for generator in self._generators:
            self._enter_generator(generator)
        loop = asyncio._get_running_loop()
        if loop is not None:
            self._pending.append((loop, "loop"))
        while self._pending and len(self.seen) < ENOUGH:
            self._enter(*self._pending.popleft())

    def _owner(self, frame: types.FrameType) -> str:
        for generator in self._generators:
            if frame_of(generator) is frame:
                return self._names.of(generator)
        return frame.f_code.co_qualname.rpartition("<locals>.")[2]

    def _variables(self, owner: str, variables: Mapping[str, Any]) -> None:
        for name, value in variables.items():
            if type(value) not in _ATOMS and name != ".0":  # a comprehension's argument: its creator shows it
                self._edge(value, name, "variable", owner=owner, name=name)

    def _edge(self, target: Any, path: str, key: str, **words: str) -> None:
        """Somebody refers to *target*: note it if it is a generator, and look into *target* later."""
        if isinstance(target, SKIPPED):
            return
        holders = self._holders.get(id(target))
        if holders is not None:
            holders.append(Phrase(key, dict(words)))
            return
        name = words.get("name", "")
        if isinstance(target, list | deque):
            if name in READY:
                self._ready.setdefault(id(target), target)
            elif name in TIMERS:
                self._timers.setdefault(id(target), target)
        elif isinstance(target, selectors.BaseSelector):
            self._selectors.setdefault(id(target), target)
        if id(target) not in self.seen:
            self.seen[id(target)] = target
            self._pending.append((target, path))

    def _enter_generator(self, generator: Any) -> None:
        frame, owner, below = frame_of(generator), self._names.of(generator), self._below[id(generator)]
        if frame is None:
            return
        if below is not None:
            self._edge(below, owner, "delegates", owner=owner)
        if id(frame) in self._on_stack or state_of(generator) == "running":
            return
        variables = locals_of(frame, keep=False)
        self._variables(owner, variables)
        named = {id(below), *map(id, variables.values())}
        for other in gc.get_referents(generator):
            if id(other) in self._holders and id(other) not in named:
                self._edge(other, owner, "own stack", owner=owner)

    def _enter(self, obj: Any, path: str) -> None:
        """Follow what *obj* refers to; *path* is how a reader would write it."""
        if isinstance(obj, list | tuple | deque):
            for index, item in enumerate(obj):
                if type(item) not in _ATOMS:
                    self._edge(item, f"{path}[{index}]", "item", owner=f"{path}[{index}]")
        elif isinstance(obj, dict):
            for key, value in list(obj.items()):
                if type(value) not in _ATOMS:
                    place = f"{path}[{self._names.value(key, 0)}]"
                    self._edge(value, place, "item", owner=place)
                if type(key) not in _ATOMS:
                    self._edge(key, path, "inside", owner=path)
        elif isinstance(obj, set | frozenset):
            for item in sorted(obj, key=id):
                self._edge(item, path, "inside", owner=path)
        elif isinstance(obj, types.FunctionType):
            owner = self._names.value(obj)
            for name, cell in zip(obj.__code__.co_freevars, obj.__closure__ or (), strict=True):
                try:
                    self._edge(cell.cell_contents, name, "closure", owner=owner, name=name)
                except ValueError:  # not filled yet
                    pass
            for value in obj.__defaults__ or ():
                self._edge(value, owner, "inside", owner=owner)
        elif isinstance(obj, types.MethodType):
            self._edge(obj.__self__, path, "method", owner=path, name=getattr(obj.__func__, "__name__", "?"))
            self._edge(obj.__func__, path, "inside", owner=path)
        elif isinstance(obj, types.BuiltinFunctionType | types.MethodWrapperType):
            self._edge(obj.__self__, path, "method", owner=path, name=obj.__name__)
        elif gc.is_tracked(obj):
            self._enter_instance(obj)

    def _enter_instance(self, obj: Any) -> None:
        owner = self._names.of(obj)
        found = False
        for name, value in attributes(obj):
            found = True
            if type(value) not in _ATOMS:
                self._edge(value, f"{owner}.{name}", "attribute", owner=owner, name=name)
        if isinstance(obj, socket.socket) and obj.fileno() >= 0 and obj.family in (socket.AF_INET, socket.AF_INET6):
            self._names.port(obj.getsockname()[1])
        module = type(obj).__module__
        if module.startswith("yieldloop.pollers") and hasattr(type(obj), "fds"):
            self._pollers.setdefault(id(obj), obj)
        elif module == "yieldloop.engine._heap" and hasattr(obj, "_slots"):
            self._timers.setdefault(id(obj), [slot for slot in obj._slots if not slot[2]._cancelled])
        if not found and not isinstance(obj, BaseException):
            for other in gc.get_referents(obj):
                if not isinstance(other, dict):  # a namespace, seen from where it has its name
                    self._edge(other, owner, "inside", owner=owner)

    # --- what it found ---

    def describe(self) -> list[dict[str, Any]]:
        """The generators, as the walk document has them."""
        return [self._describe(generator) for generator in self._generators]

    def _describe(self, generator: Any) -> dict[str, Any]:
        name, frame, below = self._names.of(generator), frame_of(generator), self._below[id(generator)]
        state = "running" if id(frame) in self._on_stack else state_of(generator)
        holders = self._holders[id(generator)]
        if not holders and state != "closed":
            holders.append(Phrase("stack" if self._on_stack else "elsewhere"))
        return {
            "id": name,
            "name": name,
            "state": state,
            "file": self._label(code_of(generator)) or "",
            "line": 0 if frame is None else frame.f_lineno or code_of(generator).co_firstlineno,
            "waits": "" if below is None else self._names.value(below, 1),
            "holders": holders,
        }

    def ready(self) -> list[str]:
        """What an event loop will run, in order."""
        return [self._entry(entry) for queue in self._ready.values() for entry in queue]

    def timers(self) -> list[str]:
        """What an event loop has put off, soonest first."""
        found = []
        for heap in self._timers.values():
            found += [self._entry(slot) for slot in sorted(heap, key=_deadline)]
        return found

    def fds(self) -> list[str]:
        """The descriptors for which an event loop asks the kernel."""
        found = []
        for selector in self._selectors.values():
            for key in sorted((selector.get_map() or {}).values(), key=lambda key: key.fd):
                sides = [
                    word for bit, word in ((selectors.EVENT_READ, "read"), (selectors.EVENT_WRITE, "write")) if key.events & bit
                ]
                data = list(key.data.values()) if type(key.data) is dict else [key.data]  # one callback for each direction
                found.append(f"fd {key.fd} {'+'.join(sides)} → {', '.join(self._names.value(part, 1) for part in data)}")
        for poller in self._pollers.values():
            for fd, (reader, writer) in sorted(poller.fds().items()):
                found += [
                    f"fd {fd} {side} → {self._entry(entry)}" for side, entry in (("read", reader), ("write", writer)) if entry
                ]
        return found

    def _entry(self, entry: Any) -> str:
        """An entry of a queue: a call that is to be made, a generator, or whatever drives one."""
        parts = dict(attributes(entry))
        callback = parts.get("_callback") or parts.get("callback")
        if callable(callback):
            return self._names.call(callback, parts.get("_args") or parts.get("args") or ())
        if type(entry) is tuple and len(entry) == 2 and callable(entry[0]) and type(entry[1]) is tuple:
            return self._names.call(*entry)
        if type(entry) is tuple:
            return ", ".join(self._entry(part) for part in entry)
        driven = [self._names.of(part) for part in parts.values() if is_generator(part)]
        text = self._names.value(entry)
        return f"{text} ({', '.join(driven)})" if driven else text


def _deadline(slot: Any) -> float:
    """The number that a timer is sorted by: the first of a tuple, or its ``_when`` or ``when``."""
    parts = dict(attributes(slot))
    number = slot[0] if isinstance(slot, tuple) and slot else parts.get("_when", parts.get("when"))
    return number if isinstance(number, int | float) else 0.0
