"""Level 6: what users await.

One file, one concern: `tasks` (create_task, sleep), `waiting` (gather, wait, as_completed, shield), `timeouts` (timeout, wait_for),
`taskgroups`, `locks`, `queues`, `runners`, `streams`, `subprocess`, `threads`, `graph`, `staggered`. What may not live here:
file descriptors.
These modules are never compiled: a coroutine's frames must stay visible to debuggers, and calling one costs the same either way.
Everything here runs on any asyncio loop, not only on ours.
"""

from __future__ import annotations

from yieldloop.aio import graph, locks, queues, runners, streams, subprocess, taskgroups, tasks, threads, timeouts, waiting
from yieldloop.aio.graph import *
from yieldloop.aio.locks import *
from yieldloop.aio.queues import *
from yieldloop.aio.runners import *
from yieldloop.aio.streams import *
from yieldloop.aio.subprocess import *
from yieldloop.aio.taskgroups import *
from yieldloop.aio.tasks import *
from yieldloop.aio.threads import *
from yieldloop.aio.timeouts import *
from yieldloop.aio.waiting import *

__all__ = (
    *graph.__all__,
    *locks.__all__,
    *queues.__all__,
    *runners.__all__,
    *streams.__all__,
    *subprocess.__all__,
    *taskgroups.__all__,
    *tasks.__all__,
    *threads.__all__,
    *timeouts.__all__,
    *waiting.__all__,
)
