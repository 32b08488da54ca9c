"""The recorder of one loop: what happened last, as records of 16 bytes in a ring.

What lives here: the ring, its bounds, and the short numbers (labels) for code that records name. What may not: reading records, and
files (``yieldloop.record``). ``_record.pyx`` is the compiled twin: there a record is one look at the clock and two stores; nothing
in it touches a Python object, so nothing is kept alive and nothing can raise.

A record is two words of 64 bits. From the low end: the first holds the kind (6 bits), the subject's low 15 bits, and the tick's
low 43 (unfolded by the chunk's first tick); the second the thing (43) and the subject's high 21. The subject is a task's number, a
label or a descriptor. The thing that a task waits for is told by its address: that is no reference, and stands for another thing
once this one was told to wake and is parked on again.

A step and a callback are one record, at their end: it began where the one before it ended (kinds marked *). What is recorded while
they run comes before it. So the price of a step is one record. Where the last 16 took a µs each at most, every second one that
`quick` makes does without a look at the clock, and has the tick of the record before it. A step within another one says when it
begins.

Bounds: chunks of 64 KiB, made as they are needed, until *limit* bytes are used; then the oldest is used again. Chunks older than
*age* are given back when a new one begins. Threads: who notes and who reads holds the GIL; a reader takes one chunk at a time, and
a chunk that was used again meanwhile is told by its number.
"""

from __future__ import annotations

import functools
import gc
import sys
import time
from array import array
from contextvars import Context
from types import AsyncGeneratorType, BuiltinFunctionType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import Any

from yieldloop.engine._leaf import FutureIter, Turn

CREATED = 1  # subject: task; thing: label of its code, and above 21 bits the label of where
STEPPED = 2  # subject: task: a step within another step or callback begins
TURN = 3  # * subject: task, which only gives up its turn
PARKED = 4  # * subject: task; thing: address of the future
PARKED_TASK = 5  # * subject: task; thing: number of the task it waits for
WOKEN = 6  # subject: task; thing: address of the future
WOKEN_TASK = 7  # subject: task; thing: number of the task that is done
DONE = 8  # * subject: task; thing: 0 result, 1 exception, 2 cancelled
CALLBACK = 9  # * subject: label
TIMER = 10  # subject: label
POLL = 11  # thing: time-out in µs and 1; 0 for none
POLLED = 12  # thing: ready entries
FD = 13  # subject: descriptor; thing: mask. Happens when the poll is done
THREAD = 14  # subject: label of the function
MARK = 15  # whatever comes next begins here
OVER = 16  # * subject: task, whose step ended in no regular way
FACTS = 17  # as CREATED, of a task whose creation is no longer in the ring
MADE = 18  # subject: task; thing: when that was, in units of 1024 ns
NAMED = 19  # subject: task; thing: number of the name
OFFSET = 20  # thing: by how much numbers of tasks are ahead of numbers of names from here on
UNNAMED = 21  # subject: task; thing: the number of its name
WAITED = 22  # subject: task; thing: label of the place where it stood when it parked last. Before a wake-up, or after a turn

CHUNK = 4096  # records
LABELS = 8192  # labels of one generation; the one before it is kept as well
LAST_LABEL = (1 << 21) - 1
NAMES = 16384  # names kept: those given last
MOST_LINKS = 64  # of an await chain; what is further in is not told
LINK = 32  # a link's label has the label around it above so many bits of its instruction


class Recorder:
    """The ring of one loop: at most *limit* bytes of records, none much older than *age* ns (0: of any age).

    With *chains* it is recorded of each wait where the task stood; else only of long ones.
    """

    __slots__ = (
        "__weakref__",
        "_age",
        "_cells",  # of the chunk that is being filled
        "_chunks",  # (number, first tick, its ns, offset of names, cells), oldest first
        "_most",  # chunks
        "_name_list",
        "_names",  # given out so far
        "_number",  # of the chunk that is being filled
        "_offset",  # of the numbers of tasks to those of their names
        "age",
        "chains",
        "limit",
        "lost",  # records that fell out of the ring
        "oldest",  # the tick at which the ring begins
    )

    def __init__(self, limit: int, age: int, chains: bool = False) -> None:
        if limit < CHUNK * 16 or age < 0:
            raise ValueError(f"a recorder holds at least {CHUNK * 16} bytes and no negative age: got {limit!r} bytes, {age!r} ns")
        self.limit = limit
        self.age = age
        self.chains = chains
        self.lost = 0
        self.oldest = 0
        self._most = limit // (CHUNK * 16)
        self._name_list: list[Any] = []
        self._names = 0
        self._offset = 0
        self._number = 0
        self._chunks: list[Any] = []
        self._cells: Any = None
        self._turn()

    def _turn(self) -> None:
        now = time.monotonic_ns()
        chunks = self._chunks
        while chunks and (len(chunks) >= self._most or (self.age and len(chunks) > 1 and chunks[1][2] < now - self.age)):
            self.lost += len(chunks.pop(0)[4]) // 2
        self._cells = array("Q")
        self._number += 1
        chunks.append((self._number, now, now, self._offset, self._cells))
        self.oldest = chunks[0][1]

    def note(self, kind: int, subject: int, thing: int) -> int:
        """Record; returns the tick."""
        now = time.monotonic_ns()
        cells = self._cells
        low = (now << 21 | (subject & 0x7FFF) << 6 | kind) & 0xFFFFFFFFFFFFFFFF
        cells.extend((low, (subject >> 15 & 0x1FFFFF) << 43 | thing & 0x7FFFFFFFFFF))  # at once: no reader sees half a record
        if len(cells) == 2 * CHUNK:
            self._turn()
        return now

    quick = note  # compiled, it may do without a look at the clock

    def note_offset(self, offset: int) -> None:
        """Numbers of tasks are *offset* ahead of the numbers of their names from here on."""
        if offset != self._offset:
            self._offset = offset
            self.note(OFFSET, 0, offset)

    def note_name(self, task: int, name: str) -> None:
        """Task number *task* has the *name*. Of names, the last 16384 are kept."""
        if len(self._name_list) < NAMES:
            self._name_list.append(name)
        else:
            self._name_list[self._names % NAMES] = name
        self.note(NAMED, task, self._names)
        self._names += 1

    def names(self) -> dict[int, str]:
        """The names that are kept, by number."""
        first = max(0, self._names - NAMES)
        return {number: self._name_list[number % NAMES] for number in range(first, self._names)}

    def numbers(self) -> list[int]:
        """The chunks that there are, oldest first."""
        return [chunk[0] for chunk in self._chunks]

    def chunk(self, number: int) -> tuple[int, int, int, bytes] | None:
        """Chunk *number*: (first tick, that in ns, offset of names, records); None if it is no longer there."""
        for found, tick, ns, offset, cells in self._chunks:
            if found == number:
                return tick, ns, offset, cells.tobytes() if sys.byteorder == "little" else _swapped(cells)
        return None


