"""Who holds a lock or a semaphore, and whose time is limited: read off the stacks of suspended coroutines.

What lives here: one fact and what follows from it. In the body of ``async with x:`` the interpreter keeps ``x``'s ``__aexit__`` on
the coroutine's stack, to be called at the end. So whoever is inside says so, for the standard library's locks as for ours, and
nobody has to write down a holder when a lock is taken. What may not: anything but reading. A coroutine that runs at this
moment cannot be read so.

``await lock.acquire()`` leaves no such trace: for that, our `Lock` notes the number of its holder. Of the standard library's locks
it can only be said who knows one and acquires so (`acquires`).
"""

from __future__ import annotations

import contextlib
import gc
import types
from asyncio import locks as _locks
from asyncio import timeouts as _timeouts
from collections import deque
from typing import Any

from yieldloop.aio import locks, timeouts
from yieldloop.watch.chains import Place

HELD = frozenset({"lock", "semaphore", "condition"})  # kinds of ends that somebody may hold

_CONDITIONS = (_locks.Condition, locks.Condition)
_HOLDABLE = (_locks.Lock, locks.Lock, _locks.Semaphore, locks.Semaphore, *_CONDITIONS)
_TIMEOUTS = (_timeouts.Timeout, timeouts.Timeout)
_HEAP_TYPE = 1 << 9  # a type's flag: it was made at run time
_Method, _Function = types.MethodType, types.FunctionType
_NOTHING, _HELD, _CONDITION, _LIMIT, _STACK = "", "held", "condition", "limit", "stack"  # what being inside of a thing means
_meanings: dict[type, str] = {}


def _meaning(kind: type) -> str:
    if len(_meanings) > 1000:
        _meanings.clear()
    ways = ((_CONDITION, _CONDITIONS), (_HELD, _HOLDABLE), (_LIMIT, _TIMEOUTS), (_STACK, contextlib.AsyncExitStack))
    found = _meanings[kind] = next((way for way, kinds in ways if issubclass(kind, kinds)), _NOTHING)
    return found


def entered_by(generator: Any) -> list[tuple[str, Any]]:
    """The locks and semaphores (`_HELD`), those of conditions included, and the time-outs (`_LIMIT`) in whose ``async with`` a
    suspended coroutine is, or which it enters now.
    """
    found: list[tuple[str, Any]] = []
    before: Any = None
    for part in gc.get_referents(generator):
        kind = type(part)
        if kind is _Method:
            function = part.__func__
            if type(function) is not _Function or function.__name__ != "__aexit__":
                continue
            owner = part.__self__
        elif kind is _Function:
            before = part
            continue
        elif before is not None:
            function, before = before, None
            if function.__name__ != "__aexit__":
                continue
            owner = part  # from Python 3.14 on function and object lie side by side
        else:
            continue
        kind = type(owner)
        meaning = _meanings.get(kind)
        if meaning is None:
            meaning = _meaning(kind)
        if meaning is _HELD or meaning is _LIMIT:
            found.append((meaning, owner))
        elif meaning is _CONDITION:
            found.append((_HELD, resource_of(owner)))
        elif meaning is _STACK:
            for inner in _owners_in(owner):
                meaning = _meaning(type(inner))
                if meaning is _LIMIT:
                    found.append((_LIMIT, inner))
                elif meaning is _HELD or meaning is _CONDITION:
                    found.append((_HELD, resource_of(inner)))
    return found


def _owners_in(stack: Any) -> list[Any]:
    """The objects that an `AsyncExitStack` will leave by a method of theirs."""
    callbacks = getattr(stack, "_exit_callbacks", None)
    entries = list(callbacks) if isinstance(callbacks, deque) else []
    return [callback.__self__ for _, callback in entries if type(callback) is _Method]


def known_by(generator: Any) -> list[Any]:
    """What a suspended coroutine has in its variables, those that it shares with inner functions included."""
    found = []
    for part in gc.get_referents(generator):
        if type(part) is types.CellType:
            try:
                part = part.cell_contents
            except ValueError:  # not set yet
                continue
        found.append(part)
    return found


def acquires(generator: Any) -> bool:
    """True if the code of a suspended coroutine or generator speaks of ``acquire``."""
    code = getattr(generator, "cr_code", None) or getattr(generator, "gi_code", None) or getattr(generator, "ag_code", None)
    return code is not None and "acquire" in code.co_names


def attributes_of(parts: list[Any]) -> list[Any]:
    """What the objects among *parts* have as attributes, of classes that are not the interpreter's own."""
    found = []
    for part in parts:
        kind = type(part)
        if type(kind) is type and kind.__flags__ & _HEAP_TYPE and not issubclass(kind, (list, dict, set, frozenset, tuple)):
            for value in gc.get_referents(part):
                found += list(value.values()) if type(value) is dict else [value]
    return found


def resource_of(thing: Any) -> Any:
    """What is held by whoever entered *thing*: of a condition, its lock."""
    return getattr(thing, "_lock", thing) if isinstance(thing, _CONDITIONS) else thing


class Holders:
    """Collects, task by task, who holds what."""

    def __init__(self) -> None:
        self._by_thing: dict[int, tuple[Any, list[int]]] = {}  # by id of a lock: it, and the numbers of its holders

    def look(self, number: int, place: Place, passed: list[Any], wanted: Any) -> int | None:
        """Task *number*, whose `walk` has found *place* and *passed*, waits for the thing *wanted* (or None).

        Returns when a time-out in its chain ends its wait (ns), or None.
        """
        held: list[Any] = []
        until = None
        for i in place.withs:
            if i >= len(passed):
                break  # a part of it has ended meanwhile
            for meaning, thing in entered_by(passed[i]):
                if meaning is _LIMIT:
                    when = thing.when()
                    if when is not None and (until is None or when * 1e9 < until):
                        until = int(when * 1e9)
                else:
                    held.append(thing)
        if wanted is not None and held:
            wanted = resource_of(wanted)  # it waits to enter, or in a condition's wait(): it does not have it
        for thing in held:
            if thing is wanted:
                wanted = None  # but it may have it a second time
                continue
            known = self._by_thing.get(id(thing))
            if known is None:
                self._by_thing[id(thing)] = (thing, [number])
            elif known[1][-1] != number:
                known[1].append(number)
        return until

    def of(self, thing: Any) -> tuple[int, ...]:
        """The numbers of the tasks that hold *thing*, as far as they are known."""
        resource = resource_of(thing)
        found = tuple(self._by_thing.get(id(resource), (None, ()))[1])
        noted = getattr(resource, "_holder", None) if isinstance(resource, locks.Lock) else None
        return (*found, noted) if noted and noted not in found and resource._locked else found
