"""Chapter 10: async and await. The same protocol under other words, and the echo server once more."""

import inspect
import types
import warnings
from importlib import import_module
from selectors import EVENT_READ, EVENT_WRITE

chapter7, chapter8, chapter9 = map(import_module, ("07_task", "08_time", "09_sockets"))
wake, listen = chapter8.wake, chapter9.listen


class Future(chapter7.Future):
    def __await__(self):
        return iter(self)


class Task(chapter7.Task):
    __await__ = Future.__await__  # a task can be awaited as well


class Loop(chapter9.Loop):
    def create_task(self, coro):
        return Task(self, coro)

    def run(self, coro):
        return self.run_until_complete(self.create_task(coro))


async def sleep(loop, delay):
    woken = Future(loop)
    timer = loop.call_later(delay, wake, woken)
    try:
        await woken
    finally:
        timer.cancel()


async def ready_for(loop, sock, event):
    woken = Future(loop)
    loop.watch(sock, event, lambda: wake(woken))
    try:
        await woken
    finally:
        loop.watch(sock, event, None)


async def accept(loop, listener):
    while True:
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            await ready_for(loop, listener, EVENT_READ)
        else:
            sock.setblocking(False)
            return sock


async def recv(loop, sock, size):
    while True:
        try:
            return sock.recv(size)
        except BlockingIOError:
            await ready_for(loop, sock, EVENT_READ)


async def send_all(loop, sock, data):
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[sock.send(rest) :]
        except BlockingIOError:
            await ready_for(loop, sock, EVENT_WRITE)


async def echo(loop, sock):
    with sock:
        while data := await recv(loop, sock, 1024):
            await send_all(loop, sock, data)


async def serve(loop, listener):
    with listener:
        while True:
            loop.create_task(echo(loop, await accept(loop, listener)))


# --- two ways to write it ----------------------------------------------------------------------------------------------


def tea():
    water = yield "water"
    return f"tea of {water}"


def breakfast():
    drink = yield from tea()
    return f"bread and {drink}"


class Ask:
    """What can be awaited: its __await__ gives an iterator, and what that yields comes out at the far end."""

    def __init__(self, what):
        self.what = what

    def __await__(self):
        answer = yield self.what
        return answer


async def async_tea():
    water = await Ask("water")
    return f"tea of {water}"


async def async_breakfast():
    drink = await async_tea()
    return f"bread and {drink}"


def drive(outermost):
    """The same three moves for both of them."""
    print("  out:", outermost.send(None))
    waiting = outermost
    while hasattr(waiting, "send"):
        inner = waiting.gi_yieldfrom if inspect.isgenerator(waiting) else waiting.cr_await
        print(f"    {type(waiting).__name__} {waiting.__name__} waits for {inner and inner.__name__}")
        waiting = inner
    try:
        outermost.send("a spring")
    except StopIteration as end:
        print("  returned:", end.value)


class Countdown:
    """For `async for`: each value may be waited for."""

    def __init__(self, loop, start):
        self.loop, self.left = loop, start

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.left == 0:
            raise StopAsyncIteration
        await sleep(self.loop, 0.001)
        self.left -= 1
        return self.left + 1


class Connection:
    """For `async with`: to open may have to be waited for, and to close too."""

    def __init__(self, loop, address):
        self.loop, self.address = loop, address

    async def __aenter__(self):
        self.sock = await connect(self.loop, self.address)
        return self.sock

    async def __aexit__(self, *error):
        self.sock.close()


@types.coroutine
def connect(loop, address):
    """The generator of chapter 9. Marked as it is, `await` takes it."""
    return (yield from chapter9.connect(loop, address))


def reason(call):
    try:
        call()
    except (TypeError, SyntaxError) as error:
        return type(error).__name__
    return "works"


def main():
    print("generators")
    drive(breakfast())
    print("coroutines")
    drive(async_breakfast())

    print("what a coroutine refuses, so that nobody mistakes it for a list of values")
    coro = async_tea()
    print("  next(coro):", reason(lambda: next(coro)))
    print("  for x in coro:", reason(lambda: list(coro)))
    print("  await in an ordinary function:", reason(lambda: compile("def f(): await g()", "f", "exec")))
    print("  yield from coro, in a generator that is not marked:", reason(lambda: unmarked(coro).send(None)))
    coro.close()

    print("and a call without await is noticed")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        async_tea()
    print(" ", told[0].category.__name__, "-", str(told[0].message).splitlines()[0])

    print("async for and async with: the same protocols, with a wait in them")
    loop = Loop()
    loop.run(count(loop))

    print("the echo server")
    listener = listen()
    server = loop.create_task(serve(loop, listener))
    loop.run(talk(loop, listener.getsockname()))
    server.cancel()
    loop.run_once()
    loop.close()


def unmarked(coro):
    yield from coro


async def count(loop):
    async for number in Countdown(loop, 3):
        print(" ", number)


async def talk(loop, address):
    async with Connection(loop, address) as sock:
        for word in "anna", "says", "hello":
            await send_all(loop, sock, word.encode())
            print("  heard", (await recv(loop, sock, 1024)).decode())


if __name__ == "__main__":
    main()
