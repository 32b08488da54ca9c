"""Chapter 11: what programs use. Locks, time limits, threads, streams, each of them a few lines on futures."""

import socket
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from selectors import EVENT_READ, EVENT_WRITE

chapter7, chapter10 = import_module("07_task"), import_module("10_async_await")
CancelledError = chapter7.CancelledError


class Here(threading.local):
    """Each thread sees its own values: which loop runs, and which task."""

    loop = None
    task = None


here = Here()


class Future(chapter10.Future):
    def __init__(self):
        super().__init__(here.loop)

    def wake(self):
        """Set the result, unless whoever waited for it has given up."""
        if not self.done():
            self.set_result(None)


class Task(chapter10.Task):
    """Knows that it is running, and counts how often it was asked to end."""

    def __init__(self, loop, coro):
        super().__init__(loop, coro)
        self.cancels = 0

    def step(self, error=None):
        here.task = self
        try:
            super().step(error)
        finally:
            here.task = None

    def cancel(self):
        cancelled = super().cancel()
        self.cancels += cancelled
        return cancelled

    def uncancel(self):
        """Take one request back; returns how many are left. If none is, the task need not end."""
        self.cancels -= 1
        if self.cancels == 0:
            self.must_cancel = False
        return self.cancels


class Loop(chapter10.Loop):
    def __init__(self):
        super().__init__()
        self.threads = ThreadPoolExecutor()
        self.bell, self.button = socket.socketpair()
        self.bell.setblocking(False)
        self.button.setblocking(False)
        self.watch(self.bell, EVENT_READ, lambda: self.bell.recv(4096))

    def create_task(self, coro):
        return Task(self, coro)

    def run_until_complete(self, future):
        here.loop = self
        try:
            return super().run_until_complete(future)
        finally:
            here.loop = None

    def call_soon_threadsafe(self, callback, *args):
        """The one method that other threads may call: the loop may be asleep, so ring."""
        self.call_soon(callback, *args)
        try:
            self.button.send(b"!")
        except BlockingIOError:
            pass  # there are so many unheard rings that one more says nothing new

    def close(self):
        self.threads.shutdown()
        super().close()
        self.bell.close()
        self.button.close()


async def sleep(delay):
    woken = Future()
    timer = woken.loop.call_later(delay, woken.wake)
    try:
        await woken
    finally:
        timer.cancel()


async def ready_for(sock, event):
    woken = Future()
    woken.loop.watch(sock, event, woken.wake)
    try:
        await woken
    finally:
        woken.loop.watch(sock, event, None)


async def to_thread(function, *args):
    """Call a function that blocks, in a thread, and wait for its result."""
    loop, over = here.loop, Future()
    job = loop.threads.submit(function, *args)
    job.add_done_callback(lambda job: loop.call_soon_threadsafe(over.wake))
    await over
    return job.result()


class Lock:
    """One task at a time; it is handed on to the one that has waited longest."""

    def __init__(self):
        self.held = False
        self.waiting = deque()

    async def __aenter__(self):
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

    async def __aexit__(self, *error):
        self.release()

    def release(self):
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return  # it stays held, by the next one
        self.held = False


class timeout:
    """`async with timeout(5):` cancels its block after five seconds, and says TimeoutError then."""

    def __init__(self, delay):
        self.delay = delay
        self.expired = False

    async def __aenter__(self):
        self.task = here.task
        self.cancels = self.task.cancels
        self.timer = here.loop.call_later(self.delay, self.expire)

    def expire(self):
        self.expired = True
        self.task.cancel()

    async def __aexit__(self, kind, error, trace):
        self.timer.cancel()
        # Somebody else may want the task to end as well: that is no time-out, and stays a cancellation.
        if self.expired and self.task.uncancel() <= self.cancels and kind is CancelledError:
            raise TimeoutError from error


class StreamReader:
    """Gives bytes in the pieces that the program wants, not in those in which they come."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()

    async def more(self):
        """Take what the kernel has, or wait for it. False at the end of the stream."""
        while True:
            try:
                data = self.sock.recv(65536)
            except BlockingIOError:
                await ready_for(self.sock, EVENT_READ)
            else:
                self.buffer += data
                return bool(data)

    async def readline(self):
        while b"\n" not in self.buffer:
            if not await self.more():
                break
        size = self.buffer.find(b"\n") + 1 or len(self.buffer)
        line = bytes(self.buffer[:size])
        del self.buffer[:size]
        return line


class StreamWriter:
    def __init__(self, sock):
        self.sock = sock
        self.unsent = bytearray()

    def write(self, data):
        self.unsent += data

    async def drain(self):
        """Send it all, at the pace of the reader at the other end."""
        while self.unsent:
            try:
                del self.unsent[: self.sock.send(self.unsent)]
            except BlockingIOError:
                await ready_for(self.sock, EVENT_WRITE)


# --- at work -----------------------------------------------------------------------------------------------------------


class Account:
    def __init__(self):
        self.balance = 100
        self.lock = Lock()

    async def withdraw(self, amount):
        before = self.balance
        await sleep(0.001)  # asks the bank, say
        self.balance = before - amount

    async def withdraw_alone(self, amount):
        async with self.lock:
            await self.withdraw(amount)


async def finish(*coros):
    """Run them at the same time; return when all are done."""
    for task in [here.loop.create_task(coro) for coro in coros]:
        await task


async def locks():
    account = Account()
    await finish(account.withdraw(30), account.withdraw(20))
    print("  100 - 30 - 20 without a lock:", account.balance)
    account = Account()
    await finish(account.withdraw_alone(30), account.withdraw_alone(20))
    print("  and with one:", account.balance)


async def limits():
    try:
        async with timeout(0.01):
            await sleep(3600)
    except TimeoutError:
        print("  an hour does not fit into 0.01 s: TimeoutError")
    async with timeout(3600):
        await sleep(0.01)
    print("  0.01 s fits into an hour")

    async def patient():
        async with timeout(3600):
            await sleep(3600)

    task = here.loop.create_task(patient())
    await sleep(0)
    task.cancel()
    try:
        await task
    except CancelledError:
        print("  cancelled from outside, within a time limit:", task)


async def threads():
    begun, go_on = threading.Event(), threading.Event()

    def blocking():
        begun.set()
        go_on.wait()
        return threading.current_thread() is threading.main_thread()

    async def others():
        while not begun.is_set():
            await sleep(0.001)
        print("  a thread is blocked, and the loop goes on")
        go_on.set()

    other = here.loop.create_task(others())
    print("  it ran in our thread:", await to_thread(blocking))
    await other


async def streams():
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    reader, writer = StreamReader(ends[0]), StreamWriter(ends[1])

    async def write():
        for piece in b"one li", b"ne\ntwo lines\nand the re", b"st":
            print("    wrote", piece)
            writer.write(piece)
            await writer.drain()
            await sleep(0.001)
        writer.sock.close()

    async def read():
        while line := await reader.readline():
            print("  read", line)
        reader.sock.close()

    await finish(write(), read())


def main():
    loop = Loop()
    for part in locks, limits, threads, streams:
        print(part.__name__)
        loop.run(part())
    loop.close()


if __name__ == "__main__":
    main()
