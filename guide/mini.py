"""A mini asyncio: what chapters 6 to 11 built, in one file, to be used like `import asyncio`.

From top to bottom: what is to be called, what is waited for, who waits, the loop, and what programs use: sleeping, waiting for
several, time limits, threads, locks, sockets. Streams stand on it, in mini_streams.py. Chapter 12 goes through it, and chapter 13
shows its counterpart in yieldloop.
"""

import heapq
import inspect
import itertools
import selectors
import socket
import threading
import time
import traceback
import types
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from selectors import EVENT_READ

LONGEST_SLEEP = 24 * 3600  # seconds; a kernel takes no time-out without bound, and waking once a day costs nothing


class CancelledError(BaseException):
    """Nobody wants the result any more. No Exception, so that `except Exception` lets it pass."""


class InvalidStateError(Exception):
    """A result was asked for too early, or given twice."""


class Handle:
    """A call that is to be made, soon or at a time, unless it is cancelled before."""

    numbers = itertools.count()

    def __init__(self, callback, args, when=0):
        self.callback, self.args = callback, args
        self.order = when, next(Handle.numbers)  # of two with the same time, the older one is first
        self.cancelled = False

    def __lt__(self, other):
        return self.order < other.order

    def cancel(self):
        self.cancelled = True

    def run(self):
        try:
            if not self.cancelled:
                self.callback(*self.args)
        except Exception:  # one bad callback must not end the loop
            traceback.print_exc()


class Future:
    """A result that is not there yet, and who is to be told when it is."""

    def __init__(self, loop=None):
        self.loop = loop or get_running_loop()
        self.state = "pending"  # then, once and for all, "finished" or "cancelled"
        self.value = None
        self.error = None
        self.callbacks = []

    def __repr__(self):
        return f"<{type(self).__name__} {self.state}>"

    def done(self):
        return self.state != "pending"

    def cancelled(self):
        return self.state == "cancelled"

    def result(self):
        if not self.done():
            raise InvalidStateError(f"{self!r} has no result yet")
        if self.error is not None:
            raise self.error
        return self.value

    def exception(self):
        return self.error if self.state == "finished" else self.result()

    def set_result(self, value):
        self.settle("finished", value, None)

    def set_exception(self, error):
        self.settle("finished", None, error)

    def cancel(self, *message):
        """Give up the result. False if it is too late for that."""
        if self.done():
            return False
        self.settle("cancelled", None, CancelledError(*message))
        return True

    def settle(self, state, value, error):
        if self.done():
            raise InvalidStateError(f"{self!r} cannot be settled twice")
        self.state, self.value, self.error = state, value, error
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            self.loop.call_soon(callback, self)

    def wake(self, value=None):
        """Set the result, unless whoever waits for it has given up."""
        if not self.done():
            self.set_result(value)

    def add_done_callback(self, callback):
        if self.done():
            self.loop.call_soon(callback, self)
        else:
            self.callbacks.append(callback)

    def __await__(self):
        if not self.done():
            yield self
        return self.result()


class Task(Future):
    """Drives a coroutine from step to step. It is itself the future of what the coroutine returns."""

    def __init__(self, coro, loop=None):
        super().__init__(loop)
        self.coro = coro
        self.parked_on = None  # the future that the coroutine waits for
        self.must_cancel = None  # the CancelledError that is to be raised at the next step
        self.cancels = 0  # how often it was asked to end
        self.loop.tasks.add(self)  # nobody else need hold it while it is pending
        self.loop.call_soon(self.step)

    def step(self, error=None):
        """Resume the coroutine, or throw `error` into it, and look at what it did."""
        self.parked_on = None
        if self.must_cancel is not None:
            error, self.must_cancel = self.must_cancel, None
        self.loop.current_task = self
        try:
            yielded = self.coro.send(None) if error is None else self.coro.throw(error)
        except StopIteration as end:
            if self.must_cancel is None:
                self.end("finished", end.value, None)
            else:  # cancelled in its last step
                self.end("cancelled", None, self.must_cancel)
        except CancelledError as error:
            self.end("cancelled", None, error)
        except BaseException as error:
            self.end("finished", None, error)
            if not isinstance(error, Exception):  # Ctrl-C and sys.exit() end the loop too
                raise
        else:
            self.park(yielded)
        finally:
            self.loop.current_task = None

    def park(self, yielded):
        if yielded is None:  # a bare yield: only let the others have a turn
            self.loop.call_soon(self.step)
        elif not isinstance(yielded, Future) or yielded.loop is not self.loop or yielded is self:
            self.loop.call_soon(self.step, RuntimeError(f"a task waits for a future of its loop, not for {yielded!r}"))
        else:
            self.parked_on = yielded
            yielded.add_done_callback(self.wake_up)
            if self.must_cancel is not None and yielded.cancel(*self.must_cancel.args):
                self.must_cancel = None

    def wake_up(self, future):
        self.step()  # the result or the error comes out of the future's own __await__

    def end(self, state, value, error):
        self.loop.tasks.discard(self)
        self.settle(state, value, error)

    def cancel(self, *message):
        """Have CancelledError raised where the coroutine is parked. False if it is over already."""
        if self.done():
            return False
        self.cancels += 1
        if self.parked_on is None or not self.parked_on.cancel(*message):
            self.must_cancel = CancelledError(*message)
        return True

    def cancelling(self):
        return self.cancels

    def uncancel(self):
        """Take one request back; returns how many are left. If none is, the task need not end."""
        self.cancels = max(0, self.cancels - 1)
        if self.cancels == 0:
            self.must_cancel = None
        return self.cancels


