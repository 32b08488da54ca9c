"""Where tasks stood: places of a recording, from the label of the innermost link to the chain, and what a wait there is called.

What lives here: a table of the standard library's waits and ours by name, for `decode`. What may not: looking at running programs
(``watch.waits`` knows the same waits by their code).
"""

from __future__ import annotations

import os
from typing import Any

__all__ = ["chain_of", "wait_at"]

LIBRARIES = ("asyncio.", "yieldloop.")

# What a task waits for that stands in a method of this class, or in this function, of one of the libraries.
KINDS = {
    "Lock": "lock",
    "Event": "event",
    "Condition": "condition",
    "Semaphore": "semaphore",
    "BoundedSemaphore": "semaphore",
    "Barrier": "barrier",
    "Queue": "queue",
    "StreamReader": "fd",
    "StreamWriter": "fd",
    "FlowControlMixin": "fd",
    "Server": "fd",
    "Process": "child",
    "TaskGroup": "gather",
    "_AsCompletedIterator": "gather",
    "as_completed": "gather",
    "wait": "gather",
    "_wait": "gather",
    "to_thread": "thread",
}


def chain_of(labels: dict[str, Any], label: int) -> list[dict[str, Any]]:
    """The links of the await chain that ends with the link *label*, outermost first."""
    chain = []
    link = labels.get(str(label))
    while link is not None:
        chain.append(link)
        link = labels.get(str(link.get("under") or 0))
    return chain[::-1]


def wait_at(chain: list[dict[str, Any]]) -> tuple[str, str] | None:
    """(kind, label) of a wait at the end of *chain*, named for what the program has called: a lock, a queue, a stream.

    None where the program waits for a future itself, or in something that is in no table.
    """
    place = len(chain)
    while place and chain[place - 1].get("module", "").startswith(LIBRARIES):
        place -= 1
    caller = chain[place - 1] if place else None
    for link in chain[place:]:
        kind = KINDS.get(link["name"].partition(".")[0])
        if link["module"].startswith("yieldloop.transports"):  # a call without a frame: its name is the method's
            kind, name = "fd", link["name"] if link["name"].startswith("sock_") else f"StreamReader.{link['name']}"
        else:
            name = link["name"]
        if kind is not None:
            where = "" if caller is None else f" in {os.path.basename(caller['file'])}:{caller['line']}"
            return kind, f"{name}{where}"
    return None
