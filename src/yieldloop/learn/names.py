"""Names and texts for objects that are the same in every run.

What lives here: numbering in the order of appearance in place of addresses, and the short text of a value. What may not: calling
code of the program that is walked through (its ``__repr__`` among it): looking must change nothing.
"""

from __future__ import annotations

import asyncio
import functools
import re
import time
import types
import weakref
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

__all__ = ["Names", "function_name", "is_generator"]

_RESUMABLE = (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)
MANY = 6  # items of a container that are shown
LONG = 60  # characters of a text that are shown
_HOUR = 3600
_CHOSEN = 32768  # where the kernel's own choice of ports begins
_ADDRESS = re.compile(r"0x[0-9a-f]{6,16}\b")


_BRACKETS: dict[type, tuple[str, str]] = {
    tuple: ("(", ")"),
    list: ("[", "]"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    deque: ("deque([", "])"),
}


def is_generator(obj: object) -> bool:
    """True of generators, coroutines and asynchronous generators: of what owns a frame that can stop."""
    return isinstance(obj, _RESUMABLE)


def code_of(generator: Any) -> types.CodeType:
    """The code object of what `is_generator` is true of."""
    for name in ("gi_code", "cr_code", "ag_code"):
        if hasattr(generator, name):
            code: types.CodeType = getattr(generator, name)
            return code
    raise TypeError(f"{generator!r} is no generator")


def function_name(code: types.CodeType) -> str:
    """What a reader calls the function of *code*."""
    return code.co_qualname.rpartition("<locals>.")[2]


def _is_clock(number: float) -> bool:
    """Looks like a reading of a clock: it differs from run to run, so it is not shown."""
    if isinstance(number, int):
        return any(abs(number - now) < _HOUR * 10**9 and number > 10**12 for now in (time.monotonic_ns(), time.time_ns()))
    return number != round(number, 4) and any(abs(number - now) < _HOUR for now in (time.monotonic(), time.time()))


class Names:
    """Gives each object a name of its class and a serial number, and keeps it for as long as the object lives."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._named: dict[int, tuple[str, weakref.ref[Any] | None]] = {}
        self._addresses: dict[str, str] = {}
        self._ports: dict[int, str] = {}

    def of(self, obj: Any) -> str:
        """The name of an instance or a generator, as ``worker #2``."""
        name, ref = self._named.get(id(obj), ("", None))
        if name and (ref is None or ref() is obj):
            return name
        label = function_name(code_of(obj)) if is_generator(obj) else type(obj).__name__
        self._counts[label] += 1
        name = f"{label} #{self._counts[label]}"
        if isinstance(obj, asyncio.Task):
            name = obj.get_name()
        try:
            ref = weakref.ref(obj)
        except TypeError:  # no place for weak references: `forget` judges by what was seen
            ref = None
        self._named[id(obj)] = (name, ref)
        return name

    def pin(self, generator: Any) -> None:
        """Keep the name that *generator* had, or give it one, without a weak reference to it."""
        name, _ = self._named.get(id(generator), ("", None))
        if not name:
            label = function_name(code_of(generator))
            self._counts[label] += 1
            name = f"{label} #{self._counts[label]}"
        self._named[id(generator)] = (name, None)

    def forget(self, seen: Iterable[int]) -> None:
        """Drop the names of objects that are gone, so that a new object in the same place gets a name of its own."""
        alive = set(seen)
        gone = [key for key, (_, ref) in self._named.items() if (key not in alive if ref is None else ref() is None)]
        for key in gone:
            del self._named[key]

    def without_addresses(self, text: str) -> str:
        """*text* with each address in it replaced by ``0x…1``, ``0x…2`` in order of appearance."""
        return _ADDRESS.sub(lambda match: self._addresses.setdefault(match[0], f"0x…{len(self._addresses) + 1}"), text)

    def port(self, number: int) -> None:
        """Show *number* as ``⟨port 1⟩`` from now on if it is one that the kernel chose: another one in every run."""
        if number >= _CHOSEN and number not in self._ports:
            self._ports[number] = f"⟨port {len(self._ports) + 1}⟩"

    def value(self, obj: Any, depth: int = 2) -> str:
        """A short text for a value, made without calling the program's code."""
        kind = type(obj)
        if kind in (int, float):
            return "⟨time⟩" if _is_clock(obj) else self._ports.get(obj) or repr(obj)
        if (
            kind is tuple
            and len(obj) in (2, 4)
            and type(obj[0]) is str
            and type(obj[1]) is int
            and (":" in obj[0] or "." in obj[0])
        ):
            self.port(obj[1])
        if kind in (str, bytes, bool, complex, type(None), type(...), type(NotImplemented)):
            text = repr(obj[:LONG] if kind in (str, bytes) else obj)
            return text if len(text) <= LONG else f"{text[: LONG - 1]}…"
        if kind in _BRACKETS:
            left, right = _BRACKETS[kind]
            if not obj:
                return f"{kind.__name__}()" if kind in (set, frozenset, deque) else left + right
            return left + self._few(obj, depth) + ("," if kind is tuple and len(obj) == 1 else "") + right
        if kind is dict:
            if depth == 0:
                return "{…}" if obj else "{}"
            pairs = [f"{self.value(key, 0)}: {self.value(val, depth - 1)}" for key, val in list(obj.items())[:MANY]]
            return "{" + ", ".join(pairs + ["…"] * (len(obj) > MANY)) + "}"
        if isinstance(obj, types.FunctionType):
            return function_name(obj.__code__).replace("<lambda>", f"lambda:{obj.__code__.co_firstlineno}")
        if isinstance(obj, types.MethodType):
            return f"{self.value(obj.__self__)}.{getattr(obj.__func__, '__name__', '?')}"
        if isinstance(obj, types.BuiltinFunctionType | types.MethodWrapperType):
            owner = obj.__self__
            return (
                obj.__name__ if owner is None or isinstance(owner, types.ModuleType) else f"{self.value(owner, 0)}.{obj.__name__}"
            )
        if isinstance(obj, type):
            return obj.__name__
        if isinstance(obj, types.ModuleType):
            return f"module {obj.__name__}"
        if isinstance(obj, BaseException):
            return f"{kind.__name__}({', '.join(self.value(arg, 0) for arg in obj.args[:MANY])})"
        if isinstance(obj, functools.partial):
            return self.call(obj.func, obj.args)
        return self.of(obj)

    def _few(self, items: Iterable[Any], depth: int) -> str:
        if depth == 0:
            return "…"
        if isinstance(items, set | frozenset):  # in an order of its own, which for objects is that of their addresses
            texts = sorted(self.value(item, depth - 1) for item in items)
            return ", ".join(texts[:MANY] + ["…"] * (len(texts) > MANY))
        shown: list[str] = []
        for item in items:
            if len(shown) == MANY:
                shown.append("…")
                break
            shown.append(self.value(item, depth - 1))
        return ", ".join(shown)

    def call(self, function: Any, args: Any) -> str:
        """A call that is to be made, as ``step(worker #1)``."""
        return f"{self.value(function)}({', '.join(self.value(arg, 1) for arg in args[:MANY])})"
