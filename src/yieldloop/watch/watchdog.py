"""The watchdog: notices that something holds a loop, while it holds it, and says who and where.

What lives here: judging what a loop is seen to do at each look (a step or callback longer than the limit, an iteration longer than
its budget, a spin), and the table of what was found. What may not: the thread that looks (`watch.watcher`) and, in the loop's
own thread, anything at all: what is read are marks that the engine keeps anyway.

**When to look.** Once a limit's length, while a loop is busy, is enough: a block that lasts the limit contains a look, and that
look makes the next one come when the block is as old as the limit. While it goes on it is looked at more and more rarely. Without
the recorder nothing is known of the time before the first look, so that only twice the limit is sure to be found.

**Waiting for a processor is not blocking.** On a loaded machine a step of a millisecond can take a second. So what seems too long
is looked at again a tenth of a limit later, and is a block if the thread has not waited for a processor most of that time, as far
as the kernel tells (Linux's schedstat).

What cannot be seen: C code that keeps the interpreter's lock. It is noticed when it lets go, if its step is not over then.

    from yieldloop.watch import watchdog
    watchdog.configure(limit=0.25)             # s; None: off. By default YIELDLOOP_WATCHDOG, else 0.1
    watchdog.callbacks.append(print)           # each is called with each new Block, in a thread of its own
    watchdog.blocks()                          # what was found, the worst first
"""

from __future__ import annotations

import dataclasses
import functools
import os
import threading
import time
import types
from collections.abc import Callable
from typing import Any

from yieldloop import record
from yieldloop.engine.core import logger
from yieldloop.engine.handles import Handle
from yieldloop.engine.recording import loop_number
from yieldloop.watch import stacks, unread

__all__ = ("Block", "blocks", "callbacks", "configure")

LIMIT = 0.1  # s
BUDGET_IN_LIMITS = 10  # an iteration may take as long as so many limits
SPIN = 1.0  # s of doing the same and nothing else
SPIN_RATE = 5000  # iterations a second; who computes in slices has longer ones
MOST_SITES = 256  # in the table; further ones are counted together
KINDS = ("step", "iteration", "spin")
_SECOND = 1_000_000_000


@dataclasses.dataclass(slots=True)
class Block:
    """One place that held a loop."""

    kind: str  # "step" (of a task, or a callback), "iteration" (longer than its budget) or "spin"
    loop: int  # the loop's number, as snapshots have it
    began_ns: int  # the last time, by time.monotonic_ns
    ns: int  # how long that time; if it goes on, so far
    task: int | None  # the task's number
    label: str  # who: a task and its coroutine, or a callback
    file: str
    line: int
    stack: list[dict[str, Any]]  # newest last, taken while it lasted
    count: int = 1  # how often this place has held a loop
    fd: int | None = None  # of a spin: the descriptor that stays ready
    direction: str | None = None  # read | write
    peer: str | None = None  # what that descriptor is
    worst_ns: int = 0
    going_on: bool = True

    def as_json(self) -> dict[str, Any]:
        """As the documents have it."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        seconds = self.ns / _SECOND
        if self.fd is not None:
            whose = "" if self.peer is None else f" ({self.peer})"
            reads = self.direction == "read"
            does, cure = ("reads nothing from it", "reader") if reads else ("writes nothing to it", "writer")
            what = f"The loop spins: descriptor {self.fd}{whose} has been ready to {self.direction} for {seconds:.1f} s, "
            what += f"and {self.label} {does}; let it, or call remove_{cure}({self.fd})"
        elif self.kind == "spin":
            what = f"The loop spins: for {seconds:.1f} s it has done nothing but run {self.label} again and again"
        elif self.kind == "iteration":
            what = f"One iteration of the loop has lasted {seconds:.3f} s, in which it has not looked at its descriptors; "
            what += f"now it runs {self.label}"
        else:
            what = f"The loop is blocked: {self.label} has run for {seconds:.3f} s without giving way"
        lines = [f"{what}, at {self.file}:{self.line}"]
        lines += [f"  {line}" for line in stacks.lines_of(self.stack)]
        return "\n".join(lines)


callbacks: list[Callable[[Block], object]] = []
"""Called with each block when it is found, in a thread of its own: the loop's is blocked."""


