"""What the engine notes of every task and of what it does, whether or not anybody looks."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import yieldloop


def test_tasks_are_numbered_in_the_order_of_their_creation():
    async def nothing():
        pass

    async def main():
        tasks = [yieldloop.create_task(nothing(), name=name) for name in (None, "x", None)]
        async with yieldloop.TaskGroup() as group:
            tasks.append(group.create_task(nothing()))
        tasks.append(yieldloop.current_task())
        await yieldloop.gather(*tasks[:-1])
        return [task._number for task in tasks], [task.get_name() for task in tasks]

    numbers, names = yieldloop.run(main())
    first = numbers[0]
    assert numbers == [first, first + 1, first + 2, first + 3, first - 1] and first > 1
    assert names[1] == "x"
    unnamed = [int(names[i].removeprefix("Task-")) for i in (4, 0, 2, 3)]
    assert unnamed == list(range(unnamed[0], unnamed[0] + 4))  # a named one takes no number, as in the standard library


def test_a_task_knows_when_and_where_it_was_made():
    async def main():
        before = time.monotonic_ns()
        await yieldloop.sleep(0.01)
        task = yieldloop.create_task(yieldloop.sleep(0))
        after = time.monotonic_ns()
        await task
        return before, task._made_ns, after, task._site()

    before, made, after, (code, line) = yieldloop.run(main())
    assert before < made <= after
    assert code is main.__code__ and line == code.co_firstlineno + 3


def test_a_task_knows_since_when_it_is_parked():
    async def main():
        task = yieldloop.create_task(yieldloop.Event().wait())
        before = time.monotonic_ns()
        await yieldloop.sleep(0.02)
        now, since = time.monotonic_ns(), task._since()
        task.cancel()
        return before, since, now

    before, since, now = yieldloop.run(main())
    assert now - since > 15_000_000 and since > before - 10_000_000


def test_another_thread_sees_what_the_loop_does():
    """The task or handle that runs and since when; nothing while it polls or after the run."""
    seen = {}
    asked, answered = threading.Event(), threading.Event()

    def ask(loop):
        for what in ("step", "callback", "poll"):
            asked.wait()
            asked.clear()
            while what == "poll" and loop._doing()[0] is not None:
                time.sleep(0.001)
            seen[what] = loop._doing()
            answered.set()

    def block():
        asked.set()
        answered.wait()
        answered.clear()

    async def main():
        loop = yieldloop.get_running_loop()
        thread = threading.Thread(target=ask, args=(loop,))
        thread.start()
        seen["began"] = time.monotonic_ns()
        await yieldloop.sleep(0.01)
        block()
        handle = loop.call_soon(block)
        await yieldloop.sleep(0.01)
        asked.set()
        await loop.run_in_executor(None, thread.join)
        return loop, yieldloop.current_task(), handle

    loop, task, handle = yieldloop.run(main())
    assert seen["step"][0] is task and seen["callback"][0] is handle and seen["poll"][0] is None
    moments = [seen["began"], *(seen[what][1] + 1000 for what in ("step", "callback", "poll")), time.monotonic_ns() + 1000]
    assert all(earlier <= later + 1000 for earlier, later in pairwise(moments))  # to within a µs
    assert seen["step"][2] < seen["callback"][2] < seen["poll"][2] + 1
    assert loop._doing()[0] is None


def test_marks_keep_nothing_alive():
    import weakref

    class Thing:
        def __call__(self):
            pass

    async def main():
        thing = Thing()
        ref = weakref.ref(thing)
        yieldloop.get_running_loop().call_soon(thing)
        del thing
        await yieldloop.sleep(0)
        await yieldloop.sleep(0)
        return ref

    assert yieldloop.run(main())() is None
