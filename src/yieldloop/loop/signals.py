"""Signals: from an interrupt at any instruction to a callback in its turn.

What lives here: `add_signal_handler`, and how a signal wakes a sleeping loop. What may not: what Ctrl-C means (`aio.runners`).

Python runs its own handlers between two instructions of the main thread. A loop that sleeps in the kernel executes none, so the
interpreter is told to write the signal's number to the poller's wake-up pipe (`signal.set_wakeup_fd`) while a loop runs in the
main thread. ``_thread.interrupt_main()``, which marks a signal without sending one, writes there as well.

The number also tells of a signal whose handler somebody replaced by ``signal.signal`` after `add_signal_handler`, as servers do
while they run: asyncio's rule is that both are called.
"""

from __future__ import annotations

import errno
import signal
import sys
import threading
import warnings
from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.coroutines import iscoroutine, iscoroutinefunction
from yieldloop.engine.handles import Handle
from yieldloop.loop.base import BaseLoop

skip_globals(globals())


class SignalMixin(BaseLoop):
    """The loop's signal handlers."""

    def __init__(self, poller: Any, clock: Any = None) -> None:
        self._signal_handlers: dict[int, Any] = {}
        self._signals_told: set[int] = set()
        self._wakeup_fd_before: int | None = None
        super().__init__(poller, clock)

    def _begin_run(self) -> None:
        super()._begin_run()
        self._signals_told.clear()
        if threading.current_thread() is not threading.main_thread():
            return
        before = signal.set_wakeup_fd(self._poller.wake_fd, warn_on_full_buffer=False)
        if before == -1 or self._signal_handlers:
            self._wakeup_fd_before = before
        else:  # somebody else listens: leave it to them unless we have handlers to serve
            try:
                signal.set_wakeup_fd(before)
            except (OSError, ValueError):  # closed by its owner, who has not told: nobody listens
                self._wakeup_fd_before = -1

    def _end_run(self) -> None:
        if self._wakeup_fd_before is not None:
            if threading.current_thread() is threading.main_thread():
                try:
                    signal.set_wakeup_fd(self._wakeup_fd_before)
                except (OSError, ValueError):  # closed by its owner meanwhile
                    signal.set_wakeup_fd(-1)
            self._wakeup_fd_before = None
        super()._end_run()

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Call ``callback(*args)`` by the loop when *sig* arrives. Main thread only.

        TypeError if *sig* is no integer or *callback* a coroutine, ValueError for an unknown signal, RuntimeError outside
        the main thread and for a signal that cannot be caught, OSError if the system refuses for another reason.
        """
        if iscoroutine(callback) or iscoroutinefunction(callback):
            raise TypeError(
                f"coroutines cannot be used with add_signal_handler(): use a function that calls create_task({callback!r})"
            )
        self._check_signal(sig)
        self._check_closed()
        if not callable(callback):
            raise TypeError(f"a callable object was expected by add_signal_handler(), got {callback!r}")
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("add_signal_handler() works in the main thread only: signals are delivered to no other")
        handle = Handle(callback, args, self, None)
        before = self._signal_handlers.get(sig)
        self._signal_handlers[sig] = handle
        try:
            signal.signal(sig, self._on_signal)
            signal.siginterrupt(sig, False)  # system calls elsewhere in the process go on
        except (OSError, ValueError) as exc:
            if before is None:
                del self._signal_handlers[sig]
            else:
                self._signal_handlers[sig] = before
            raise _refusal(sig, exc)
        self._poller.tell_signals(self._on_signal_numbers)
        if self.is_running() and self._wakeup_fd_before is None:
            self._wakeup_fd_before = signal.set_wakeup_fd(self._poller.wake_fd, warn_on_full_buffer=False)

    def _on_signal(self, sig: int, frame: Any) -> None:
        # Runs between two instructions of the main thread: nothing may be called here but what is safe anywhere.
        self._signals_told.add(sig)
        self._handle_signal(sig)

    def _on_signal_numbers(self, numbers: bytes) -> None:
        for sig in numbers:
            if sig in self._signals_told:
                self._signals_told.discard(sig)
            elif sig in self._signal_handlers and signal.getsignal(sig) != self._on_signal:
                self._handle_signal(sig)

    def _handle_signal(self, sig: int) -> None:
        handle = self._signal_handlers.get(sig)
        if handle is None or self._closed:
            return
        if handle._cancelled:
            self.remove_signal_handler(sig)
            return
        self._call_from_signal(handle)

    def remove_signal_handler(self, sig: int) -> bool:
        """Restore the default for *sig*; False if it had no handler here."""
        self._check_signal(sig)
        if self._signal_handlers.pop(sig, None) is None:
            return False
        default = signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL
        try:
            signal.signal(sig, default)
        except OSError as exc:
            raise _refusal(sig, exc)
        return True

    def _check_signal(self, sig: int) -> None:
        if not isinstance(sig, int):
            raise TypeError(f"sig must be an int, not {sig!r}")
        if sig not in signal.valid_signals():
            raise ValueError(f"invalid signal number {sig}")

    def _release(self) -> None:
        if sys.is_finalizing():  # the interpreter is being taken down: what a handler would need may be gone already
            if self._signal_handlers:
                warnings.warn(
                    f"{self!r} is closed while the interpreter finalizes, skipping signal handlers removal: close it before",
                    ResourceWarning,
                    stacklevel=3,
                    source=self,
                )
        elif threading.current_thread() is threading.main_thread():
            for sig in list(self._signal_handlers):
                self.remove_signal_handler(sig)
        self._signal_handlers.clear()
        super()._release()


def _refusal(sig: int, exc: BaseException) -> BaseException:
    """What to raise when the system refuses to change the handler of *sig*: EINVAL says that nobody may (SIGKILL, SIGSTOP)."""
    if isinstance(exc, OSError) and exc.errno != errno.EINVAL:
        return exc
    refusal = RuntimeError(f"sig {sig} cannot be caught")
    refusal.__cause__ = exc
    return refusal
