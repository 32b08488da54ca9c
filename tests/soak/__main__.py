"""``python -m tests.soak``: run the mixed work for so many minutes, rest now and then, and judge whether all stayed flat.

What lives here: the command line, the workers, the rests between them. The seed is printed first and decides each worker's
chances; the timing of the machine is not part of it, so a seed makes a run alike, not equal.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import faulthandler
import os
import random
import sys
import tempfile
import time
from typing import Any


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make soak ARGS=", description="Mixed work under random faults; all must stay flat.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--seed", type=int, help="for the chances; printed when it is not given")
    parser.add_argument("--pure", action="store_true", help="run the interpreted sources")
    parser.add_argument("--poller", help="epoll, poll, select or kqueue")
    parser.add_argument("--debug", action="store_true", help="debug mode: what is left at the end is named with its place")
    parser.add_argument("--only", metavar="NAMES", help="these rounds only, separated by commas")
    parser.add_argument("--workers", type=int, default=8, help="how many rounds at a time (default: 8)")
    parser.add_argument("--samples", type=int, help="how many rests to measure at (default: one in 5 s, 12 at least)")
    return parser


options = _parser().parse_args()
if options.pure and os.environ.get("YIELDLOOP_PURE") != "1":
    os.environ["YIELDLOOP_PURE"] = "1"
    os.execv(sys.executable, [sys.executable, "-m", "tests.soak", *sys.argv[1:]])

import yieldloop  # noqa: E402
from tests.soak.flat import Record  # noqa: E402
from tests.soak.talk import Town  # noqa: E402
from tests.soak.work import EXPECTED, ROUNDS  # noqa: E402
from yieldloop.aio.leftovers import Leftovers  # noqa: E402

CANCELLED = 0.15  # of the rounds are cancelled at a random moment
LONGEST_ROUND = 60  # s; a round that takes longer hangs
REST = 5.0  # s: how long what was closed may take to be gone, when the work rests


class Soak:
    """The state of one run."""

    def __init__(self, seed: int, names: list[str]) -> None:
        self.seed = seed
        self.names = names
        self.deck: list[str] = []
        self.done: collections.Counter[str] = collections.Counter()  # rounds by name
        self.ends: collections.Counter[str] = collections.Counter()  # how they ended
        self.faults: list[str] = []  # what must not happen
        self.left: list[str] = []  # what is alive at the end, if a counter rose
        self.absent: set[str] = set()  # rounds that this version has nothing for

    def report(self, loop: Any, context: dict[str, Any]) -> None:
        """The loop's exception handler: what the other side's faults do not explain is a fault of ours."""
        error = context.get("exception")
        if not isinstance(error, EXPECTED):
            self.faults.append(f"reported: {context['message']}: {error!r}")

    async def round(self, town: Town, rng: random.Random) -> None:
        """One round, perhaps cancelled; what it raises is counted, and a fault if nothing explains it."""
        if not self.deck:  # all have their turn before one has it again
            self.deck = rng.sample(self.names, len(self.names))
        name = self.deck.pop()
        if name in self.absent:
            await asyncio.sleep(0)
            return
        task = asyncio.ensure_future(ROUNDS[name](town, random.Random(rng.random())))
        try:
            if rng.random() < CANCELLED:
                await asyncio.wait({task}, timeout=rng.random() * 0.02)
                task.cancel()
            done, _ = await asyncio.wait({task}, timeout=LONGEST_ROUND)
            if not done:
                self.faults.append(f"{name} hangs: {yieldloop.format_call_graph(task)}")
                task.cancel()
                return
            task.result()
            self.ends["well"] += 1
        except NotImplementedError:
            self.absent.add(name)
        except asyncio.CancelledError:
            self.ends["cancelled"] += 1
        except EXPECTED as exc:
            self.ends[type(exc).__name__] += 1
        except Exception as exc:
            self.faults.append(f"{name}: {type(exc).__name__}: {exc}")
        self.done[name] += 1

    async def work(self, town: Town, number: int, until: float) -> None:
        """Rounds one after the other until it is time for a rest."""
        rng = random.Random(f"{self.seed} {number} {sum(self.done.values())}")
        while time.monotonic() < until:
            await self.round(town, rng)

    async def main(self, seconds: float, samples: int, workers: int) -> Record:
        loop: Any = asyncio.get_running_loop()
        loop.set_exception_handler(self.report)
        loop.soak_signals = False
        with tempfile.TemporaryDirectory() as folder:
            town = Town(random.Random(self.seed), folder)
            await town.begin()
            record = Record(loop)
            began = time.monotonic()
            for i in range(samples):
                until = began + seconds * (i + 1) / samples
                await asyncio.gather(*(self.work(town, number, until) for number in range(workers)))
                await self._rest(loop)
                record.sample(sum(self.done.values()))
            self.left = self._what_is_left(loop, town) if record.risen() else []
            self.faults += await town.end()
        return record

    def _what_is_left(self, loop: Any, town: Town) -> list[str]:
        """Lines on what a rising counter may be about."""
        servers = {id(thing) for thing in town.open}
        left = Leftovers(loop, {asyncio.current_task()}, [])
        left.servers = [server for server in left.servers if id(server) not in servers]
        left.transports = [transport for transport in left.transports if id(transport) not in servers]
        protocols = [f"{transport.get_protocol()!r} of {transport!r}" for transport in left.transports]
        return [*str(left).split("\n"), *protocols]

    async def _rest(self, loop: Any) -> None:
        """Until what was closed is gone: connections whose end is on its way, children, generators that are abandoned."""
        best, since = None, time.monotonic()
        while time.monotonic() - since < REST:
            held = loop.statistics()
            now = (held["transports"], held["tasks"], held["timers"], held["children"])
            if best is not None and now >= best and time.monotonic() - since > 0.1:
                return
            best = now
            await asyncio.sleep(0.05)


def main() -> int:
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    names = options.only.split(",") if options.only else list(ROUNDS)
    unknown = set(names) - set(ROUNDS)
    if unknown:
        _parser().error(f"--only {','.join(sorted(unknown))}: there is {', '.join(ROUNDS)}")
    seconds = options.minutes * 60
    samples = options.samples or max(12, int(seconds / 5))
    speed = "compiled" if yieldloop.compiled() else "pure"
    print(f"soak: seed {seed}, {seconds:.0f} s, {speed}, Python {sys.version.split()[0]}, {options.workers} workers", flush=True)
    soak = Soak(seed, names)
    factory = lambda: yieldloop.EventLoop(poller=options.poller)  # noqa: E731
    faulthandler.dump_traceback_later(seconds + 4 * LONGEST_ROUND, exit=True)  # should the loop itself stand still
    main = soak.main(seconds, samples, options.workers)
    record = yieldloop.run(main, loop_factory=factory, debug=options.debug, shutdown_timeout=30)
    record.print()
    for line in soak.left:
        print(f"left: {line}")
    print("rounds: " + ", ".join(f"{name} {soak.done[name]}" for name in names))
    print("ended: " + ", ".join(f"{how} {count}" for how, count in soak.ends.most_common()))
    if soak.absent:
        print("not there yet: " + ", ".join(sorted(soak.absent)))
    for fault, count in collections.Counter(soak.faults).most_common(20):
        print(f"FAULT ({count}×): {fault}")
    idle = [name for name in names if not soak.done[name] and name not in soak.absent]
    risen = record.risen()
    verdict = "flat" if not risen else f"NOT FLAT: {', '.join(risen)}"
    if soak.faults:
        verdict += f"; {len(soak.faults)} FAULTS"
    if idle:
        verdict += f"; NEVER RUN: {', '.join(idle)}"
    print(f"soak: {verdict}; seed {seed}, {sum(soak.done.values())} rounds in {seconds:.0f} s, {speed}")
    return 1 if risen or soak.faults or idle else 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
