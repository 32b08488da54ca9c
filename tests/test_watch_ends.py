"""Every kind of end of an await chain, in the standard library's module and in ours: what a task waits for, by name.

What lives here: one task parked at each kind of thing, seen from another thread while the loop's own thread is stuck. What may not:
circles and dead loops (``test_watch_dead.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from yieldloop import aio
from yieldloop.watch import snapshot
from yieldloop.watch.snapshot import LoopView, TaskView

texts: list[str] = []  # the last snapshot in words


def look(loop: Any) -> LoopView:
    """A snapshot taken by another thread, while this one, the loop's, waits for it and does nothing else."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(snapshot.take(loop)))
    thread.start()
    thread.join()
    json.dumps(found[0].as_json())
    texts[:] = [found[0].text()]
    assert "\n" in texts[0]
    return found[0].loops[0]  # type: ignore[no-any-return]


async def parked(api: Any, *coros: Coroutine[Any, Any, Any], then: Callable[[], Any] = bool) -> dict[str, TaskView]:
    """Start *coros*, each as a task named for its function; what is seen of all tasks when they are parked, by name.

    ``then()`` is called before the tasks are cancelled.
    """
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(coro, name=coro.__name__) for coro in coros]
    for _ in range(5):
        await asyncio.sleep(0)
    try:
        return {task.name: task for task in look(loop).tasks}
    finally:
        then()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def end_of(view: TaskView) -> Any:
    assert view.state == "parked"
    assert view.end is not None
    return view.end


def links(view: TaskView) -> list[str]:
    return [f"{frame.kind} {frame.name.rpartition('.')[2]}" for frame in view.chain]


def line_of(function: Callable[..., Any], plus: int) -> int:
    return function.__code__.co_firstlineno + plus


def test_a_lock_its_holder_and_those_who_wait(api: Any) -> None:
    async def main() -> None:
        lock = api.m.Lock()

        async def holds() -> None:
            async with lock:
                await asyncio.Event().wait()

        async def first() -> None:
            async with lock:
                pass

        async def second() -> None:
            await lock.acquire()

        seen = await parked(api, holds(), first(), second())
        end = end_of(seen["first"])
        assert end.kind == "lock"
        assert end.holders == (seen["holds"].id,)
        assert sorted(end.waiters) == sorted([seen["first"].id, seen["second"].id])
        assert end.waiting == 2
        assert end_of(seen["second"]).holders == (seen["holds"].id,)
        assert seen["first"].chain[0].line == line_of(first, 1)
        assert end_of(seen["holds"]).kind == "event"

    api.run(main())


def test_who_may_hold_a_lock_that_was_acquired_by_a_call() -> None:
    class Account:
        def __init__(self) -> None:
            self.lock = asyncio.Lock()

        async def transfer(self) -> None:
            await self.lock.acquire()
            await asyncio.Event().wait()

    async def main() -> None:
        account, places = Account(), asyncio.Semaphore(1)

        async def takes() -> None:
            await places.acquire()
            await asyncio.Event().wait()

        async def wants() -> None:
            async with places:
                pass

        async def waits() -> None:
            async with account.lock:
                pass

        async def knows() -> None:
            assert places
            await asyncio.Event().wait()

        seen = await parked(None, account.transfer(), takes(), wants(), waits(), knows())
        assert (end_of(seen["waits"]).holders, end_of(seen["waits"]).known_to) == ((), (seen["transfer"].id,))
        assert (end_of(seen["wants"]).holders, end_of(seen["wants"]).known_to) == ((), (seen["takes"].id,))
        assert f", perhaps held by task {seen['takes'].id} 'takes'" in texts[-1]

    aio.run(main())


def test_who_waits_for_a_lock_is_no_holder_and_who_has_it_twice_waits_for_himself(api: Any) -> None:
    async def main() -> None:
        lock = api.m.Lock()

        async def twice() -> None:
            async with lock:
                async with lock:
                    pass

        seen = await parked(api, twice())
        assert end_of(seen["twice"]).holders == (seen["twice"].id,)

    api.run(main())


