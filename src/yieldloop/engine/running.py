"""Which loop runs in this thread, and which one is the thread's current loop while none runs.

What lives here: the two questions a Future or Task asks when it is given no loop. The register itself is the standard
library's, so that a program that imports both modules has one running loop and not two.
"""

from __future__ import annotations

import sys
import threading
from asyncio import events as _events
from typing import Any

_get_running_loop = _events._get_running_loop
_set_running_loop = _events._set_running_loop
get_running_loop = _events.get_running_loop


def current_loop() -> Any:
    """The running loop, else the one that `set_event_loop` was given; RuntimeError when there is neither.

    Python 3.14's rule on every Python: no loop is ever made behind the caller's back. Source: asyncio, "What's new in 3.14".
    """
    loop = _get_running_loop()
    if loop is not None:
        return loop
    if sys.version_info >= (3, 14):
        return _events.get_event_loop()
    policy = _events.get_event_loop_policy()
    local = getattr(policy, "_local", None)
    if local is None:  # somebody's own policy: it knows
        return policy.get_event_loop()
    loop = getattr(local, "_loop", None)
    if loop is None:
        raise RuntimeError(f"There is no current event loop in thread {threading.current_thread().name!r}.")
    return loop
