"""Chapter 8: time. A heap of timers, and a loop that sleeps until the first of them is due."""

import heapq
import itertools
import time
from importlib import import_module

chapter7 = import_module("07_task")
Future, CancelledError = chapter7.Future, chapter7.CancelledError


class Timer:
    """A call that is due at a time, unless it is cancelled before."""

    numbers = itertools.count()

    def __init__(self, when, callback, args):
        self.when, self.callback, self.args = when, callback, args
        self.number = next(Timer.numbers)  # of two with the same time, the older one is first
        self.cancelled = False

    def __lt__(self, other):
        return (self.when, self.number) < (other.when, other.number)

    def cancel(self):
        self.cancelled = True

    def run(self):
        if not self.cancelled:
            self.callback(*self.args)


class Loop(chapter7.Loop):
    def __init__(self, clock=time):
        super().__init__()
        self.clock = clock  # anything with monotonic() and sleep()
        self.timers = []  # a heap: the timer that is due first is timers[0]

    def time(self):
        return self.clock.monotonic()

    def call_at(self, when, callback, *args):
        timer = Timer(when, callback, args)
        heapq.heappush(self.timers, timer)
        return timer

    def call_later(self, delay, callback, *args):
        return self.call_at(self.time() + delay, callback, *args)

    def how_long(self):
        """How long the loop may sleep, in seconds; None if there is nothing that it could wait for."""
        while self.timers and self.timers[0].cancelled:
            heapq.heappop(self.timers)
        if self.ready:
            return 0
        if self.timers:
            return max(0, self.timers[0].when - self.time())
        return None

    def wait(self, timeout):
        if timeout is None:
            raise RuntimeError("nothing is ready, and nothing is left that could make something ready")
        self.clock.sleep(timeout)

    def fire(self):
        """Make ready what is due."""
        now = self.time()
        while self.timers and self.timers[0].when <= now:
            self.call_soon(heapq.heappop(self.timers).run)

    def run_once(self):
        self.wait(self.how_long())
        self.fire()
        self.run_ready()


def sleep(loop, delay):
    """Park for `delay` seconds."""
    woken = Future(loop)
    timer = loop.call_later(delay, wake, woken)
    try:
        yield from woken
    finally:
        timer.cancel()


def wake(future):
    """Set the result, unless whoever waited for it has given up."""
    if not future.done():
        future.set_result(None)


class PretendedClock:
    """A clock that goes on by itself only when somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def sleeper(loop, name, *delays):
    for delay in delays:
        print(f"  {loop.time():6.1f} s  {name} sleeps for {delay}")
        yield from sleep(loop, delay)
    print(f"  {loop.time():6.1f} s  {name} is awake")


def together(loop, *generators):
    """Run them as tasks, at the same time, until all of them are done."""
    tasks = [loop.create_task(generator) for generator in generators]

    def all_of_them():
        for task in tasks:
            yield from task

    loop.run_until_complete(loop.create_task(all_of_them()))


def main():
    print("the heap: the first is the smallest, the rest is only roughly sorted")
    loop = Loop(PretendedClock())
    for when in 50, 20, 40, 10, 30:
        loop.call_at(when, print, "   fired:", when)
        print("  armed", when, "->", [timer.when for timer in loop.timers])
    while loop.timers:
        loop.run_once()

    print("two sleepers take as long as the longer one")
    loop = Loop(PretendedClock())
    together(loop, sleeper(loop, "anna", 3), sleeper(loop, "ben", 1, 1.5))

    print("who is cancelled leaves no timer behind")
    loop = Loop(PretendedClock())
    task = loop.create_task(sleeper(loop, "anna", 3600))
    loop.run_once()
    task.cancel()
    loop.run_once()
    print(" ", task, "and", loop.how_long(), "to wait for")

    print("who blocks makes everybody late")
    loop = Loop(PretendedClock())

    def blocking():
        loop.clock.sleep(5)  # as time.sleep() does, or a long computation
        yield

    together(loop, sleeper(loop, "anna", 1), blocking())

    print("by the real clock: no timer is early")
    loop = Loop()
    early = []

    def note(when):
        if loop.time() < when:
            early.append(when)

    begin = loop.time()
    for number in range(10):
        loop.call_at(begin + number / 1000, note, begin + number / 1000)
    together(loop, sleep(loop, 0.02))
    print("  early:", early)


if __name__ == "__main__":
    main()
