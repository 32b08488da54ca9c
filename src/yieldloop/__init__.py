"""yieldloop: asyncio from the generator up.

``import yieldloop as asyncio`` gives the asyncio API of Python 3.14 on Python 3.11 and later;
``asyncio.Runner(loop_factory=yieldloop.new_event_loop)`` runs a program that imports the standard library's asyncio on our loop.
What we do not build ourselves (abstract classes, exceptions) is the standard library's own object, so both can be mixed.
"""

from __future__ import annotations

import asyncio as _asyncio
from typing import Any

from yieldloop import _speed

_speed.choose()

from asyncio import *  # noqa: E402  # everything first, then our own over it

from yieldloop import subprocess  # noqa: E402
from yieldloop._speed import compiled  # noqa: E402
from yieldloop.aio import *  # noqa: E402
from yieldloop.engine.futures import Future, isfuture  # type: ignore[assignment]  # noqa: E402
from yieldloop.engine.handles import Handle, TimerHandle  # type: ignore[assignment]  # noqa: E402
from yieldloop.engine.probe import Probe  # noqa: E402
from yieldloop.engine.tasks import (  # type: ignore[assignment]  # noqa: E402
    Task,
    all_tasks,
    coroutine,
    create_eager_task_factory,
    current_task,
    eager_task_factory,
    iscoroutine,
)
from yieldloop.loop import EventLoop, new_event_loop, watching  # noqa: E402
from yieldloop.loop.server import Server  # type: ignore[assignment]  # noqa: E402

watching.watcher = "yieldloop.watch.watcher"  # imported when a loop first runs

__version__ = "0.1.0"

SelectorEventLoop = EventLoop  # type: ignore[misc,assignment]


def __getattr__(name: str) -> Any:
    """What only the standard library has (its submodules, mostly) is found there."""
    if name.startswith("__"):
        raise AttributeError(f"module 'yieldloop' has no attribute {name!r}")
    return getattr(_asyncio, name)
