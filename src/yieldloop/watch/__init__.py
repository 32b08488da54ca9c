"""A loop that can be asked: what its tasks wait for, what blocked it, what happened just before.

What lives here: all that looks at loops, built on the engine's recorder, its probe and its state. What may not: anything that the
loop itself needs to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yieldloop.watch.foreign import Attachment


def attach(loop: Any) -> Attachment:
    """Watch *loop*, which is not ours: the standard library's, or uvloop's; see `yieldloop.watch.foreign`.

    Until the loop is closed, or `Attachment.detach`. ``print(attach(loop))`` says what can be seen and what not. TypeError for a
    loop of ours, which is watched anyway, and for what is no loop; RuntimeError if it is closed.
    """
    from yieldloop.watch import foreign

    return foreign.attach(loop)
