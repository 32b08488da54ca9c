"""The thread that watches: one a process, for all its loops, asleep as long as they are.

What lives here: its life (start, fork, exit), when it wakes, and that each of its wake-ups is passed on to the watchdog and to the
socket. What may not: what they do (`watch.watchdog`, `watch.serving`), and imports that cost anything: this module is imported
when the program's first loop begins to run.

**Asleep.** While a loop runs callbacks the thread looks at it about ten times a second. While all loops wait in their pollers it
(and have done so since the look before) it waits without end, and is woken by the first of them whose poll is over: it leaves a
call in the loop's slot (``_on_awake``), which the loop makes once. It sets the slots first and looks at the loops then; a loop
says that it sleeps, and looks at its slot when it has slept: so none gets away. A process that idles is woken by nothing.

**Forks.** A program whose only other thread is this one would be told by ``os.fork`` (from Python 3.12 on) that it has threads. So
the thread ends before a fork and a new one goes on after it, with the same socket and the same clients; the program is then what it
takes itself for. Where there are more threads nothing would be won, and in the middle of an answer the fork would have to wait:
then the thread stays.
"""

from __future__ import annotations

import _thread
import atexit
import os
import select
import signal
import threading
import time
from typing import Any

from yieldloop.engine.core import logger
from yieldloop.loop.dead import harmless
from yieldloop.watch import outside, watchdog

__all__ = ("begun", "ended", "watcher")

LONGEST_WAIT = 0.02  # s for which a fork waits until the thread has ended
_count_threads: Any = getattr(_thread, "_count", int)  # those that Python has started and that run; the main thread is not one