def test_a_semaphore_names_all_its_holders(api: Any) -> None:
    async def main() -> None:
        semaphore = api.m.Semaphore(2)

        async def one() -> None:
            async with semaphore:
                await asyncio.Event().wait()

        async def two() -> None:
            async with contextlib.AsyncExitStack() as stack:
                await stack.enter_async_context(semaphore)
                await asyncio.Event().wait()

        async def wants() -> None:
            async with semaphore:
                pass

        seen = await parked(api, one(), two(), wants())
        end = end_of(seen["wants"])
        assert end.kind == "semaphore"
        assert sorted(end.holders) == sorted([seen["one"].id, seen["two"].id])

    api.run(main())


def test_a_condition_is_not_held_by_those_who_wait_for_news(api: Any) -> None:
    async def main() -> None:
        condition = api.m.Condition()

        async def hears() -> None:
            async with condition:
                await condition.wait()

        async def holds() -> None:
            async with condition:
                await asyncio.Event().wait()

        async def wants() -> None:
            async with condition:
                pass

        seen = await parked(api, hears(), holds(), wants())
        assert end_of(seen["hears"]).kind == "condition"
        assert end_of(seen["wants"]).kind == "lock"
        assert end_of(seen["wants"]).holders == (seen["holds"].id,)

    api.run(main())


def test_events_barriers_and_queues(api: Any) -> None:
    async def main() -> None:
        event, barrier = api.m.Event(), api.m.Barrier(2)
        empty, full = api.m.Queue(3), api.m.PriorityQueue(1)
        full.put_nowait(1)

        async def news() -> None:
            await event.wait()

        async def meets() -> None:
            await barrier.wait()

        async def gets() -> None:
            await empty.get()

        async def puts() -> None:
            await full.put(2)

        async def joins() -> None:
            await full.join()

        seen = await parked(api, news(), meets(), gets(), puts(), joins())
        assert end_of(seen["news"]).kind == "event"
        meets = end_of(seen["meets"])
        assert (meets.kind, meets.label) == ("barrier", f"Barrier at {id(barrier):#x}")
        assert [end_of(seen[name]).kind for name in ("gets", "puts", "joins")] == ["queue"] * 3
        assert ": get, holds 0 of 3 items" in end_of(seen["gets"]).label
        assert ": put, holds 1 of 1 items" in end_of(seen["puts"]).label
        assert ": join, holds 1 of 1 items, 1 not done" in end_of(seen["joins"]).label
        assert end_of(seen["puts"]).waiting == 2  # who waits for the same queue

    api.run(main())


