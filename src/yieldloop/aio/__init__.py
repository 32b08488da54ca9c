"""Level 6: what users await.

One file, one concern: `tasks` (create_task, sleep), `waiting` (gather, wait, as_completed, shield), `timeouts` (timeout, wait_for),
`taskgroups`, `locks`, `queues`, `runners`, `streams`, `subprocess`, `threads`, `graph`, `staggered`. What may not live here:
file descriptors.
These modules are never compiled: a coroutine's frames must stay visible to debuggers, and calling one costs the same either way.
Everything here runs on any asyncio loop, not only on ours.
"""

from __future__ import annotations

import socket
from importlib import import_module
from typing import TYPE_CHECKING, Any

from yieldloop.aio import locks, queues, runners, taskgroups, tasks, threads, timeouts, waiting
from yieldloop.aio.locks import *
from yieldloop.aio.queues import *
from yieldloop.aio.runners import *
from yieldloop.aio.taskgroups import *
from yieldloop.aio.tasks import *
from yieldloop.aio.threads import *
from yieldloop.aio.timeouts import *
from yieldloop.aio.waiting import *

if TYPE_CHECKING:
    from yieldloop.aio.graph import *
    from yieldloop.aio.streams import *
    from yieldloop.aio.subprocess import *

__all__ = (
    *locks.__all__,
    *queues.__all__,
    *runners.__all__,
    *taskgroups.__all__,
    *tasks.__all__,
    *threads.__all__,
    *timeouts.__all__,
    *waiting.__all__,
)

# Public names whose module is imported when one of them is first asked for: a program that starts should not wait for what it
# may never use.
LATER = {
    "FrameCallGraphEntry": "graph",
    "FutureCallGraph": "graph",
    "capture_call_graph": "graph",
    "format_call_graph": "graph",
    "future_add_to_awaited_by": "graph",
    "future_discard_from_awaited_by": "graph",
    "print_call_graph": "graph",
    "StreamReader": "streams",
    "StreamReaderProtocol": "streams",
    "StreamWriter": "streams",
    "open_connection": "streams",
    "start_server": "streams",
    "create_subprocess_exec": "subprocess",
    "create_subprocess_shell": "subprocess",
}
if hasattr(socket, "AF_UNIX"):
    LATER |= {"open_unix_connection": "streams", "start_unix_server": "streams"}


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{LATER[name]}"), name)
    return value