# --- the loop ----------------------------------------------------------------------------------------------------------


class Loop:
    """Calls what is ready; if nothing is, sleeps until a timer is due, a socket is ready or a thread rings."""

    def __init__(self):
        self.ready = deque()
        self.timers = []  # a heap
        self.selector = selectors.DefaultSelector()
        self.tasks = set()  # those that are pending
        self.current_task = None
        self.stopping = False
        self.threads = None
        self.bell, self.button = socket.socketpair()
        self.bell.setblocking(False)
        self.button.setblocking(False)
        self.watch(self.bell, EVENT_READ, lambda: self.bell.recv(4096))

    def time(self):
        return time.monotonic()

    def call_soon(self, callback, *args):
        handle = Handle(callback, args)
        self.ready.append(handle)
        return handle

    def call_soon_threadsafe(self, callback, *args):
        handle = self.call_soon(callback, *args)
        try:
            self.button.send(b"!")
        except BlockingIOError:
            pass  # there are so many unheard rings that one more says nothing new
        return handle

    def call_at(self, when, callback, *args):
        handle = Handle(callback, args, when)
        heapq.heappush(self.timers, handle)
        return handle

    def call_later(self, delay, callback, *args):
        return self.call_at(self.time() + delay, callback, *args)

    def watch(self, sock, event, callback):
        """Have `callback` called whenever the socket is ready for the event; None: no longer."""
        known = self.selector.get_map().get(sock)
        callbacks = known.data if known else {}
        if callback and callbacks.get(event, callback) != callback:
            raise RuntimeError(f"somebody else waits for {sock} already")
        callbacks = callbacks | {event: callback}
        callbacks = {event: callback for event, callback in callbacks.items() if callback}
        if known:
            self.selector.unregister(sock)
        if callbacks:
            self.selector.register(sock, sum(callbacks), callbacks)

    def close_socket(self, sock):
        """Close it; who waits for it goes on, and finds that out."""
        if sock.fileno() < 0:
            return
        if known := self.selector.get_map().get(sock):
            self.selector.unregister(sock)
            for callback in known.data.values():
                callback()
        sock.close()

    def create_future(self):
        return Future(self)

    def create_task(self, coro):
        return Task(coro, self)

    def run_in_executor(self, executor, function, *args):
        """Call the function in a thread; returns a future of its result."""
        future = Future(self)

        def deliver(job):
            if not future.done():
                error = job.exception()
                future.settle("finished", None if error else job.result(), error)

        if executor is None:
            executor = self.threads = self.threads or ThreadPoolExecutor()
        executor.submit(function, *args).add_done_callback(lambda job: self.call_soon_threadsafe(deliver, job))
        return future

    def run_once(self):
        """One iteration: sleep, see which sockets are ready and which timers are due, call what is ready."""
        while self.timers and self.timers[0].cancelled:
            heapq.heappop(self.timers)
        timeout = None
        if self.ready:
            timeout = 0
        elif self.timers:
            timeout = min(max(0, self.timers[0].order[0] - self.time()), LONGEST_SLEEP)
        for key, events in self.selector.select(timeout):
            for event, callback in key.data.items():
                if events & event:
                    callback()
        now = self.time()
        while self.timers and self.timers[0].order[0] <= now:
            self.ready.append(heapq.heappop(self.timers))
        for _ in range(len(self.ready)):
            self.ready.popleft().run()

    def run_until(self, over):
        if here.loop is not None:
            raise RuntimeError("a loop is running in this thread already")
        here.loop = self
        try:
            while not over():
                self.run_once()
        finally:
            here.loop = None

    def run_until_complete(self, awaitable):
        future = ensure_future(awaitable, self)
        self.run_until(future.done)
        return future.result()

    def run_forever(self):
        self.stopping = False
        self.run_until(lambda: self.stopping)

    def stop(self):
        self.stopping = True

    def close(self):
        if self.threads:
            self.threads.shutdown()
        for watched in list(self.selector.get_map().values()):  # the bell, and what still had something to send
            watched.fileobj.close()
        self.selector.close()
        self.button.close()


