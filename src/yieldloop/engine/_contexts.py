"""Contexts that are copied when they are written to, not before.

What lives here: what a callback or a task runs in when it was given no context of its own. asyncio promises it a copy of its
maker's context: what it sets is seen by nobody else. Most set nothing. So ``Contexts`` takes one snapshot of the maker's context
and shares it among all that are made while that context stays as it is; whoever runs is lent a context with those values, and one
that is left unchanged is lent again. A task that did set something keeps what it was lent, from then on as its own. What may
not live here: who runs when.

Rule 1: a snapshot is never entered. Rule 2: a lent context is lent again only if nobody else has it and it holds what it held: a
token, a `get_context()` or a new value keep it out. Rule 3: a snapshot of anything but the loop's own surroundings does not
outlive the iteration (`forget`), and that one not the run (`clear`), or it would keep a program's objects alive. Rule 4: whoever is
done stays inside, since most often the next one is lent the same values; what must not run there (what makes no promise of a
context, what is done between two turns) is preceded by `leave`.

Interpreted code can compare neither two contexts' values by identity nor count references, and makes plain copies: ``lends``
is False there, and nobody calls ``enter``. ``_contexts.pyx`` is the compiled twin; it asks the interpreter at its import whether a
context still looks as it did, and makes plain copies if not.
"""

from __future__ import annotations

import contextvars
from typing import Any


class Contexts:
    """One loop's snapshots of contexts, and the context that it lends."""

    __slots__ = ()

    lends = False  # True if a snapshot has to be entered by way of `enter`, False if it is its owner's alone
    inside = False  # True between `enter` and `leave`: the loop's thread is in the context that is lent

    def snapshot(self) -> Any:
        """A copy of the current context; if `lends`, one that others share, so that it must not be entered itself."""
        return contextvars.copy_context()

    def enter(self, snapshot: Any, user: Any) -> None:
        """Be inside of a context with the values of *snapshot*, for *user*. One who is inside already is not nested."""
        raise NotImplementedError

    def is_unchanged(self, snapshot: Any) -> bool:
        """Whoever was lent a context for *snapshot* is done: True if it is as it was and known to nobody, so that the next one can
        have it.
        """
        raise NotImplementedError

    def lent_to(self, user: Any) -> Any:
        """The context that *user* is in, or None."""
        return None

    def leave(self) -> None:
        """Be outside again."""

    def drop(self) -> None:
        """The same, and the lent context is for whoever has taken it."""

    def tell(self, snapshot: Any, user: Any, listener: Any, method: str, what: Any) -> BaseException | None:
        """Call ``listener.method(what)`` in a context with the values of *snapshot*, and be outside again: what it raised, or None.
        Not while `inside`.
        """
        raise NotImplementedError

    def unchanged(self, context: Any, snapshot: Any) -> bool:
        """True if *context*, a copy of *snapshot* that its owner alone has, is as it was."""
        return False

    def copy(self, snapshot: Any) -> Any:
        """A context with the values of *snapshot*, to be entered by whoever runs within another's turn."""
        return snapshot.copy()

    def forget(self) -> None:
        """The iteration is over: keep no snapshot but the one of the surroundings, which live anyway."""

    def clear(self) -> None:
        """The run is over, and its surroundings may be as well: keep nothing."""
