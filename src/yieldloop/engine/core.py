"""What a Future or a Task sees of its loop: where to put what became ready, whether somebody watches, whether to be careful.

What lives here: the shared state of one loop, and nothing that acts on it but the probe's one door. What may not: the iteration
and everything that makes handles, tasks or futures (`engine.loop`, two levels of import above).
"""

from __future__ import annotations

import logging
from typing import Any

from yieldloop.engine import _inline, _record
from yieldloop.engine._contexts import Contexts
from yieldloop.engine._heap import TimerHeap
from yieldloop.engine._leaf import Attributed
from yieldloop.engine._marks import ticks_to_ns
from yieldloop.engine._record import Recorder
from yieldloop.engine._ring import ReadyQueue
from yieldloop.engine.probe import EVENTS
from yieldloop.engine.recording import new_recorder

logger = logging.getLogger("asyncio")
LONG_WAIT = 2_000_000  # ticks: about a ms; where a task stood is recorded of waits that are longer
LONG_HELD = 1_000_000  # ticks: 0.2 to 1 ms; what is put off to the end of the iteration waits no longer for the others of it
LONG_TICKS = 1_000_000  # 64 iterations that take less (a ms at most, whatever the clock) are short
EVENTS_OF_TWO = frozenset({"task_parked", "task_woken", "fd_ready"})


class Core(Attributed):
    """The state of one loop. All of it is in fields: what programs set is all that is in its dictionary, if it has one."""

    __slots__ = (
        "__weakref__",
        "_after",  # entries whose `after` is called at the end of the iteration
        "_after_due",  # _after holds some
        "_after_since",  # the tick at which the first of them asked for it
        "_asleep",  # True while poll may wait: only then does another thread have to wake it
        "_contexts",  # the snapshots of contexts, and the context that is lent
        "_bytes_in",  # that stream sockets have received, ever
        "_bytes_out",
        "_closed",  # True after close(); nothing is accepted any more
        "_debug",
        "_entered",  # the standard library's register names a task of ours as the current one
        "_on_awake",  # None, or who is to be called, once, when the loop has slept (set by the thread that watches)
        "_in_entry",  # entries of the ready queue are being run: only then does `_call_after` come to its turn
        "_patience",  # while `run_until_complete` runs: who is asked how long to sleep when nothing is armed; else None
        "_poller",
        "_probe",
        "_ready",
        "_recorder",  # who notes what happens, or None
        "_running_entry",  # borrowed: the task or handle that runs now, or nothing
        "_stopping",  # True from stop() to the end of the iteration in which it was called
        "_tasks",  # every task that is not done: the strong reference that keeps it
        "_tick",  # when what runs now began: a recorder keeps it, else the last look at the clock (`_inline.ticks`)
        "_thread_id",  # of the thread that runs the loop, or None
        "_watched",  # there is a recorder or a probe
        "_heap",
        "_iteration",  # how many there were
        "_look_in",  # iterations until the next look at the clock, if nothing else looks at it before
        "_long_wait",  # ticks: of longer waits it is recorded where the task stood; -1: of each
        "_where_due",  # the tick from which on that may be recorded again: it costs more than any other record
        "_lender",  # _contexts if it lends, else None
    )

    def __init__(self, poller: Any) -> None:
        self._ready = ReadyQueue()
        self._heap = TimerHeap()
        self._contexts = Contexts()
        self._lender: Contexts | None = self._contexts if self._contexts.lends else None
        self._tasks: set[Any] = set()
        self._poller = poller
        self._probe: Any = None
        self._recorder: Recorder | None = None
        self._watched = False
        self._debug = False
        self._bytes_in = 0
        self._bytes_out = 0
        self._closed = False
        self._stopping = False
        self._entered = False
        self._asleep = False
        self._on_awake: Any = None
        self._patience: Any = None
        self._in_entry = False
        self._after_due = False
        self._after_since = 0
        self._after = ReadyQueue()
        self._thread_id: int | None = None
        self._running_entry: Any = _inline.nobody()
        self._iteration = 0
        self._tick = _inline.ticks()
        self._look_in = 0
        self._long_wait = LONG_WAIT
        self._where_due = 0
        poller.bind(self._ready)
        self.recorder = new_recorder()

    def _look_at_ticks(self) -> None:
        """Bring `_tick` up to date: every iteration while iterations are long, every 64th while they are short."""
        now = _inline.ticks()
        self._look_in = 64 if now - self._tick < LONG_TICKS else 1
        self._tick = now

    def _doing(self) -> Any:
        """What the loop does now: (the task or handle that runs, since when, the number of the iteration). From any thread.

        The first is None while it polls or does not run at all. The time is in ns by `time.monotonic_ns`: with the recorder it
        is exact; without, that of the last look at the clock, which is made at every poll and at least every 64th short iteration.
        """
        return _inline.lent(self._running_entry), ticks_to_ns(self._tick), self._iteration

    def _tell_awake(self) -> None:
        call, self._on_awake = self._on_awake, None
        if call is not None:  # else it was taken back in between
            call()

    def _call_after(self, entry: Any) -> None:
        """Call *entry*'s ``after`` when this iteration has run what was ready, before the poller is asked; or between two entries
        (tasks' steps, callbacks), once LONG_HELD has passed since somebody asked for it. Only while `_in_entry` holds.
        """
        if not self._after.size():
            self._after_since = _inline.ticks()
        self._after.push(entry)
        self._after_due = True

    def _held_long(self) -> bool:
        """What was put off has waited as long as it may."""
        return _inline.ticks() - self._after_since > LONG_HELD

    @property
    def probe(self) -> Any:
        """The one object that is told what the engine does (see `engine.probe.Probe`), or None."""
        return self._probe

    @probe.setter
    def probe(self, probe: Any) -> None:
        if probe is not None:
            missing = [event for event in EVENTS if not callable(getattr(probe, event, None))]
            if missing:
                raise TypeError(f"{probe!r} is no probe: it lacks {', '.join(missing)}; subclass yieldloop.Probe")
        self._probe = probe
        self._watched = probe is not None or self._recorder is not None
        self._poller.probe = None if probe is None else self

    @property
    def recorder(self) -> Any:
        """Who notes what the engine does (a `Recorder`), or None."""
        return self._recorder

    @recorder.setter
    def recorder(self, recorder: Any) -> None:
        if recorder is not None and type(recorder) is not Recorder:
            raise TypeError(f"loop.recorder is a Recorder or None, not {recorder!r}")
        self._recorder = recorder
        self._watched = recorder is not None or self._probe is not None
        self._long_wait = -1 if recorder is not None and recorder.chains else LONG_WAIT
        self._poller.recorder = recorder

    def _handed_to_thread(self, function: Any) -> None:
        """*function* is handed to a thread pool."""
        if self._recorder is not None:
            self._recorder.note(_record.THREAD, _record.label_call(function), 0)
        if self._probe is not None:
            self.emit("handed_to_thread", function)

    def emit(self, event: str, first: Any, second: Any = None) -> None:
        """Tell the probe. One that raises is logged and removed."""
        probe = self._probe
        if probe is None:
            return
        try:
            if event in EVENTS_OF_TWO:
                getattr(probe, event)(first, second)
            else:
                getattr(probe, event)(first)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            self.probe = None
            logger.exception("The probe %r raised in %s and was removed", probe, event)