class Watcher:
    """The watching thread and what it watches. One a process: `watcher`."""

    def __init__(self) -> None:
        self.importing = threading.Lock()  # held while the thread imports, and by a fork: no child inherits a half import
        self._reset()

    def _reset(self) -> None:
        self.loops: dict[int, watchdog.Watched] = {}  # by id: what is remembered of each loop that runs
        self.server: Any = None
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asleep = False  # it waits without a time limit
        self._ending = False
        self._wake_fds: tuple[int, int] | None = None
        self._poll: Any = None  # of the thread: the pipe, the server and its clients
        self._forking = False  # the thread is to end for a fork
        self._left = False  # and has

    # --- called by loops -----------------------------------------------------------------------------------------------

    def begun(self, loop: Any) -> None:
        """*loop* begins to run in this thread."""
        self.watch(watchdog.Watched(loop), id(loop))

    def watch(self, watched: watchdog.Watched, key: int) -> None:
        """Look at *watched*, whose loop has the id *key*."""
        self.loops[key] = watched
        if self._thread is None:
            self._start()
        else:
            self.wake_if_asleep()

    def ended(self, loop: Any) -> None:
        """The run of *loop* is over."""
        watched = self.loops.pop(id(loop), None)
        if watched is not None:
            watched.ended()

    def forget(self, watched: watchdog.Watched) -> None:
        """Look at *watched* no longer."""
        for key, each in list(self.loops.items()):
            if each is watched:
                del self.loops[key]
                watched.ended()

    def wake_if_asleep(self) -> None:
        """Called by a loop that has slept, once; from any thread."""
        if self._asleep:
            self._asleep = False
            self.wake()

    def wake(self) -> None:
        """Let the thread look at everything anew."""
        fds = self._wake_fds
        if fds is not None:
            try:
                os.write(fds[1], b"\0")
            except OSError:  # full: it will wake
                pass

    # --- life ----------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if watchdog.table.limit_ns is None and not outside.default_socket():
            return
        with self._starting:
            if self._thread is not None or self._ending:
                return
            read, write = os.pipe()
            os.set_blocking(read, False)
            os.set_blocking(write, False)
            self._wake_fds = (read, write)
            self._poll = select.poll()
            self._poll.register(read, select.POLLIN)
            self._launch()

    def _launch(self) -> None:
        try:
            self._thread = threading.Thread(target=self._run, name="yieldloop-watch", daemon=True)
            self._thread.start()
        except RuntimeError as exc:  # no more threads, the interpreter ends, or allows none: the loop runs unwatched
            logger.debug("Nobody watches the loops: %s", exc)
            self._thread = None
            self._close_fds()
            self._ending = True

    def end(self) -> None:
        """End the thread and remove the socket; at the interpreter's exit."""
        thread = self._thread
        self._ending = True
        if thread is not None and thread is not threading.current_thread():
            self.wake()
            thread.join(1.0)  # it may be in the middle of an answer: then it is left

    def _close_fds(self) -> None:
        fds, self._wake_fds = self._wake_fds, None
        for fd in fds or ():
            os.close(fd)

    def before_fork(self) -> None:
        """The thread ends, if nothing but it makes the program one that has threads, and if it can at once."""
        self.importing.acquire()
        thread = self._thread
        if thread is None or not thread.is_alive() or thread is threading.current_thread() or _count_threads() > 1:
            return  # not alive: it is just being started, or has failed
        self._forking = True
        self.wake()
        thread.join(LONGEST_WAIT)
        deadline = time.monotonic() + LONGEST_WAIT
        while self._left and os.path.exists(f"/proc/self/task/{thread.native_id}") and time.monotonic() < deadline:
            time.sleep(0.0001)  # up to Python 3.12 join() returns a little before the system's thread has ended

    def after_fork_in_parent(self) -> None:
        """A new thread goes on where the old one has left."""
        self.importing.release()
        with self._starting:
            self._forking, left, self._left = False, self._left, False
            if left:
                self._launch()

    def after_fork_in_child(self) -> None:
        """The thread is the parent's, and so are socket and loops; the child gets its own when a loop of its own runs."""
        if self.server is not None:
            self.server.close(forked=True)
        harmless.clear()
        self._close_fds()
        self._reset()
        self.importing.release()

    # --- the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        if hasattr(signal, "pthread_sigmask"):  # signals are the other threads' business
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        harmless.add(threading.current_thread())
        fds = self._wake_fds
        assert fds is not None
        left = False
        try:
            if self.server is None:
                self._open_server(self._poll)
            left = self._go_on(self._poll, fds[0])
        except Exception:
            logger.exception("The thread that watches the loops has failed; they run on unwatched")
        finally:
            harmless.discard(threading.current_thread())
            if self.server is not None and not left:
                self.server.close()
                self.server = None

    def _open_server(self, poll: Any) -> None:
        if not outside.default_socket():
            return
        try:
            with self.importing:
                from yieldloop.watch import serving
            self.server = serving.Server(poll, self._answer)
        except (OSError, outside.OutsideError) as exc:
            logger.info("This process cannot be asked from outside: %s", exc)

    def _answer(self, line: bytes) -> bytes:
        with self.importing:
            from yieldloop.watch import answers
        return answers.answer(line, self)

    def _go_on(self, poll: Any, wake_fd: int) -> bool:
        """Until the end; True if that is a fork's."""
        next_look = 0
        while not self._ending:
            if self._leaves():
                return True
            now = time.monotonic_ns()
            sleeps = False
            if watchdog.table.limit_ns is None or not self.loops:
                sleeps = self._may_sleep()
            elif now >= next_look:
                next_look = now + min([self._look(watched) for watched in list(self.loops.values())], default=0)
                sleeps = self._may_sleep()
            waits = [] if sleeps else [max(0, next_look - time.monotonic_ns()) / 1e6]
            if self.server is not None and (patience := self.server.patience()) is not None:
                waits.append(patience * 1e3)
            events = poll.poll(min(waits) if waits else None)
            if sleeps and not self._asleep:  # a loop woke us, which begins something: it gets the limit's length before we look
                next_look = time.monotonic_ns() + (watchdog.table.limit_ns or 0)
            self._asleep = False
            for fd, _ in events:
                if fd == wake_fd:
                    try:
                        os.read(wake_fd, 4096)
                    except BlockingIOError:
                        pass
            if self.server is not None:
                self.server.serve(events)
        return False

    def _leaves(self) -> bool:
        """True if the thread is to end for a fork. From then on it touches nothing."""
        if self._forking:
            with self._starting:
                self._left = self._forking
        return self._left

    def _look(self, watched: Any) -> int:
        try:
            return int(watched.look())
        except Exception:
            logger.exception("The watchdog has failed to look at %r, which runs on unwatched", watched.loop)
            self.forget(watched)
            return watchdog.table.limit_ns or 0

    def _may_sleep(self) -> bool:
        """True if there is nothing to look at: every loop sleeps in its poller, and will wake the thread when it has slept."""
        self._asleep = True
        if watchdog.table.limit_ns is None:
            return True
        for watched in list(self.loops.values()):
            if watched.idle:
                watched.loop._on_awake = self.wake_if_asleep
        if all(watched.idle and watched.loop._asleep for watched in list(self.loops.values())):
            return True
        self._asleep = False
        return False


watcher = Watcher()
begun = watcher.begun
ended = watcher.ended

watchdog.table.changed = watcher.wake
atexit.register(watcher.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=watcher.before_fork,
        after_in_parent=watcher.after_fork_in_parent,
        after_in_child=watcher.after_fork_in_child,
    )
