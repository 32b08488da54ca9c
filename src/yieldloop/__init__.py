"""yieldloop: asyncio from the generator up.

``import yieldloop as asyncio`` gives the asyncio API of Python 3.14 on Python 3.11 and later;
``asyncio.Runner(loop_factory=yieldloop.new_event_loop)`` runs a program that imports the standard library's asyncio on our loop.
What we do not build ourselves (abstract classes, exceptions) is the standard library's own object, so both can be mixed.
"""

from __future__ import annotations

import gc as _gc
import os as _os
from typing import TYPE_CHECKING, Any

# What an import makes stays. Looking for garbage in it again and again is a sixth of its time, so that is done once, afterwards.
_collects = _gc.isenabled()
_gc.disable()
try:
    import asyncio as _asyncio
    from importlib import import_module as _import_module

    from yieldloop import _speed

    _speed.choose()

    from asyncio import *  # everything first, then our own over it

    from yieldloop import aio as _aio
    from yieldloop._speed import compiled
    from yieldloop.aio import *
    from yieldloop.engine import recording as _recording
    from yieldloop.engine.coroutines import coroutine, iscoroutine  # type: ignore[assignment]
    from yieldloop.engine.futures import Future, isfuture  # type: ignore[assignment]
    from yieldloop.engine.handles import Handle, TimerHandle  # type: ignore[assignment]
    from yieldloop.engine.probe import Probe
    from yieldloop.engine.tasks import Task, all_tasks, current_task  # type: ignore[assignment]
    from yieldloop.errors import DeadLoopError
    from yieldloop.loop import EventLoop, new_event_loop, watching
    from yieldloop.loop.server import Server  # type: ignore[assignment]
finally:
    if _collects:
        _gc.enable()

watching.watcher = "yieldloop.watch.watcher"  # imported when a loop first runs
watching.explainer = "yieldloop.watch.explaining"  # imported when a loop is found dead, or does not end
_recording.sources = "yieldloop.watch.recording"  # imported when a recording is written
if _os.environ.get("YIELDLOOP_RECORD_FILE"):
    _import_module("yieldloop.record").obey_environment()

__version__ = "0.1.0"

SelectorEventLoop = EventLoop  # type: ignore[misc,assignment]

if TYPE_CHECKING:
    from yieldloop import subprocess
    from yieldloop.aio.graph import *
    from yieldloop.aio.streams import *  # type: ignore[assignment]
    from yieldloop.aio.subprocess import *
else:
    for _name in ("subprocess", *_aio.LATER):  # the standard library's have come along
        globals().pop(_name, None)

_OURS = ("DeadLoopError", "EventLoop", "Probe", "compiled", "coroutine", "subprocess")  # beside what has an asyncio name
__all__ = [*dict.fromkeys((*_asyncio.__all__, *_aio.__all__, *_aio.LATER, *_OURS))]


def __getattr__(name: str) -> Any:
    """What is imported late; and what only the standard library has (its submodules, mostly) is found there."""
    if name.startswith("__"):
        raise AttributeError(f"module 'yieldloop' has no attribute {name!r}")
    if name in _aio.LATER:
        value = globals()[name] = getattr(_aio, name)
        return value
    if name in ("record", "subprocess"):
        return _import_module(f"yieldloop.{name}")
    return getattr(_asyncio, name)
