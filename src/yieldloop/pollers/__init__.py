"""Level 2: how a loop waits for file descriptors.

One kernel interface a file (`select`, `poll`, `epoll`, `kqueue`) under one class, `base.FdPoller`, and the wake-up. The
facts about each kernel stand in its file. What may not live here: what a callback means, sockets other than the
wake-up's.
"""

from __future__ import annotations

import importlib
import os
import select as _kernel
import selectors
from typing import Any

from yieldloop.pollers.base import FdPoller

# Best first. A poller's module is imported when it is chosen.
_POLLERS = {"epoll": "EpollPoller", "kqueue": "KqueuePoller", "poll": "PollPoller", "select": "SelectPoller"}


def available() -> list[str]:
    """The names of the pollers that this system has, best first."""
    return [name for name in _POLLERS if hasattr(_kernel, name)]


def new_poller(name: str | None = None) -> FdPoller:
    """A poller by name; by default the one that ``YIELDLOOP_POLLER`` names, else the best that this system has.

    ValueError for a name that is unknown or that this system does not have.
    """
    source = "poller"
    if name is None:
        name = os.environ.get("YIELDLOOP_POLLER") or None
        source = "YIELDLOOP_POLLER"
    have = available()
    if name is None:
        name = have[0]
    elif name not in have:
        why = "this system has none" if name in _POLLERS else "there is no such poller"
        raise ValueError(f"{source}={name!r}: {why}; choose one of: {', '.join(have)}")
    module = importlib.import_module(f"{__name__}.{name}")
    poller: FdPoller = getattr(module, _POLLERS[name])()
    return poller


def from_selector(selector: Any) -> FdPoller:
    """A poller of the kernel interface of *selector* (one of the `selectors` classes), which is closed; a poller is
    returned as it is.

    TypeError for anything else, ValueError if files are registered with it: their keys would be lost.
    """
    if isinstance(selector, FdPoller):
        return selector
    for name in available():
        kind = getattr(selectors, name.capitalize() + "Selector", None)
        if kind is not None and isinstance(selector, kind):
            if selector.get_map():
                raise ValueError(
                    f"{selector!r} has {len(selector.get_map())} files registered, which a loop cannot take over: "
                    "pass a new selector and use loop.add_reader() and add_writer()"
                )
            selector.close()
            return new_poller(name)
    raise TypeError(
        f"{selector!r} is no selector of the standard library's: pass one of the classes in `selectors`, "
        f"a poller, or one of the names {', '.join(available())}"
    )
