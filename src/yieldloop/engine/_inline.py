"""The C leaves that are compiled into their callers.

What lives here: under the names of ``_leaf``, what costs so little that the call would cost more. Engine code says
``_inline.copy_context()``; in the compiled leg that is C at the place of the call, here it is ``_leaf``'s own. What may not:
anything with state.

**Entries out of the collector's sight.** A handle that waits in the ready queue cannot be garbage, and CPython's collector would
look at each two or three times in a storm of them. So handles are hidden from it (`hide`) when they are made, and the queue shows
it what a hidden one refers to, if it is its only owner. One that outlives its run, because the program kept it, is shown again
(`show`). The price: a loop that is dropped without ``close()`` is not collected if garbage of the program holds handles that still
wait in it. Refused: to hide timers as well. Programs keep them, so that most are shown in the end, all at once, and a collection of
50,000 cold objects costs more than 25 of the 2,000 that were made last. Interpreted code leaves all that to the collector.
"""

from __future__ import annotations

import sys
from typing import Any

from yieldloop.engine._leaf import call_in_context, check_signals, copy_context, is_callable, monotonic_ns, sole_owner

__all__ = (
    "address",
    "as_size",
    "born_bare",
    "borrowed",
    "call",
    "call_in_context",
    "check_signals",
    "copy_context",
    "has_attributes",
    "hide",
    "is_alive",
    "is_callable",
    "lent",
    "monotonic_ns",
    "nobody",
    "show",
    "sole_owner",
    "ticks",
    "type_version",
)

ticks = monotonic_ns  # compiled and on x86-64 the time stamp counter, at a third of the price: only differences mean something


def call(callback: Any, args: Any) -> Any:
    """``callback(*args)``."""
    return callback(*args)


def as_size(obj: Any) -> int:
    """*obj*, if it is an int (not of a subclass) that can be a size; else -1."""
    return obj if type(obj) is int and 0 <= obj <= sys.maxsize else -1


def has_attributes(obj: Any) -> bool:
    """A program has set some on *obj*. Compiled, also if it has only looked into ``__dict__``."""
    return bool(getattr(obj, "__dict__", None))


def hide(entry: Any) -> None:
    """The collector need not look at *entry*: who holds it does that."""


def is_alive(ref: Any) -> bool:
    """What *ref*, a weak reference, refers to is still there."""
    return ref() is not None


def show(entry: Any) -> None:
    """The collector looks at *entry* again."""


def born_bare() -> bool:
    """True if a new object has no attributes yet; compiled, its fields are None and False from the start."""
    return True


def type_version(obj: Any) -> int:
    """A number that changes whenever something is set on the type of *obj* or a base of it; 0: it has to be looked at itself."""
    return 0


def address(thing: Any) -> int:
    """A number that no other object has while *thing* lives: its address, of which the low bits are always the same."""
    return id(thing) >> 4


def borrowed(entry: Any) -> Any:
    """*entry* without a reference to it, in C: for a field that is cleared before its owner lets go."""
    return entry


def nobody() -> Any:
    """The empty value of such a field."""
    return None


def lent(field: Any) -> Any:
    """What such a field holds, or None."""
    return field
