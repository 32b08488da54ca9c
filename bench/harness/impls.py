"""The implementations that are measured: how each is imported, made into a loop, and proved to be what it says.

To add one, add a line to `IMPLEMENTATIONS`. Nothing outside this file knows a peer by name, except uvloop, which the
ratios are taken to.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: Everything is compared with this one.
BASE = "uvloop"
#: The bare C programs: no Python at all.
BARE = "c"


class Unavailable(Exception):
    """This implementation cannot run here; the text says why and is printed."""


@dataclass(frozen=True)
class Implementation:
    """module: what the program gets as `asyncio`. factory: the module whose `new_event_loop` makes the loop.

    own: None for others' packages; for ours, whether it has to be compiled. on_demand: measured only if it is named.
    """

    name: str
    title: str
    module: str = "asyncio"
    factory: str | None = None
    own: bool | None = None
    environ: dict[str, str] = field(default_factory=dict)
    on_demand: bool = False

    def package(self) -> str:
        """The distribution whose version names this implementation."""
        return self.factory or self.module


IMPLEMENTATIONS: dict[str, Implementation] = {
    it.name: it
    for it in (
        Implementation("asyncio", "asyncio (stock)"),
        Implementation("uvloop", "uvloop", factory="uvloop"),
        Implementation("rloop", "rloop", factory="rloop"),
        Implementation("blazio", "blazio", factory="blazio"),
        Implementation("zloop", "zloop", factory="zloop"),
        Implementation(
            "yieldloop-pure",
            "yieldloop interpreted",
            module="yieldloop",
            own=False,
            environ={"YIELDLOOP_PURE": "1"},
        ),
        Implementation("yieldloop-loop", "yieldloop compiled, loop under asyncio", factory="yieldloop", own=True),
        Implementation("yieldloop", "yieldloop compiled, as the module", module="yieldloop", own=True),
        *(
            Implementation(
                f"yieldloop-{mode}",
                f"yieldloop compiled, recorder {mode}",
                module="yieldloop",
                own=True,
                environ={"YIELDLOOP_RECORD": mode},
                on_demand=True,
            )
            for mode in ("off", "ring", "full")
        ),
        Implementation(BARE, "bare C on epoll", module="", own=None),
    )
}

#: Installed by `run.py --setup`, each on its own: one that has no wheel for this Python must not stop the others.
PEERS = ("uvloop==0.23.0", "rloop==0.5.0", "blazio==0.1.0", "zloop==0.0.1")
WEB = ("aiohttp", "uvicorn", "httptools")


def load(it: Implementation) -> tuple[Any, Callable[[], Any] | None]:
    """Import the implementation: (the asyncio-like module, the loop factory or None). Raises Unavailable."""
    try:
        aio = importlib.import_module(it.module)
        factory = importlib.import_module(it.factory).new_event_loop if it.factory else None
    except Exception as error:  # a peer built for another Python fails in its own ways
        raise Unavailable(f"{it.package()} does not import: {_first_line(error)}") from error
    if it.own is not None:
        _prove_speed(it)
    return aio, factory


def _prove_speed(it: Implementation) -> None:
    """A 'compiled' row that ran interpreted would be a false figure: ask the package module by module."""
    modules = importlib.import_module("yieldloop._speed").modules()
    if not modules:
        raise Unavailable("yieldloop._speed names no module that is made to be compiled: nothing proves which speed this is")
    if it.own and not all(modules.values()):
        missing = ", ".join(sorted(name for name, is_compiled in modules.items() if not is_compiled)[:4])
        raise Unavailable(f"yieldloop is not compiled for this Python ({missing} …); run: python setup.py build_ext --inplace")
    if not it.own and any(modules.values()):
        raise Unavailable("yieldloop is compiled although YIELDLOOP_PURE=1 asks for the .py files")


def version(it: Implementation) -> str | None:
    """The distribution's version, or None where it has none (the standard library, C, a source tree)."""
    try:
        return importlib.metadata.version(it.package())
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
