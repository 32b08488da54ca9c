"""The loop's table of transports by descriptor, and in debug mode where each was made.

What lives here: looking transports up, weakly: an abandoned transport shall be seen to be one. What may not: anything that a
transport does. The place is noted here and not in the transports, so that it costs them nothing.
"""

from __future__ import annotations

import weakref
from typing import Any

from yieldloop.engine._leaf import program_stack, skip_globals

skip_globals(globals())


class TransportTable(weakref.WeakValueDictionary[int, Any]):
    """Transports by descriptor. While `notes` is true, `made` has the stack that made each: a `traceback.StackSummary`."""

    def __init__(self) -> None:
        super().__init__()
        self.notes = False
        self.made: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

    def __setitem__(self, fd: int, transport: Any) -> None:
        super().__setitem__(fd, transport)
        if self.notes:
            self.made[transport] = program_stack()