class _Table:
    """What was found, by place; shared by the loops of the process."""

    def __init__(self) -> None:
        self.limit_ns: int | None = 0
        self.budget_ns: int | None = 0
        self.spin_ns: int | None = 0
        self.found: dict[tuple[str, str, int], Block] = {}
        self.total = 0
        self.changed: Callable[[], object] = bool  # called when the limits have changed: the watching thread puts itself in

    def add(self, block: Block) -> Block:
        """Enter *block*; returns the entry of its place. New places are logged, and every block goes to the callbacks."""
        self.total += 1
        key = (block.kind, block.file, block.line)
        if key not in self.found and len(self.found) >= MOST_SITES:
            key = (block.kind, "(other places)", 0)
        entry = self.found.get(key)
        is_new = entry is None
        if entry is None:
            entry = self.found[key] = dataclasses.replace(block, file=key[1], line=key[2])
        else:
            for name in ("loop", "began_ns", "ns", "task", "label", "stack", "going_on", "fd", "direction", "peer"):
                setattr(entry, name, getattr(block, name))
            entry.count += 1
        entry.worst_ns = max(entry.worst_ns, block.ns)
        record.happened("stall")
        if is_new or callbacks:
            # Not in the watching thread: a log handler may wait for the lock that the blocked loop holds.
            teller = threading.Thread(target=_tell, args=(dataclasses.replace(entry), is_new), name="yieldloop-tell", daemon=True)
            try:
                teller.start()
            except RuntimeError:  # no more threads, or the interpreter ends
                pass
        return entry


def _tell(block: Block, is_new: bool) -> None:
    if is_new:
        logger.warning("%s", block)
    for callback in list(callbacks):
        try:
            callback(block)
        except Exception:
            logger.exception("The watchdog's callback %r failed", callback)


table = _Table()


def configure(limit: float | None = LIMIT, budget: float | None = None, spin: float | None = SPIN) -> None:
    """Set how long (s) a step or callback may hold a loop, how long an iteration may take (default: ten limits), and for how long a
    loop may do one thing only. *limit* None switches the watchdog off. ValueError for what is no positive time.
    """
    for name, value in (("limit", limit), ("budget", budget), ("spin", spin)):
        if value is not None and not 0 < value < 1e9:
            raise ValueError(f"{name} is a time in seconds above 0, or None, not {value!r}")
    table.limit_ns = None if limit is None else int(limit * _SECOND)
    if limit is not None and budget is None:
        budget = limit * BUDGET_IN_LIMITS
    table.budget_ns = None if limit is None or budget is None else int(budget * _SECOND)
    table.spin_ns = None if limit is None or spin is None else int(spin * _SECOND)
    table.changed()


def _configure_by_environment() -> None:
    wish = os.environ.get("YIELDLOOP_WATCHDOG", "")
    if wish in ("", "on"):
        configure()
    elif wish in ("off", "0"):
        configure(None)
    else:
        try:
            configure(float(wish))
        except ValueError:
            configure()
            logger.warning("YIELDLOOP_WATCHDOG is 'off' or a time in seconds, not %r: it is taken for %g", wish, LIMIT)


_configure_by_environment()


def blocks() -> list[Block]:
    """What has held the loops of this process, each place once, the worst first. Copies."""
    return sorted((dataclasses.replace(block) for block in list(table.found.values())), key=lambda block: -block.worst_ns)


# --- one loop ----------------------------------------------------------------------------------------------------------


