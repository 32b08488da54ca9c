"""One child process: how its end becomes known, who takes its exit status, and that no signal goes to a stranger.

What lives here: `PidfdChild` and `ThreadChild`, two ways to learn of the end, one face. What may not: pipes and protocols
(``process.py``). Interpreted: it runs twice in a child's life.

Facts, and what follows from them:
- A child that has ended keeps its number until somebody takes its exit status (waitpid(2)); then the number may belong to any
  new process. So taking the status and sending a signal exclude each other, by a lock, and no signal is sent after the taking.
- A pidfd (Linux 5.3) becomes readable when its process ends, and a signal that is sent through it can reach nobody else. It
  needs no signal handler, so it works in every thread, and other users of SIGCHLD are not disturbed.
- Where there is none (another system, a sandbox that forbids the call, no descriptor left), a thread waits. It waits with
  WNOWAIT, which leaves the status where it is: the loop takes it, in the loop's thread.
- SIGCHLD ignored, or ``os.waitpid(-1, …)`` somewhere in the program: the status is gone before we look. The child has ended all the
  same; the exit code is reported as 255, with a warning, as the standard library does.
- A loop may be closed while its children run on. Then a thread waits for each, so that none stays a zombie.

Rule for the editor: everything that reads or takes a status, or sends a signal by number, holds `_lock`.
"""

from __future__ import annotations

import _thread
import contextvars
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.core import logger
from yieldloop.engine.handles import Handle

skip_globals(globals())

SWITCH = "YIELDLOOP_CHILDREN"  # environment: "pidfd" or "thread" chooses how children are watched
STATUS_TAKEN = 255  # the exit code of a child whose status somebody else has taken
LONGEST_LOOK = 0.05  # s between two looks at a child, where the system cannot wait without taking the status


class Child:
    """A started process and its `subprocess.Popen`. `watch` says when it has ended; `send` reaches it or nobody."""

    __slots__ = ("_lock", "_loop", "_told", "pid", "proc")

    def __init__(self, proc: Any) -> None:
        self.proc = proc
        self.pid: int = proc.pid
        self._lock = threading.Lock()
        self._loop: Any = None  # None before watch(), after the end, and after release()
        self._told: Any = None  # what is called with the exit code, once

    def watch(self, loop: Any, told: Callable[[int], None]) -> None:
        """Call ``told(exit code)`` in *loop*, once, when the child has ended. Its exit status is taken then."""
        self._loop = loop
        self._told = told
        self._begin()

    def _begin(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not say how it learns of the child's end")

    def _ended(self) -> None:
        """In the loop's thread: the child seems to have ended."""
        if self._loop is None:
            return
        code = self.take_status()
        if code is None:
            return
        told = self._told
        self._stop_watching()
        told(code)

    def _stop_watching(self) -> None:
        self._loop = None
        self._told = None

    def take_status(self) -> int | None:
        """The exit code (negative: the signal that ended it), or None while it runs. Never blocks."""
        with self._lock:
            return self._take_status()

    def _take_status(self) -> int | None:
        proc = self.proc
        if proc.returncode is None:  # else somebody has asked the Popen object itself
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                logger.warning("child process pid %d exit status already read:  will report returncode %d", self.pid, STATUS_TAKEN)
                proc.returncode = STATUS_TAKEN
            except OSError as exc:  # waitpid(2) has no other error for us; whatever it is, it would come again for ever
                logger.error("child process pid %d has no exit status (%s): will report returncode %d", self.pid, exc, STATUS_TAKEN)
                proc.returncode = STATUS_TAKEN
            else:
                if pid == 0:
                    return None
                proc.returncode = os.waitstatus_to_exitcode(status)
        code: int = proc.returncode
        return code

    def send(self, sig: int) -> None:
        """Send *sig* to the child. Nothing happens if it has ended. PermissionError if it now belongs to another user."""
        with self._lock:
            if self.proc.returncode is None:
                self._send(sig)

    def _send(self, sig: int) -> None:
        try:
            os.kill(self.pid, sig)
        except ProcessLookupError:
            pass  # its status was taken behind our back

    def kill(self) -> None:
        """End the child by `Popen.kill` if it runs."""
        with self._lock:
            if self._take_status() is None:
                try:
                    self.proc.kill()
                except (ProcessLookupError, PermissionError):
                    pass

    def release(self) -> None:
        """The loop is closed: tell nobody any more. Whoever still runs is waited for by a thread."""
        if self._loop is not None:
            self._stop_watching()
            self._wait_elsewhere()

    def _wait_elsewhere(self) -> None:
        if self.take_status() is None:
            try:
                # Not threading.Thread: this may be called from a finalizer, at any point of any code, threading's own included.
                _thread.start_new_thread(self._outlive, ())
            except RuntimeError:
                pass  # the interpreter ends, and its children become init's

    def _outlive(self) -> None:
        self._wait_for_end()
        self.take_status()

    def _wait_for_end(self) -> None:
        """Block until the child has ended, in a thread of its own; its status stays where it is, if the system can do that."""
        if hasattr(os, "waitid"):
            try:
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                pass  # somebody else has taken it
            return
        pause = 0.001
        while self.take_status() is None:
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOK)

    def __repr__(self) -> str:
        code = self.proc.returncode
        state = f"exit code {code}" if code is not None else "watched" if self._loop is not None else "not watched"
        return f"<{type(self).__name__} pid={self.pid} {state}>"


