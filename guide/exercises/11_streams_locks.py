"""Exercises of chapter 11, solved: python -m pytest guide/exercises/11_streams_locks.py"""

from collections import deque
from importlib import import_module

chapter11 = import_module("11_streams_locks")
Future, Lock, Loop, CancelledError = chapter11.Future, chapter11.Lock, chapter11.Loop, chapter11.CancelledError
finish, here, sleep, timeout = chapter11.finish, chapter11.here, chapter11.sleep, chapter11.timeout


def run(coro):
    loop = Loop()
    try:
        return loop.run(coro)
    finally:
        loop.close()


class Queue:
    """1. Producers put, consumers get; who finds it full, or empty, waits."""

    def __init__(self, size):
        self.size = size
        self.items = deque()
        self.changed = []  # who waits for any change

    async def change(self):
        turn = Future()
        self.changed.append(turn)
        await turn

    def tell(self):
        changed, self.changed = self.changed, []
        for turn in changed:
            turn.wake()

    async def put(self, item):
        while len(self.items) == self.size:
            await self.change()
        self.items.append(item)
        self.tell()

    async def get(self):
        while not self.items:
            await self.change()
        self.tell()
        return self.items.popleft()


def test_all_goes_through_a_queue_of_two_and_nothing_is_lost():
    async def main():
        queue, got, most = Queue(2), [], 0

        async def produce(name):
            nonlocal most
            for number in range(5):
                await queue.put(name + str(number))
                most = max(most, len(queue.items))

        async def consume():
            for _ in range(5):
                got.append(await queue.get())
                await sleep(0)

        await finish(produce("a"), produce("b"), consume(), consume())
        return sorted(got), most

    assert run(main()) == ([f"{name}{number}" for name in "ab" for number in range(5)], 2)


def test_a_lock_that_is_handed_over_cannot_be_overtaken():
    """2. In which order do they get the lock?"""

    async def main():
        lock, got = Lock(), []

        async def rival(name):
            async with lock:
                got.append(name)

        async with lock:
            first = here.loop.create_task(rival("first"))
            await sleep(0)
        await rival("newcomer")  # comes right after the release, before `first` has been resumed
        await first
        return got

    assert run(main()) == ["first", "newcomer"]


def test_a_time_limit_within_a_time_limit():
    """3. Which of the two raises TimeoutError?"""

    async def limited(outer, inner):
        try:
            async with timeout(outer):
                try:
                    async with timeout(inner):
                        await sleep(3600)
                except TimeoutError:
                    return "inner"
        except TimeoutError:
            return "outer"

    assert run(limited(0.001, 60)) == "outer"
    assert run(limited(60, 0.001)) == "inner"
