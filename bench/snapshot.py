"""What a snapshot of many parked tasks costs: `python bench/snapshot.py [--tasks 100000] [--rounds 3]`.

YIELDLOOP_PURE=1: of the interpreted loop. Here: tasks parked at a lock, at an event under three coroutines, at a timer, at
futures, at a queue each with a time-out; inside of a semaphore and a time-out, each at a future of its own; and children, nine for
each task that gathers them. Each kind is in a process of its own; another thread takes the snapshot while the loop runs a ticking
task. Printed: seconds for the snapshot and for its JSON values, by the clock and of the thread's CPU, and the longest time for
which the loop did not get its turn meanwhile.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from typing import Any

import yieldloop
from yieldloop.watch import snapshot

KINDS = ("lock", "event", "timer", "future", "queue", "inside", "gather")
CHILDREN = 9
TICK = 0.001  # s between two turns of the task that measures the loop's own gaps


async def at_lock(lock: Any) -> None:
    async with lock:
        pass


async def at_event(event: Any) -> None:
    await _middle(event)


async def _middle(event: Any) -> None:
    await _inner(event)


async def _inner(event: Any) -> None:
    await event.wait()


async def at_queue() -> None:
    await yieldloop.wait_for(yieldloop.Queue().get(), 3600)


async def at_future(loop: Any) -> None:
    await loop.create_future()


async def inside(places: Any) -> None:
    async with places, yieldloop.timeout(3600):
        await at_future(yieldloop.get_running_loop())


async def gathering(event: Any) -> None:
    await yieldloop.gather(*[at_event(event) for _ in range(CHILDREN)])


def coroutines(kind: str, count: int) -> list[Any]:
    """*count* coroutines that park, of one kind."""
    loop, lock, event = yieldloop.get_running_loop(), yieldloop.Lock(), yieldloop.Event()
    if kind == "lock":
        lock._locked = True
        return [at_lock(lock) for _ in range(count)]
    if kind == "event":
        return [at_event(event) for _ in range(count)]
    if kind == "timer":
        return [yieldloop.sleep(3600) for _ in range(count)]
    if kind == "queue":
        return [at_queue() for _ in range(count)]
    if kind == "inside":
        places = yieldloop.Semaphore(count)
        return [inside(places) for _ in range(count)]
    if kind == "gather":
        return [gathering(event) for _ in range(count // (1 + CHILDREN))]
    return [at_future(loop) for _ in range(count)]


def measure(rounds: int, found: list[tuple[float, ...]]) -> None:
    """Take *rounds* snapshots, in a thread."""
    for _ in range(rounds):
        cpu, begun = time.thread_time(), time.perf_counter()
        shot = snapshot.take()
        taken, taken_cpu = time.perf_counter(), time.thread_time()
        shot.as_json()
        found.append((taken - begun, taken_cpu - cpu, time.perf_counter() - taken, time.thread_time() - taken_cpu))


async def run(kind: str, count: int, rounds: int) -> None:
    """Measure one kind and print its line."""
    tasks = [yieldloop.create_task(coro) for coro in coroutines(kind, count)]
    for _ in range(3):
        await yieldloop.sleep(0)
    found: list[tuple[float, ...]] = []
    thread = threading.Thread(target=measure, args=(rounds, found))
    thread.start()
    gap, last = 0.0, time.perf_counter()
    while thread.is_alive():
        await yieldloop.sleep(TICK)
        now = time.perf_counter()
        gap, last = max(gap, now - last), now
    take, take_cpu, values, values_cpu = (min(row[i] for row in found) for i in range(4))
    speed = "compiled" if yieldloop.compiled() else "interpreted"
    print(f"{speed:12}{kind:8}{count:>9,} tasks  take {take:.3f} s (CPU {take_cpu:.3f})  JSON values {values:.3f} s "
          f"(CPU {values_cpu:.3f})  longest gap of the loop {gap * 1e3:.0f} ms", flush=True)  # fmt: skip
    for task in tasks:
        task.cancel()
    await yieldloop.wait(tasks)


def main() -> None:
    """Each kind in its own process, or one of them in this."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--kind", choices=KINDS, help="this one only")
    given = parser.parse_args()
    if given.kind is not None:
        yieldloop.run(run(given.kind, given.tasks, given.rounds))
        return
    for kind in KINDS:
        command = [sys.executable, __file__, *sys.argv[1:], "--kind", kind]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)  # there the watchdog tells of the snapshot itself


if __name__ == "__main__":
    main()
