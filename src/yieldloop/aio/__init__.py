"""Level 6: what users await.

One file, one concern: `tasks` (create_task, sleep), `waiting` (gather, wait, as_completed, shield), `timeouts` (timeout, wait_for),
`taskgroups`, `locks`, `queues`, `runners`, `streams`, `threads`, `graph`, `staggered`. What may not live here: file descriptors.
These modules are never compiled: a coroutine's frames must stay visible to debuggers, and calling one costs the same either way.
Everything here runs on any asyncio loop, not only on ours.
"""

from __future__ import annotations

from yieldloop.aio import graph, locks, queues, runners, streams, taskgroups, tasks, threads, timeouts, waiting
from yieldloop.aio.graph import *  # noqa: F403
from yieldloop.aio.locks import *  # noqa: F403
from yieldloop.aio.queues import *  # noqa: F403
from yieldloop.aio.runners import *  # noqa: F403
from yieldloop.aio.streams import *  # noqa: F403
from yieldloop.aio.taskgroups import *  # noqa: F403
from yieldloop.aio.tasks import *  # noqa: F403
from yieldloop.aio.threads import *  # noqa: F403
from yieldloop.aio.timeouts import *  # noqa: F403
from yieldloop.aio.waiting import *  # noqa: F403

__all__ = (  # noqa: PLE0604
    *graph.__all__,
    *locks.__all__,
    *queues.__all__,
    *runners.__all__,
    *streams.__all__,
    *taskgroups.__all__,
    *tasks.__all__,
    *threads.__all__,
    *timeouts.__all__,
    *waiting.__all__,
)