def test_timers_and_time_limits(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        event = api.m.Event()

        async def sleeps() -> None:
            await api.m.sleep(50)

        async def limited() -> None:
            await api.m.wait_for(api.m.sleep(80), 60)

        async def in_block() -> None:
            async with api.m.timeout(70):
                await event.wait()

        async def waits() -> None:
            await api.m.wait([asyncio.ensure_future(event.wait())], timeout=90)

        async def by_hand() -> None:
            future = loop.create_future()
            timer = loop.call_later(40, future.set_result, None)
            try:
                await future
            finally:
                timer.cancel()

        seen = await parked(api, sleeps(), limited(), in_block(), waits(), by_hand())
        assert end_of(seen["sleeps"]).kind == "timer"
        assert abs(end_of(seen["sleeps"]).when_ns / 1e9 - now - 50) < 5
        assert abs(seen["limited"].until_ns / 1e9 - now - 60) < 5
        assert end_of(seen["in_block"]).kind == "event"
        assert abs(seen["in_block"].until_ns / 1e9 - now - 70) < 5
        assert abs(seen["waits"].until_ns / 1e9 - now - 90) < 5
        assert end_of(seen["by_hand"]).kind == "timer"
        assert abs(end_of(seen["by_hand"]).when_ns / 1e9 - now - 40) < 5
        event.set()

    api.run(main())


def test_other_tasks(api: Any) -> None:
    async def main() -> None:
        async def never() -> None:
            await asyncio.Event().wait()

        inner = asyncio.get_running_loop().create_task(never(), name="inner")

        async def awaits() -> None:
            await inner

        async def gathers() -> None:
            await api.m.gather(inner, never())

        async def shields() -> None:
            await api.m.shield(inner)

        async def waits() -> None:
            await api.m.wait({inner}, return_when=api.m.FIRST_COMPLETED)

        async def groups() -> None:
            async with api.m.TaskGroup() as group:
                group.create_task(never(), name="member")

        async def completes() -> None:
            for each in api.m.as_completed([inner]):
                await each

        seen = await parked(api, awaits(), gathers(), shields(), waits(), groups(), completes())
        number = seen["inner"].id
        assert (end_of(seen["awaits"]).kind, end_of(seen["awaits"]).tasks) == ("task", (number,))
        assert end_of(seen["gathers"]).kind == "gather"
        assert number in end_of(seen["gathers"]).tasks
        assert len(end_of(seen["gathers"]).tasks) == 2
        assert end_of(seen["shields"]).tasks == (number,)
        assert end_of(seen["waits"]).tasks == (number,)
        assert "FIRST_COMPLETED" in end_of(seen["waits"]).label
        assert end_of(seen["groups"]).tasks == (seen["member"].id,)
        assert (end_of(seen["completes"]).kind, end_of(seen["completes"]).tasks) == ("gather", (number,))

    api.run(main())


def test_what_the_threads_of_the_loops_own_pool_are_busy_with() -> None:
    release = threading.Event()

    def first() -> None:
        release.wait(30)

    def second() -> None:
        pass

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        pool = loop._executor()
        pool._max_workers = 1
        before = time.monotonic_ns()
        tasks = [loop.create_task(aio.to_thread(function), name=function.__name__) for function in (first, second)]
        while not pool.running():
            await asyncio.sleep(0)
        seen = {task.name: task for task in look(loop).tasks}
        text = str(snapshot.take(loop))
        release.set()
        await asyncio.gather(*tasks)
        [work] = end_of(seen["second"]).threads
        assert (work.function.split(".")[-1], work.task) == ("first()", seen["first"].id)
        assert work.thread == end_of(seen["first"]).thread
        assert work.since_ns is not None
        assert before - 10**6 <= work.since_ns <= time.monotonic_ns()
        assert re.search(rf"{work.thread} runs \S*first\(\) for \d+ \S+, for task {seen['first'].id} 'first'\n", text)
        assert end_of(seen["second"]).as_json()["threads"] == [work.as_json()]

    aio.run(main())


def test_a_thread_and_its_function(api: Any) -> None:
    release = threading.Event()

    def works() -> None:
        release.wait(30)

    async def main() -> None:
        began = asyncio.Event()
        loop = asyncio.get_running_loop()

        def busy() -> None:
            loop.call_soon_threadsafe(began.set)
            release.wait(30)

        async def in_thread() -> None:
            await api.m.to_thread(busy)

        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(1)
        first = pool.submit(works)

        async def in_line() -> None:
            await loop.run_in_executor(pool, works)

        async def wrapped() -> None:
            await api.m.wrap_future(first)

        tasks = [loop.create_task(coro, name=coro.__name__) for coro in (in_thread(), in_line(), wrapped())]
        await began.wait()
        await asyncio.sleep(0)
        seen = {task.name: task for task in look(loop).tasks}
        release.set()
        await asyncio.gather(*tasks)
        pool.shutdown()
        here = "test_a_thread_and_its_function.<locals>"
        assert end_of(seen["in_thread"]).kind == "thread"
        assert end_of(seen["in_thread"]).function == f"{here}.main.<locals>.busy()"
        assert end_of(seen["in_thread"]).thread.startswith("asyncio_")
        assert (end_of(seen["in_line"]).function, end_of(seen["in_line"]).thread) == (f"{here}.works()", None)
        assert end_of(seen["wrapped"]).function == f"{here}.works()"
        assert end_of(seen["wrapped"]).thread.startswith("ThreadPoolExecutor")
        [work] = end_of(seen["in_line"]).threads
        assert (work.function, work.thread, work.task) == (f"{here}.works()", end_of(seen["wrapped"]).thread, seen["wrapped"].id)
        assert end_of(seen["in_line"]).holders == (seen["wrapped"].id,)

    api.run(main())


def test_a_child_process(api: Any) -> None:
    async def main() -> None:
        child = await api.m.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)

        async def reaps() -> None:
            await child.wait()

        seen = await parked(api, reaps())
        assert (end_of(seen["reaps"]).kind, end_of(seen["reaps"]).pid) == ("child", child.pid)
        child.send_signal(signal.SIGKILL)
        await child.wait()
        child._transport.close()

    api.run(main())


