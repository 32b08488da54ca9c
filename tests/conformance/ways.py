"""The ways in which yieldloop is put under CPython's tests.

control: nothing is replaced.  loop: the stock asyncio module hands out our loops.  module: facades with our names stand in
asyncio's place (`facade.py`).

What lives here: which loop classes the tests get, and the module-level names that tests patch and our code must then see.
What may not: test outcomes. Rule for the editor: nothing here may change what a test of ours sees for the better; a
replacement only makes our object the one that is tested.
"""

import asyncio
import importlib
import pkgutil
import types

# Names that tests patch in an asyncio module, and where yieldloop reads the same thing: (submodule, name) -> our places.
PATCHED = {
    ("base_events", "logger"): ("yieldloop.engine.core:logger", "yieldloop.engine.futures:logger",
                                "yieldloop.engine.tasks:logger", "yieldloop.engine.loop:logger",
                                "yieldloop.engine.handles:logger", "yieldloop.loop.base:logger"),
    ("base_events", "socket"): ("yieldloop.loop.net:socket", "yieldloop.loop.datagram:socket"),
    ("unix_events", "socket"): ("yieldloop.loop.unix:socket",),
    ("unix_events", "signal"): ("yieldloop.loop.signals:signal",),
    ("unix_events", "os"): ("yieldloop.loop.sendfile:os",),
    ("unix_events", "sys"): ("yieldloop.loop.signals:sys",),
    ("coroutines", "_is_debug_mode"): ("yieldloop.loop.base:_debug_by_default",),
}


def submodules():
    """Import every submodule of the stock asyncio that this system has; return {short name: module}."""
    found = {}
    for info in pkgutil.iter_modules(asyncio.__path__):
        if info.name.startswith(("__", "windows")):
            continue
        found[info.name] = importlib.import_module("asyncio." + info.name)
    return found


def place(text):
    """Return (module, attribute) for 'package.module:attribute', or None when it is not there."""
    name, attribute = text.split(":")
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    return (module, attribute) if hasattr(module, attribute) else None


class ForwardingModule(types.ModuleType):
    """A stock module whose patched names reach yieldloop too (`mock.patch('asyncio.base_events.logger')`)."""

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        short = self.__name__.removeprefix("asyncio.")
        for text in PATCHED.get((short, name), ()):
            where = place(text)
            if where:
                setattr(*where, value)


def use_loops(stock, loops):
    """Make every way of asking the stock modules for a loop give ours."""
    for module in [asyncio, *stock.values()]:
        for name in ("SelectorEventLoop", "EventLoop", "_UnixSelectorEventLoop", "_DefaultLoop"):
            if name in vars(module):
                setattr(module, name, loops.SelectorEventLoop)
        if "BaseEventLoop" in vars(module):
            module.BaseEventLoop = loops.BaseEventLoop
    for name in ("DefaultEventLoopPolicy", "_DefaultEventLoopPolicy", "_UnixDefaultEventLoopPolicy"):
        policy = vars(stock["unix_events"]).get(name)
        if policy is not None:
            policy._loop_factory = loops.SelectorEventLoop


def install(way, plug):
    """Put `plug` ('yieldloop' or 'stock') under the tests that this process is going to import.

    Returns the public names that the standard library answers although they should be ours (module way only).
    """
    if way == "control":
        return []
    stock = submodules()
    if plug == "stock":
        ours, loops = asyncio, None
    else:
        ours = importlib.import_module("yieldloop")
        loops = importlib.import_module("loops")
    if loops is not None:
        use_loops(stock, loops)
        for short, _ in PATCHED:
            stock[short].__class__ = ForwardingModule
    if way != "module":
        return []
    house = importlib.import_module("facade").install(ours, stock, loops)
    return house.borrowed() if plug == "yieldloop" else []