class Watched:
    """What the watchdog remembers of one running loop from one look to the next. Made in the loop's thread.

    *loop* has ``_doing()`` and ``_asleep`` as `engine.core.Core` has them.
    """

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.thread = threading.get_ident()
        self.thread_name = threading.current_thread().name
        self.native = threading.get_native_id()
        self._mark: tuple[int, int] | None = None  # what the last look found: (iteration, id of the entry), one run
        self._began = 0  # since when that runs, as far as is known
        self._suspected: tuple[int, int] | None = None  # since when it has seemed too long, and what `wait_for_processor` was then
        self._iterations = -1  # at the last look
        self.idle = False  # it has slept in its poller from the last look but one to the last
        self._block: Block | None = None  # the table's entry for it
        self._ignored = False  # it was judged already, and is no block (a debugger)
        self._iteration = (0, 0)  # number of an iteration, and when it was first seen
        self._over_budget: Block | None = None
        self._over = False  # the loop has stopped running
        self._spin: _Spin | None = _Spin()
        self._unread: unread.Unread | None = unread.Unread(self.native)

    @property
    def target(self) -> Any:
        """The event loop itself; None if it is no more."""
        return self.loop

    def look(self) -> int:
        """Judge what the loop does now; returns the ns until the next look. The watchdog is on."""
        limit = table.limit_ns or 0
        now = time.monotonic_ns()
        entry, began, iteration = self.loop._doing()
        self._look_at_iteration(entry, iteration, now)
        if self._spin is not None and table.spin_ns is not None:
            self._spin.look(self, entry, iteration, now)
        if self._unread is not None and table.spin_ns is not None:
            self._look_at_descriptors(self._unread.look(self.loop, iteration, now, table.spin_ns), now)
        mark = None if entry is None else (iteration, id(entry))
        self.idle, self._iterations = mark is None and iteration == self._iterations, iteration
        if mark != self._mark:
            self._run_is_over(began)
            self._mark = mark
            self._began = began if self._is_exact() else now
            self._suspected = None
        if mark is None:
            return limit
        age = now - self._began
        if self._block is not None:
            self._lasts(self._block, age)
        elif not self._ignored:
            if age < limit:
                return limit - age
            if not self._has_processor(now):
                return limit // 10
            self._block = self._found("step", entry, self._began, now, mark)
            self._ignored = self._block is None
        return max(limit // 10, age // 20)

    def _has_processor(self, now: int) -> bool:
        """True if the thread, since what it runs first seemed too long, has not waited for a processor for half of the time."""
        waited = wait_for_processor(self.native)
        since, before = self._suspected or (now, waited)
        if now > since and 2 * (waited - before) < now - since:
            return True
        self._suspected = (now, waited)
        return False

    def _is_exact(self) -> bool:
        """With the recorder the time in the engine's marks is the entry's. Without, it is the iteration's, or an earlier one's."""
        return getattr(self.loop, "recorder", None) is not None

    def _run_is_over(self, began: int) -> None:
        """What the last look found is over, for *began* is the beginning of something later."""
        if self._block is not None:
            self._lasts(self._block, began - self._began)
            self._block.going_on = False
            self._block = None
        self._ignored = False

    def _lasts(self, block: Block, ns: int) -> None:
        block.ns = max(block.ns, ns)
        block.worst_ns = max(block.worst_ns, block.ns)

    def lag_ns(self) -> int:
        """For how long the loop has not asked its poller, as far as was seen."""
        entry, began, iteration = self.loop._doing()
        if entry is None:
            return 0
        seen = self._iteration
        since: int = min(began, seen[1]) if seen[0] == iteration else began
        return max(0, time.monotonic_ns() - since)

    def _look_at_iteration(self, entry: Any, iteration: int, now: int) -> None:
        if table.budget_ns is None:
            return
        if entry is None or iteration != self._iteration[0]:
            self._iteration = (iteration, now)
            if self._over_budget is not None:
                self._over_budget.going_on = False
                self._over_budget = None
        elif self._over_budget is not None:
            self._lasts(self._over_budget, now - self._iteration[1])
        elif now - self._iteration[1] >= table.budget_ns and self._block is None:
            self._over_budget = self._found("iteration", entry, self._iteration[1], now)

    def _look_at_descriptors(self, suspects: list[unread.Suspect], now: int) -> None:
        """*suspects* stay ready, and nobody takes anything from them."""
        for each in suspects:
            if each.block is not None:
                self._lasts(each.block, now - each.since_ns)
                continue
            poller = self.loop._poller
            entry = poller.reader(each.fd) if each.direction == "read" else poller.writer(each.fd)
            code = getattr(_identity(entry), "__code__", None) or _identity(entry)
            stack = [stacks.frame_of(code, None)] if isinstance(code, types.CodeType) else []
            each.block = self._enter("spin", entry, each.since_ns, now, stack, (each.fd, each.direction, unread.name_of(each.fd)))
            each.block.going_on = not self._over

    def _found(self, kind: str, entry: Any, began: int, now: int, mark: Any = None) -> Block | None:
        """Take the stack and enter the block; None if the run *mark* was over in the meantime, or is a debugger's."""
        stack = stacks.as_stack(stacks.frames_of_thread(self.thread))
        if mark is not None:
            entry_now, _, iteration = self.loop._doing()
            if (iteration, id(entry_now)) != mark:
                return None
        if any(os.path.basename(frame["file"]) in ("bdb.py", "pydevd.py") for frame in stack):
            return None
        return self._enter(kind, entry, began, now, stack or standing_at(entry))

    def _enter(self, kind: str, entry: Any, began: int, now: int, stack: Any, descriptor: Any = (None, None, None)) -> Block:
        site = stacks.site_in(stack) or {"file": "(no Python frame)", "line": 0}
        number = getattr(entry, "_number", None)
        loop = loop_number(self.target)
        block = Block(kind, loop, began, now - began, number, label_of(entry), site["file"], site["line"], stack)
        block.fd, block.direction, block.peer = descriptor
        return table.add(block)

    def ended(self) -> None:
        """The loop has stopped running."""
        self._over = True
        suspects = self._unread.suspects.values() if self._unread is not None else ()
        for block in (self._block, self._over_budget, *(each.block for each in suspects)):
            if block is not None:
                block.going_on = False


class _Spin:
    """Many iterations, in which nothing is seen but the same few things, and nothing came from outside."""

    MOST_THINGS = 2
    FEWEST_SIGHTS = 3

    def __init__(self) -> None:
        self._began: tuple[int, int, Any] = (0, 0, None)  # time, iteration, and what came from outside until then
        self._seen: dict[Any, int] = {}
        self._reported: Block | None = None

    def look(self, watched: Watched, entry: Any, iteration: int, now: int) -> None:
        began, first, outside = self._began
        if entry is not None:
            key = _identity(entry)
            self._seen[key] = self._seen.get(key, 0) + 1
        came = _from_outside(watched.loop)
        span = now - began
        rate = (iteration - first) * _SECOND // span if span else 0
        if came != outside or rate < SPIN_RATE or len(self._seen) > self.MOST_THINGS:
            self._start_again(now, iteration, came)
        elif self._reported is not None:
            watched._lasts(self._reported, now - self._reported.began_ns)
        elif span >= (table.spin_ns or 0) and entry is not None and self._seen[_identity(entry)] >= self.FEWEST_SIGHTS:
            self._reported = watched._found("spin", entry, began, now)

    def _start_again(self, now: int, iteration: int, came: Any) -> None:
        self._began = (now, iteration, came)
        self._seen.clear()
        if self._reported is not None:
            self._reported.going_on = False
            self._reported = None


def _from_outside(loop: Any) -> Any:
    """What changes when something comes from outside the loop: descriptors, other threads, signals."""
    statistics = getattr(getattr(loop, "_poller", None), "statistics", None)
    return statistics()["events"] if statistics is not None else None


def _identity(entry: Any) -> Any:
    """The same for the same task, and for two handles of one callback."""
    if isinstance(entry, Handle):
        function = _function_of(entry._callback)
        return getattr(function, "__code__", None) or id(function)
    return id(entry)


def _function_of(callback: Any) -> Any:
    while isinstance(callback, functools.partial):
        callback = callback.func
    return getattr(callback, "__func__", callback)


def label_of(entry: Any) -> str:
    """Who *entry* of the ready queue is, in words."""
    if hasattr(entry, "get_coro") and hasattr(entry, "get_name"):
        coro = entry.get_coro()
        return f"task {entry.get_name()!r} {getattr(coro, '__qualname__', None) or type(coro).__name__}()"
    if isinstance(entry, Handle):
        callback = entry._callback
        function = _function_of(callback)
        owner: Any = getattr(callback, "__self__", None)
        if hasattr(owner, "get_coro") and hasattr(owner, "get_name"):  # a step of a foreign task
            return label_of(owner)
        return f"callback {getattr(function, '__qualname__', None) or type(function).__name__}()"
    return entry if isinstance(entry, str) else type(entry).__name__


def standing_at(entry: Any) -> list[dict[str, Any]]:
    """Where the task *entry* stands, if its thread shows no frame of it."""
    frame = getattr(getattr(entry, "_coro", None), "cr_frame", None)
    return [] if frame is None else [stacks.frame_of(frame.f_code, frame.f_lineno)]


def wait_for_processor(native_id: int) -> int:
    """ns that the thread has waited for a processor in its life; 0 where the system does not tell."""
    try:
        fd = os.open(f"/proc/self/task/{native_id}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return int(os.read(fd, 80).split()[1])
        finally:
            os.close(fd)
    except (OSError, ValueError, IndexError):
        return 0