def test_descriptors_with_peer_and_direction(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        clients: list[Any] = []
        connected = asyncio.Event()

        def serve(reader: Any, writer: Any) -> None:
            clients.append((reader, writer))
            connected.set()

        server = await api.m.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await api.m.open_connection("127.0.0.1", port)
        await connected.wait()
        left, right = socket.socketpair()
        left.setblocking(False)
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)

        async def reads() -> None:
            await reader.readline()

        async def drains() -> None:
            writer.write(b"x" * 30_000_000)
            await writer.drain()

        async def receives() -> None:
            await loop.sock_recv(left, 10)

        async def accepts() -> None:
            await loop.sock_accept(listening)

        async def serves() -> None:
            await server.serve_forever()

        async def closes() -> None:
            await clients[0][1].wait_closed()

        mine, fd = f"127.0.0.1:{writer.get_extra_info('sockname')[1]}", writer.get_extra_info("socket").fileno()
        def abort() -> None:  # a server's end waits for its connections
            for _, each in [*clients, (reader, writer)]:
                each.transport.abort()

        seen = await parked(api, reads(), drains(), receives(), accepts(), serves(), closes(), then=abort)
        for name, direction in (("reads", "read"), ("drains", "write")):
            end = end_of(seen[name])
            assert (end.kind, end.direction, end.peer, end.local) == ("fd", direction, f"127.0.0.1:{port}", mine), name
            assert end.fd == fd
        assert (end_of(seen["receives"]).fd, end_of(seen["receives"]).direction) == (left.fileno(), "read")
        assert (end_of(seen["accepts"]).fd, end_of(seen["accepts"]).direction) == (listening.fileno(), "accept")
        assert (end_of(seen["serves"]).local, end_of(seen["serves"]).direction) == (f"127.0.0.1:{port}", "accept")
        assert (end_of(seen["closes"]).peer, end_of(seen["closes"]).direction) == (mine, "close")
        server.close()
        await asyncio.sleep(0.01)
        for sock in (left, right, listening):
            sock.close()

    api.run(main())


