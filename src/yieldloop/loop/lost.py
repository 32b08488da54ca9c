"""What a program has lost, counted by the place where it was made: exceptions that nobody took, coroutines that nobody awaited.

What lives here: counting, at the moment when something is lost, which costs nothing before. What may not: saying it
(``watch/lost.py``), and keeping anything of the program: a place is a file, a line and a name, at most `MOST_PLACES` of them.

Exceptions that nobody took, and tasks that were destroyed while pending, come to a loop's exception handler anyway. A coroutine
that nobody awaited comes to a function of `warnings`, in whose way we stand to count it.
"""

from __future__ import annotations

import warnings
from typing import Any

from yieldloop.engine._leaf import line_at, program_code, program_lasti, skip_globals

skip_globals(globals())

MOST_PLACES = 256  # of each kind; what is lost elsewhere is counted under no place
ELSEWHERE = ("", 0, "")

Place = tuple[str, int, str]  # file, line, function

EXCEPTIONS = "exceptions never taken"
DESTROYED = "tasks destroyed while pending"
COROUTINES = "coroutines never awaited"
_TEXTS = {
    "Task exception was never retrieved": EXCEPTIONS,
    "Future exception was never retrieved": EXCEPTIONS,
    "Task was destroyed but it is pending!": DESTROYED,
}


class Counts:
    """How often what was lost, by kind and place."""

    def __init__(self) -> None:
        self.by_kind: dict[str, dict[Place, int]] = {}

    def add(self, kind: str, place: Place) -> None:
        """One more."""
        places = self.by_kind.setdefault(kind, {})
        if place not in places and len(places) >= MOST_PLACES:
            place = ELSEWHERE
        places[place] = places.get(place, 0) + 1


everywhere = Counts()
"""What belongs to no loop: coroutines."""


def note(counts: Counts, context: dict[str, Any]) -> None:
    """*context* comes to a loop's exception handler: count it, if it tells of something lost."""
    kind = _TEXTS.get(context.get("message", ""))
    if kind is None:
        return
    trace = context.get("source_traceback")
    site = trace[-1] if trace else getattr(context.get("task") or context.get("future"), "created_at", None)
    counts.add(kind, ELSEWHERE if site is None else (site.filename, site.lineno or 0, site.name))


def _note_coroutine(coro: Any) -> None:
    """Called by the interpreter when *coro* is destroyed and was never awaited."""
    try:
        everywhere.add(COROUTINES, _made_at(coro))
    except Exception:  # it was about to be warned about, and still is
        pass
    _warn(coro)


def _made_at(coro: Any) -> Place:
    """Where *coro* was made, if that is noted (`sys.set_coroutine_origin_tracking_depth`); else where it was dropped, which is
    mostly the line that made it and kept it nowhere.
    """
    origin = getattr(coro, "cr_origin", None)
    if origin:
        file, line, name = origin[0]
        return file, line, name
    code = program_code()
    if code is None:
        code = coro.cr_code
        return code.co_filename, code.co_firstlineno, code.co_name
    return code.co_filename, line_at(code, program_lasti()), code.co_name


_warn: Any = getattr(warnings, "_warn_unawaited_coroutine", None)
if _warn is not None:
    warnings._warn_unawaited_coroutine = _note_coroutine  # type: ignore[attr-defined]
    skip_globals(vars(warnings))