class Here(threading.local):
    loop = None  # the one that runs in this thread


here = Here()


def get_running_loop():
    if here.loop is None:
        raise RuntimeError("no loop is running in this thread")
    return here.loop


def run(main):
    """Run a coroutine on a loop of its own, and leave nothing behind."""
    loop = Loop()
    try:
        return loop.run_until_complete(main)
    finally:
        try:
            for task in loop.tasks:
                task.cancel()
            loop.run_until(lambda: not loop.tasks and not loop.ready)
        finally:
            loop.close()


# --- what programs use -------------------------------------------------------------------------------------------------


def create_task(coro):
    return get_running_loop().create_task(coro)


def current_task():
    return get_running_loop().current_task


def ensure_future(awaitable, loop=None):
    if isinstance(awaitable, Future):
        return awaitable
    if not inspect.iscoroutine(awaitable):
        raise TypeError(f"a coroutine or a future was expected, not {awaitable!r}")
    return Task(awaitable, loop)


@types.coroutine
def let_others_run():
    yield


async def sleep(delay, result=None):
    if delay <= 0:
        await let_others_run()
        return result
    woken = Future()
    timer = woken.loop.call_later(delay, woken.wake)
    try:
        await woken
    finally:
        timer.cancel()
    return result


async def gather(*awaitables, return_exceptions=False):
    """The results of all, in the order of the arguments. The first error is raised at once, and the others run on."""
    futures = [ensure_future(awaitable) for awaitable in awaitables]
    pending = set(futures)
    over = Future()

    def ended(future):
        pending.discard(future)
        if future.error is not None and not return_exceptions:
            over.done() or over.set_exception(future.error)
        elif not pending:
            over.wake()

    for future in futures:
        future.add_done_callback(ended)
    try:
        if futures:
            await over
    except CancelledError:
        for future in futures:
            future.cancel()
        raise
    return [future.error if future.error is not None else future.value for future in futures]


class timeout:
    """`async with timeout(5):` cancels its block after five seconds, and says TimeoutError then."""

    def __init__(self, delay):
        self.delay = delay
        self.expired = False

    async def __aenter__(self):
        self.task = current_task()
        self.cancels = self.task.cancelling()
        self.timer = get_running_loop().call_later(self.delay, self.expire)

    def expire(self):
        self.expired = True
        self.task.cancel()

    async def __aexit__(self, kind, error, trace):
        self.timer.cancel()
        # Somebody else may want the task to end as well: that is no time-out, and stays a cancellation.
        if self.expired and self.task.uncancel() <= self.cancels and kind is CancelledError:
            raise TimeoutError from error


async def wait_for(awaitable, delay):
    async with timeout(delay):
        return await awaitable


async def to_thread(function, *args):
    return await get_running_loop().run_in_executor(None, function, *args)


class Lock:
    """One task at a time; it is handed on to the one that has waited longest."""

    def __init__(self):
        self.held = False
        self.waiting = deque()

    def locked(self):
        return self.held

    async def acquire(self):
        if self.held:
            turn = Future()
            self.waiting.append(turn)
            try:
                await turn
            except CancelledError:
                if not turn.cancelled():  # handed over and cancelled in one iteration: somebody else must have it
                    self.release()
                raise
        self.held = True
        return True

    def release(self):
        if not self.held:
            raise RuntimeError("Lock is not acquired")
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                return turn.set_result(None)  # it stays held, by the next one
        self.held = False

    async def __aenter__(self):
        await self.acquire()

    async def __aexit__(self, *error):
        self.release()


# --- sockets -----------------------------------------------------------------------------------------------


async def ready_for(sock, event):
    """Wait until the socket can be read from, or written to."""
    woken = Future()
    woken.loop.watch(sock, event, woken.wake)
    try:
        await woken
    finally:
        if sock.fileno() >= 0:
            woken.loop.watch(sock, event, None)