def _swapped(cells: Any) -> bytes:
    turned = array("Q", cells)
    turned.byteswap()
    return turned.tobytes()


# --- labels: code by short numbers ---------------------------------------------------------------------------------------

_by_key: dict[Any, int] = {}
_kept: list[Any] = []  # as `labels` gives them, of this generation and the one before
_last = 0


def _label(key: Any, where: int, keep: Any) -> int:
    global _last, _kept
    found = _by_key.get((key, where))
    if found is not None:
        return found
    if _last >= LAST_LABEL:
        return 0
    if len(_by_key) >= LABELS:
        _by_key.clear()
        _kept = _kept[-LABELS:]
    _last += 1
    _by_key[key, where] = _last
    _kept.append((_last, keep, where))
    return _last


def label_site(code: Any, lasti: int) -> int:
    """The label of instruction *lasti* in *code* (a code object; None: 0)."""
    return 0 if code is None else _label(id(code), lasti, code)


def label_coro(coro: Any) -> int:
    """The label of what *coro* runs: its code, or its type if that has none."""
    if type(coro) is CoroutineType:
        code: Any = coro.cr_code
    else:
        code = coro.gi_code if type(coro) is GeneratorType else type(coro)
    return _label(id(code), -1, code)


def label_call(function: Any) -> int:
    """The label of what a call of *function* runs. Keeps its code, its name or its type; never itself."""
    if type(function) is MethodType:
        function = function.__func__
    if type(function) is FunctionType:
        code = function.__code__
        return _by_key.get((id(code), -1)) or _label(id(code), -1, code)
    if type(function) is functools.partial:
        run, args = function.func, function.args  # of `to_thread`: what is run in a context
        return label_call(args[0] if args and type(getattr(run, "__self__", None)) is Context else run)
    if type(function) is BuiltinFunctionType:
        name = function.__qualname__
        return _label(name, -1, name)
    return label_type(function)


def label_type(entry: Any) -> int:
    """The label of the type of *entry*: all that is said of what has no code of its own."""
    return _label(id(type(entry)), -1, type(entry))


def label_chain(coro: Any) -> int:
    """The label of the place where the suspended *coro* stands: that of its innermost link, which leads to those around it.

    Where a long recursion stands is told as far as its first 64 links. Runs no code of the program's.
    """
    found = 0
    for _ in range(MOST_LINKS):
        kind = type(coro)
        if kind is CoroutineType:
            frame, following = coro.cr_frame, coro.cr_await
        elif kind is GeneratorType:
            frame, following = coro.gi_frame, coro.gi_yieldfrom
        elif kind is AsyncGeneratorType:
            frame, following = coro.ag_frame, coro.ag_await
        elif kind.__name__ in PLUMBING and kind.__module__ == "builtins":
            coro = inner_of(coro)
            continue
        elif kind.__module__.startswith("yieldloop.") and kind is not FutureIter:
            name = "sleep" if kind is Turn else getattr(coro, "__name__", kind.__name__)
            return _label(id(name), (found + 1) << LINK, (kind.__module__, name))
        else:
            break
        if frame is None:
            break
        code = frame.f_code
        found = _label(id(code), frame.f_lasti | (found + 1) << LINK, code)
        coro = following
    return found


PLUMBING = frozenset({"coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable"})
"""The interpreter's own awaitables between a coroutine and what it waits for. Each refers to one thing that can be resumed."""


def inner_of(awaitable: Any) -> Any:
    """What a link of the `PLUMBING` leads to; None if that cannot be told."""
    for found in gc.get_referents(awaitable):
        if type(found) in (CoroutineType, GeneratorType, AsyncGeneratorType) or type(found).__name__ in PLUMBING:
            return found
    return None


def labels() -> list[tuple[int, Any, int]]:
    """Every label that is kept: (label, what, instruction). *what* is a code object, a type, a name, or (module, name).

    Of a link of an await chain, the instruction has the label of the link around it and 1 above `LINK` bits.
    """
    return list(_kept)
