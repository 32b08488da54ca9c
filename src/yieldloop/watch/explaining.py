"""Who waits for whom, said when it has to be said: a dead loop, a shutdown or a test that does not end.

What lives here: what the loop's own code asks for by name (`loop.watching`). What may not: what costs anything before that.
"""

from __future__ import annotations

from typing import Any

from yieldloop import record
from yieldloop.watch import snapshot, tree

__all__ = ("explain",)


def explain(loop: Any) -> str:
    """Who waits for whom on *loop*, with the circles marked. Also the moment for a recording, if one was asked for."""
    record.happened("dead")
    shot = snapshot.take(loop)
    return "\n".join(tree.of_tasks(shot.loops[0], shot.taken_ns))
