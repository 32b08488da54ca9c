"""The sick programs of examples/sick: for each, the tool names the exact line, the task and the holder, asked from outside."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.programs import ROOT, Program, running

SICK = ROOT / "examples" / "sick"


def line_of(name: str, mark: str = "# HERE") -> int:
    """The number of the only line of the program *name* that has *mark*."""
    found = [number for number, line in enumerate((SICK / name).read_text().splitlines(), 1) if mark in line]
    assert len(found) == 1, f"{mark!r} stands in {name} {len(found)} times"
    return found[0]


@contextlib.contextmanager
def sick(name: str) -> Iterator[tuple[Program, Callable[[], dict[str, Any]]]]:
    """The program *name* as it runs under ``yieldloop run``, and its tasks by name as the snapshot tells them."""
    with running("-m", "yieldloop", "run", f"examples/sick/{name}") as program:

        def tasks() -> dict[str, Any]:
            return {task["name"]: task for task in program.ask("snapshot")["loops"][0]["tasks"]}

        program.wait_until(program.answers)
        yield program, tasks


def stands_at(task: dict[str, Any], name: str, line: int) -> bool:
    return any(frame["file"].endswith(f"examples/sick/{name}") and frame["line"] == line for frame in task["chain"])


def tree(program: Program) -> str:
    """What the command prints."""
    return program.yieldloop("tree", str(program.pid)).stdout


def test_a_deadlock_of_two_locks() -> None:
    with sick("deadlock.py") as (program, tasks):
        line = line_of("deadlock.py")
        program.wait_until(lambda: program.ask("snapshot")["loops"][0]["cycles"])
        found = tasks()
        payment, report = found["payment"], found["report"]
        assert payment["end"]["kind"] == report["end"]["kind"] == "lock"
        assert payment["end"]["holders"] == [report["id"]]
        assert report["end"]["holders"] == [payment["id"]]
        assert stands_at(payment, "deadlock.py", line)
        assert stands_at(report, "deadlock.py", line)
        text = tree(program)
        assert f"task {payment['id']} 'payment' → task {report['id']} 'report' → task {payment['id']} 'payment'" in text
        assert f"at transfer()  examples/sick/deadlock.py:{line}\n" in text
        assert f"held by task {report['id']} 'report'" in text
        assert f"made at examples/sick/deadlock.py:{line_of('deadlock.py', 'payment')} in main" in text


def test_a_queue_that_nobody_fills() -> None:
    with sick("stuck_queue.py") as (program, tasks):
        program.wait_until(lambda: "consumer" in tasks() and "producer" not in tasks())
        consumer = tasks()["consumer"]
        assert consumer["state"] == "parked"
        assert consumer["end"]["kind"] == "queue"
        assert not consumer["end"].get("holders")
        assert stands_at(consumer, "stuck_queue.py", line_of("stuck_queue.py"))
        text = tree(program)
        assert f"at consume()  examples/sick/stuck_queue.py:{line_of('stuck_queue.py')}\n" in text
        assert re.search(r"waits for queue: .*get, holds 0 items", text)


def test_a_callback_that_blocks() -> None:
    with sick("blocking.py") as (program, _):
        line = line_of("blocking.py")
        program.wait_until(lambda: "The loop is blocked" in program.stderr())
        assert re.search(r"callback write_report\(\) has run for 0\.\d+ s without giving way", program.stderr())
        assert f"examples/sick/blocking.py:{line}\n" in program.stderr()
        text = tree(program)  # the loop stands still
        assert "runs the callback write_report()" in text
        assert f"  write_report()  examples/sick/blocking.py:{line}\n" in text
        assert re.search(rf"step  callback write_report\(\)  at examples/sick/blocking.py:{line}  1×, holds it now, for", text)


def test_a_starved_thread_pool() -> None:
    with sick("starved_pool.py") as (program, tasks):
        program.wait_until(lambda: "lookup" in tasks() and tasks()["lookup"]["state"] == "parked")
        found = tasks()
        lookup = found["lookup"]
        assert lookup["end"]["kind"] == "thread"
        assert lookup["end"]["function"] == "look_up()"
        assert "thread" not in lookup["end"]  # none runs it
        assert stands_at(lookup, "starved_pool.py", line_of("starved_pool.py"))
        for number in range(2):
            assert found[f"crawler-{number}"]["end"]["function"] == "crawl()"
            assert found[f"crawler-{number}"]["end"]["thread"].startswith("ThreadPoolExecutor")
        assert lookup["end"]["holders"] == [found[f"crawler-{number}"]["id"] for number in range(2)]
        busy = {work["thread"]: work["task"] for work in lookup["end"]["threads"] if work["function"] == "crawl()"}
        assert busy == {found[f"crawler-{number}"]["end"]["thread"]: found[f"crawler-{number}"]["id"] for number in range(2)}
        text = tree(program)
        assert "waits for thread: look_up(), waits for a thread: 2 of 2 are busy, held by task " in text
        for number in range(2):
            crawler = found[f"crawler-{number}"]
            assert f"{crawler['end']['thread']} runs crawl(), for task {crawler['id']} 'crawler-{number}'\n" in text


def test_a_spin() -> None:
    with sick("spin.py") as (program, tasks):
        line = line_of("spin.py")
        program.wait_until(lambda: "The loop spins" in program.stderr())
        assert "run task 'waiter' wait_until_ready() again and again" in program.stderr()
        [spin] = [block for block in program.ask("blocks") if block["kind"] == "spin"]
        assert spin["file"].endswith("examples/sick/spin.py")
        assert spin["line"] in (line, line - 1)  # wherever in its two lines it was when it was looked at
        assert spin["task"] == tasks()["waiter"]["id"]
        assert spin["stack"][0]["function"] == "wait_until_ready"


def test_a_descriptor_that_nobody_reads() -> None:
    with sick("unread.py") as (program, _):
        peer = program.line()
        program.wait_until(lambda: "The loop spins" in program.stderr() and "def on_readable" in program.stderr())
        [spin] = [block for block in program.ask("blocks") if block["kind"] == "spin"]
        assert spin["file"].endswith("examples/sick/unread.py")
        assert (spin["line"], spin["direction"], spin["peer"]) == (line_of("unread.py"), "read", f"peer {peer}")
        assert spin["fd"] in {fd["fd"] for fd in program.ask("snapshot")["loops"][0]["fds"]}
        assert re.search(
            rf"descriptor {spin['fd']} \(peer {peer}\) has been ready to read for \d\.\d s, and callback on_readable\(\) reads "
            rf"nothing from it; let it, or call remove_reader\({spin['fd']}\), at \S*unread.py:{spin['line']}\n",
            program.stderr(),
        )
        assert re.search(rf"spin  callback on_readable\(\)  at examples/sick/unread.py:{spin['line']}  1×", tree(program))


def test_a_forgotten_task() -> None:
    with sick("forgotten.py") as (program, _):
        line = line_of("forgotten.py")
        lost = program.wait_until(lambda: program.ask("snapshot")["loops"][0]["lost"])
        [place] = lost["exceptions never taken"]
        assert place["file"].endswith("examples/sick/forgotten.py")
        assert (place["line"], place["function"], place["count"]) == (line, "main", 3)
        assert f"exceptions never taken: 3 × examples/sick/forgotten.py:{line} in main" in tree(program)
        assert "ValueError: order 0 is wrong" in program.stderr()


def test_a_swallowed_cancellation() -> None:
    with sick("swallowed.py") as (program, tasks):
        assert program.line() == "trying again after CancelledError"
        program.wait_until(lambda: tasks()["poller"]["state"] == "parked")
        found = tasks()
        poller = found["poller"]
        assert poller["cancelled"] == 1
        assert poller["end"]["kind"] == "timer"
        assert stands_at(poller, "swallowed.py", line_of("swallowed.py"))
        [waiting] = [task for name, task in found.items() if name != "poller"]
        assert waiting["end"]["tasks"] == [poller["id"]]  # who cancelled it waits for it
        assert re.search(r"'poller': parked for .*, cancelled 1 time and not done, made at examples/sick/swallowed", tree(program))
