"""Programs that must be found dead, and programs that must not be: run by ``test_watch_dead.py`` in a process of their own.

What lives here: one coroutine function each, of a name that begins with ``dead_`` or ``lives_``. A process of its own, because a
test runner has threads, and whoever has another thread is never certain to be dead.

    python -m tests.dead_loops stock|ours [NAME…]
"""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import ctypes
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import yieldloop

aio: Any = asyncio
SOON = 0.12  # s: longer than the pause in which a dead loop is found


# --- dead --------------------------------------------------------------------------------------------------------------


async def dead_two_locks() -> None:
    a, b = aio.Lock(), aio.Lock()

    async def one() -> None:
        async with a:
            await aio.sleep(0)
            async with b:
                pass

    async def two() -> None:
        async with b:
            await aio.sleep(0)
            async with a:
                pass

    async with aio.TaskGroup() as group:
        group.create_task(one(), name="one")
        group.create_task(two(), name="two")


async def dead_two_acquires() -> None:
    a, b = aio.Lock(), aio.Lock()

    async def one() -> None:
        await a.acquire()
        await aio.sleep(0)
        await b.acquire()

    async def two() -> None:
        await b.acquire()
        await aio.sleep(0)
        await a.acquire()

    await aio.gather(one(), two())


async def dead_queue_nobody_fills() -> None:
    await aio.Queue().get()


async def dead_future_nobody_sets() -> None:
    await asyncio.get_running_loop().create_future()


async def dead_tasks_that_await_each_other() -> None:
    tasks: list[Any] = []

    async def first() -> None:
        await tasks[1]

    async def second() -> None:
        await tasks[0]

    tasks += [aio.create_task(first(), name="first"), aio.create_task(second(), name="second")]
    await tasks[0]


async def dead_lock_of_a_task_that_has_ended() -> None:
    lock = aio.Lock()

    async def forgets() -> None:
        await lock.acquire()

    await aio.create_task(forgets())
    async with lock:
        pass


async def dead_after_threads_and_children() -> None:
    await aio.to_thread(time.sleep, 0)
    child = await aio.create_subprocess_exec("true")
    await child.wait()
    thread = threading.Thread(target=time.sleep, args=(SOON,))
    thread.start()
    await aio.Event().wait()


# --- alive -------------------------------------------------------------------------------------------------------------


def _settle_later(future: Any) -> None:
    loop = future.get_loop()
    time.sleep(SOON)
    loop.call_soon_threadsafe(future.set_result, None)


def _future() -> Any:
    return asyncio.get_running_loop().create_future()


async def lives_by_a_timer() -> None:
    await aio.sleep(SOON)


async def lives_by_a_thread() -> None:
    future = _future()
    threading.Thread(target=_settle_later, args=(future,), daemon=True).start()
    await future


async def lives_by_a_bare_thread() -> None:
    future = _future()
    _thread.start_new_thread(_settle_later, (future,))
    await future


async def lives_by_a_thread_that_python_did_not_start() -> None:
    libc = ctypes.CDLL(None)
    future = _future()

    def work(_: Any) -> int:
        _settle_later(future)
        return 0

    start = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(work)
    number = ctypes.c_ulong()
    assert libc.pthread_create(ctypes.byref(number), None, start, None) == 0
    await future
    libc.pthread_join(number, None)


async def lives_by_a_coroutine_from_a_thread() -> None:
    future, loop = _future(), asyncio.get_running_loop()

    async def settle() -> None:
        future.set_result(None)

    def work() -> None:
        time.sleep(SOON)
        aio.run_coroutine_threadsafe(settle(), loop)

    threading.Thread(target=work).start()
    await future


async def lives_by_the_pool() -> None:
    await aio.to_thread(time.sleep, SOON)


async def lives_by_jobs_that_take_no_time() -> None:
    loop = asyncio.get_running_loop()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for _ in range(300):
            await aio.to_thread(int)
            await aio.wrap_future(pool.submit(int))
            await loop.run_in_executor(pool, int)


async def lives_by_a_thread_that_is_starved() -> None:
    """The thread that has the job gets no turn for much longer than the pause."""
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            pass

    sys.setswitchinterval(0.05)
    spinners = [threading.Thread(target=spin) for _ in range(2)]
    for spinner in spinners:
        spinner.start()
    try:
        for _ in range(3):
            await aio.to_thread(int)
    finally:
        stop.set()
        sys.setswitchinterval(0.005)
        for spinner in spinners:
            spinner.join()


async def lives_by_a_child() -> None:
    child = await aio.create_subprocess_exec("sleep", str(SOON))
    await child.wait()


async def lives_by_a_descriptor() -> None:
    future, loop = _future(), asyncio.get_running_loop()
    read, write = os.pipe()
    child = subprocess.Popen(["sh", "-c", f"sleep {SOON}; echo"], stdout=write)
    os.close(write)
    loop.add_reader(read, future.set_result, None)
    await future
    loop.remove_reader(read)
    os.close(read)
    child.wait()


async def lives_by_the_loops_signal_handler() -> None:
    future, loop = _future(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, future.set_result, None)
    child = subprocess.Popen(["sh", "-c", f"sleep {SOON}; kill -USR1 {os.getpid()}"])
    await future
    loop.remove_signal_handler(signal.SIGUSR1)
    child.wait()


async def lives_by_a_signal_handler() -> None:
    future, loop = _future(), asyncio.get_running_loop()
    before = signal.signal(signal.SIGALRM, lambda *_: loop.call_soon_threadsafe(future.set_result, None))
    signal.setitimer(signal.ITIMER_REAL, SOON)
    await future
    signal.signal(signal.SIGALRM, before)


async def lives_if_nobody_looks() -> None:
    loop: Any = asyncio.get_running_loop()
    loop.set_dead_loop_check(False)
    before = signal.getsignal(signal.SIGINT)
    child = subprocess.Popen(["sh", "-c", f"sleep {3 * SOON}; kill -INT {os.getpid()}"])
    try:
        await loop.create_future()
    except asyncio.CancelledError:  # Ctrl-C
        assert signal.getsignal(signal.SIGINT) == before
        asyncio.current_task().uncancel()  # type: ignore[union-attr]
    child.wait()
    loop.set_dead_loop_check(True)


def run(program: Callable[[], Any]) -> str:
    """How *program* ends: "" or the text of the error."""
    try:
        with aio.Runner(loop_factory=yieldloop.new_event_loop) as runner:
            runner.run(program())
    except yieldloop.DeadLoopError as exc:
        return str(exc)
    gc.collect()
    return ""


def forever_is_not_judged() -> None:
    """`run_forever` by itself: nobody waits for its end. Ends by a signal that Python does not handle in its own way."""
    loop = yieldloop.new_event_loop()
    child = subprocess.Popen(["sh", "-c", f"sleep {3 * SOON}; kill -INT {os.getpid()}"])
    try:
        loop.run_forever()
    except KeyboardInterrupt:
        print("interrupted")
    loop.close()
    child.wait()


def main(argv: list[str]) -> None:
    global aio
    aio = asyncio if argv[1] == "stock" else yieldloop
    names = argv[2:] or [name for name in globals() if name.startswith(("dead_", "lives_"))]
    for name in names:
        if name == "forever_is_not_judged":
            forever_is_not_judged()
            continue
        print(f"=== {name}", run(globals()[name]), sep="\n", flush=True)


if __name__ == "__main__":
    main(sys.argv)