class PidfdChild(Child):
    """Watched by the loop's own poller."""

    __slots__ = ("_fd",)

    def __init__(self, proc: Any) -> None:
        Child.__init__(self, proc)
        self._fd = -1  # the pidfd while the child is watched

    def _begin(self) -> None:
        self._fd = os.pidfd_open(self.pid)
        try:
            self._loop._poller.arm_reader(self._fd, Handle(self._ended, (), self._loop))
        except BaseException:
            self._close()
            raise

    def _send(self, sig: int) -> None:
        if self._fd < 0:
            Child._send(self, sig)
            return
        try:
            signal.pidfd_send_signal(self._fd, sig)
        except ProcessLookupError:
            pass

    def _stop_watching(self) -> None:
        if self._fd >= 0:
            self._loop._poller.forget(self._fd)
            self._close()
        Child._stop_watching(self)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)


class ThreadChild(Child):
    """Watched by a thread that waits for it."""

    __slots__ = ()

    def _begin(self) -> None:
        args = (self._loop, contextvars.copy_context())
        threading.Thread(target=self._wait, args=args, name=f"yieldloop-waits-for-{self.pid}", daemon=True).start()

    def _wait(self, loop: Any, context: contextvars.Context) -> None:
        self._wait_for_end()
        try:
            loop.call_soon_threadsafe(self._ended, context=context)
        except RuntimeError:
            self.take_status()  # the loop is closed: nobody else will

    def _wait_elsewhere(self) -> None:
        pass  # the thread goes on, and will find the loop closed


_pidfd: bool | None = None  # whether this system has pidfds and lets us use them; None: not tried yet


def has_pidfd() -> bool:
    """Whether children can be watched by pidfd here; tried once."""
    global _pidfd
    if _pidfd is None:
        try:
            os.close(os.pidfd_open(os.getpid()))
            _pidfd = hasattr(signal, "pidfd_send_signal")
        except (AttributeError, OSError):  # no Linux, an old one, a sandbox, or no descriptor left just now
            _pidfd = False
    return _pidfd


def chosen_way() -> str:
    """How children are to be watched: as `SWITCH` in the environment says, else as the system can. ValueError for another word."""
    how = os.environ.get(SWITCH) or ("pidfd" if has_pidfd() else "thread")
    if how not in ("pidfd", "thread"):
        raise ValueError(f"children are watched by 'pidfd' or by 'thread', not by {how!r}: set {SWITCH} to one of them or unset it")
    return how


def watched(proc: Any, how: str, loop: Any, told: Callable[[int], None]) -> Child:
    """Begin to watch *proc* (a started `subprocess.Popen`) in the way *how* (`chosen_way`); see `Child.watch`."""
    if how == "pidfd":
        by_pidfd = PidfdChild(proc)
        try:
            by_pidfd.watch(loop, told)
            return by_pidfd
        except (AttributeError, OSError, ValueError):  # no descriptor left, or one too high for select(2): a thread needs none
            pass
    by_thread = ThreadChild(proc)
    by_thread.watch(loop, told)
    return by_thread
