"""What all primitives share: the loop they belong to.

A lock can be made before any loop runs. It is bound to a loop by the first task that has to wait for it, since only then is
there a future; a primitive that nobody ever waits for can be used by several loops, one after the other.
"""

from __future__ import annotations

import threading
from asyncio import events as _events
from typing import Any

from yieldloop.errors import other_loop

_get_running_loop = _events._get_running_loop
_binding = threading.Lock()  # two threads with a loop each may meet at the same unbound primitive


class LoopBound:
    """Base of the primitives. `_loop` is None until somebody waits."""

    _loop: Any = None  # a class default on purpose: subclasses that forget super().__init__() exist

    def _get_loop(self) -> Any:
        """The running loop, to which this primitive is bound from now on. RuntimeError if it is bound to another one."""
        loop = _get_running_loop()
        if loop is self._loop and loop is not None:
            return loop
        if loop is None:
            raise RuntimeError(f"no running event loop: {self!r} can make a task wait only where a loop runs")
        with _binding:
            if self._loop is None:
                self._loop = loop
        if self._loop is not loop:
            raise other_loop(self)
        return loop