def test_a_bare_future_and_a_reader_that_settles_it(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()

        async def alone() -> None:
            await loop.create_future()

        promise = loop.create_future()

        async def wants() -> None:
            await promise

        async def sets(future: Any) -> None:
            await asyncio.Event().wait()
            future.set_result(None)

        async def by_reader() -> None:
            future = loop.create_future()
            loop.add_reader(left, future.set_result, None)
            try:
                await future
            finally:
                loop.remove_reader(left)

        seen = await parked(api, alone(), by_reader(), wants(), sets(promise))
        assert end_of(seen["alone"]).kind == "future"
        assert end_of(seen["alone"]).known_to == ()
        assert end_of(seen["wants"]).kind == "future"
        assert seen["sets"].id in end_of(seen["wants"]).known_to
        assert seen["wants"].id not in end_of(seen["wants"]).known_to
        assert (end_of(seen["by_reader"]).kind, end_of(seen["by_reader"]).fd) == ("fd", left.fileno())
        left.close()
        right.close()

    api.run(main())


def test_the_chain_goes_through_generators_async_generators_and_objects(ours: Any) -> None:
    import types

    async def main() -> None:
        event = ours.m.Event()

        async def innermost() -> None:
            await event.wait()

        @types.coroutine
        def old() -> Any:
            yield from innermost()

        class Thing:
            def __await__(self) -> Any:
                return old().__await__() if hasattr(old(), "__await__") else self._go().__await__()

            async def _go(self) -> None:
                await old()

        async def items() -> Any:
            await Thing()
            yield 1

        async def walks() -> None:
            async for _ in items():
                pass

        seen = await parked(ours, walks())
        assert links(seen["walks"]) == [
            "coroutine walks",
            "async generator items",
            "coroutine _go",
            "generator old",
            "coroutine innermost",
            "coroutine wait",
        ]
        assert end_of(seen["walks"]).kind == "event"

    ours.run(main())


def test_states_names_and_sites(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def idle() -> None:
            await asyncio.Event().wait()

        async def turns() -> None:
            await api.m.sleep(0)

        here = sys._getframe().f_lineno
        tasks = [loop.create_task(idle(), name="parked"), loop.create_task(turns(), name="ready")]
        await asyncio.sleep(0)
        fresh = loop.create_task(idle(), name="new")
        found = look(loop)
        seen = {task.name: task for task in found.tasks}
        assert {name: seen[name].state for name in ("parked", "ready", "new")} == {
            "parked": "parked",
            "ready": "ready",
            "new": "new",
        }
        (running,) = [task for task in found.tasks if task.state == "running"]
        assert running.chain[0].name.endswith("main")
        assert any(frame.name == "look" for frame in running.chain)
        assert found.doing.kind == "task"
        assert found.doing.task == running.id
        if api.ours and api.name == "module":
            site = seen["parked"].site
            assert site is not None
            assert (site.file, site.line) == (__file__, here + 1)
            assert seen["parked"].made_ns <= seen["parked"].since_ns  # type: ignore[operator]
        for task in (*tasks, fresh):
            task.cancel()
        await asyncio.gather(*tasks, fresh, return_exceptions=True)

    api.run(main())


def test_a_snapshot_holds_nothing_of_the_program(ours: Any) -> None:
    import weakref

    async def main() -> None:
        lock = ours.m.Lock()
        await lock.acquire()

        async def wants(lock: Any) -> None:
            async with lock:
                pass

        task = asyncio.get_running_loop().create_task(wants(lock))
        await asyncio.sleep(0)
        kept = look(asyncio.get_running_loop())
        lock.release()
        await task
        refs = weakref.ref(task), weakref.ref(lock)
        del task, lock
        await asyncio.sleep(0)
        assert [ref() for ref in refs] == [None, None]
        assert kept.tasks

    ours.run(main())


def test_no_code_of_the_program_is_run(ours: Any) -> None:
    class Hostile(asyncio.Future):  # type: ignore[type-arg]
        def __repr__(self) -> str:
            raise AssertionError("repr was called")

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was looked up")

    class Awaitable:
        def __init__(self, future: Any) -> None:
            self.future = future

        def __await__(self) -> Any:
            return self

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            if not self.future.done():
                self.future._asyncio_future_blocking = True
                return self.future
            raise StopIteration

        def __getattr__(self, name: str) -> Any:
            if name in ("close", "throw"):  # the interpreter's, when the task is cancelled
                raise AttributeError(name)
            raise AssertionError(f"{name} was looked up")

    async def main() -> None:
        future = Hostile(loop=asyncio.get_running_loop())

        async def waits() -> None:
            await Awaitable(future)

        seen = await parked(ours, waits())
        assert links(seen["waits"]) == ["coroutine waits", "awaitable Awaitable"]
        assert end_of(seen["waits"]).kind == "future"
        assert "Hostile" in end_of(seen["waits"]).label

    ours.run(main())
