"""The watchdog: who holds a loop is named while it does, each place once; waiting, sleeping and being slow is no block."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import yieldloop
from tests.programs import running
from yieldloop.watch import unread, watchdog
from yieldloop.watch.watcher import watcher

LIMIT = 0.05  # s


@pytest.fixture(autouse=True)
def short_limit() -> Iterator[None]:
    watchdog.configure(LIMIT, spin=0.3)
    watchdog.table.found.clear()
    yield
    watchdog.configure()
    watchdog.callbacks.clear()
    watchdog.table.found.clear()


def hold(gate: threading.Event) -> None:
    gate.wait(10)  # HOLD


def line_of(mark: str, file: str = __file__) -> int:
    """The number of the first line of *file* that has *mark*."""
    return next(number for number, line in enumerate(Path(file).read_text().splitlines(), 1) if mark in line)


HOLD = line_of("# HOLD")


def blocks_of(kind: str) -> list[watchdog.Block]:
    return [block for block in watchdog.blocks() if block.kind == kind]


class Seen:
    """A callback of the watchdog that opens the gate at which the loop is held."""

    def __init__(self) -> None:
        self.blocks: list[watchdog.Block] = []
        self.gate = threading.Event()

    def __call__(self, block: watchdog.Block) -> None:
        self.blocks.append(block)
        self.gate.set()


@pytest.fixture
def seen() -> Seen:
    found = Seen()
    watchdog.callbacks.append(found)
    return found


def test_a_callback_that_blocks_is_named_while_it_does(seen: Seen, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(hold, seen.gate)
        await asyncio.sleep(0.01)

    yieldloop.run(main())
    block = seen.blocks[0]  # the gate was opened by the watchdog: without it this would have taken 10 s
    assert (block.kind, block.task, block.label) == ("step", None, "callback hold()")
    assert (block.file, block.line) == (__file__, HOLD)
    assert block.stack[-1]["function"] == "Condition.wait"  # in threading, which is not the program's line
    assert block.ns >= LIMIT * 1e9
    assert block.going_on
    [record] = [record for record in caplog.records if "blocked" in record.message]
    assert "callback hold() has run for 0.0" in record.message
    assert f"{__file__}:{HOLD}" in record.message
    assert "gate.wait(10)  # HOLD" in record.message


def test_a_task_that_blocks_is_named_with_its_number(seen: Seen) -> None:
    async def main() -> int:
        task: Any = asyncio.current_task()
        hold(seen.gate)
        await asyncio.sleep(0)
        return int(task._number)

    number = yieldloop.run(main())
    block = seen.blocks[0]
    assert block.task == number
    assert block.label.startswith("task 'Task-")
    assert block.label.endswith("main()")
    assert [frame["function"] for frame in block.stack[:2]] == [main.__qualname__, "hold"]


def test_one_place_is_one_entry_with_count_and_worst(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        for length in (0.12, 0.3, 0.12):
            time.sleep(length)
            await asyncio.sleep(0.01)

    yieldloop.run(main())
    [block] = blocks_of("step")
    assert block.count == 3
    assert 0.2e9 < block.worst_ns < 2e9
    assert block.ns <= block.worst_ns
    assert not block.going_on
    assert len([record for record in caplog.records if "blocked" in record.message]) == 1


def test_waiting_is_no_block() -> None:
    async def main() -> None:
        await asyncio.sleep(4 * LIMIT)
        await asyncio.to_thread(time.sleep, 4 * LIMIT)

    yieldloop.run(main())
    assert not watchdog.blocks()


def test_a_long_iteration_of_short_callbacks_has_a_budget(seen: Seen) -> None:
    watchdog.configure(LIMIT, budget=2 * LIMIT)

    async def main() -> None:
        for _ in range(1000):
            asyncio.get_running_loop().call_soon(lambda: seen.gate.is_set() or time.sleep(0.01))
        await asyncio.sleep(0)

    yieldloop.run(main())
    assert not blocks_of("step")
    [block] = blocks_of("iteration")
    assert block.ns >= 2 * LIMIT * 1e9
    assert block.file == __file__


def test_a_spin_is_told_and_names_the_line(seen: Seen) -> None:
    async def main() -> None:
        while not seen.gate.is_set():
            await asyncio.sleep(0)

    yieldloop.run(main())
    [block] = blocks_of("spin")
    assert block.label.endswith("main()")
    assert block.file == __file__


def test_work_in_slices_is_no_spin() -> None:
    async def main() -> None:
        end = time.monotonic() + 0.8
        while time.monotonic() < end:
            time.sleep(0.001)
            await asyncio.sleep(0)

    yieldloop.run(main())
    assert not watchdog.blocks()


def test_a_busy_server_is_no_spin() -> None:
    async def main() -> None:
        async def echo(reader: Any, writer: Any) -> None:
            while data := await reader.read(100):
                writer.write(data)
            writer.close()

        server = await yieldloop.start_server(echo, "127.0.0.1", 0)
        reader, writer = await yieldloop.open_connection(*server.sockets[0].getsockname())
        end = time.monotonic() + 0.8
        while time.monotonic() < end:
            writer.write(b"x")
            await reader.read(100)
        writer.close()
        server.close()
        await server.wait_closed()

    yieldloop.run(main())
    assert not blocks_of("spin")


def stream_pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        return client, server.accept()[0]


def udp_pair() -> tuple[socket.socket, socket.socket]:
    pair = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
    for sock in pair:
        sock.bind(("127.0.0.1", 0))
    pair[0].connect(pair[1].getsockname())
    pair[1].connect(pair[0].getsockname())
    return pair


def pipe_pair() -> tuple[io.FileIO, io.FileIO]:
    reading, writing = os.pipe()
    return io.FileIO(writing, "w"), io.FileIO(reading)


def never_reads(sock: socket.socket) -> None:
    pass


def ignores_the_end(sock: socket.socket) -> None:
    sock.recv(100)


def test_a_pipe_that_nobody_reads(seen: Seen) -> None:
    reading, writing = os.pipe()

    async def main() -> None:
        asyncio.get_running_loop().add_reader(reading, never_reads, None)
        os.write(writing, b"x")
        while not seen.gate.is_set():
            await asyncio.sleep(0.01)
        asyncio.get_running_loop().remove_reader(reading)

    try:
        yieldloop.run(main())
    finally:
        os.close(reading)
        os.close(writing)
    [block] = blocks_of("spin")
    assert (block.fd, block.label) == (reading, "callback never_reads()")
    assert str(block.peer).startswith("pipe:")


PAIRS = pytest.mark.parametrize("pair", [stream_pair, tcp_pair, udp_pair])


@PAIRS
@pytest.mark.parametrize("recorded", [True, False])
def test_a_descriptor_that_stays_ready_to_read(pair: Any, recorded: bool, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = pair()
    monkeypatch.setattr(unread, "SURE_RATE", unread.RATE)  # whatever else the machine does

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        loop.recorder = loop.recorder if recorded else None
        loop.add_reader(other, never_reads, other)
        one.send(b"x")
        while not seen.gate.is_set():
            await asyncio.sleep(0.01)
        other.recv(1)
        while any(block.going_on for block in watchdog.blocks()):
            await asyncio.sleep(0.01)
        loop.remove_reader(other)

    with one, other:
        yieldloop.run(main())
        [block] = blocks_of("spin")
        assert (block.label, block.fd, block.direction) == ("callback never_reads()", other.fileno(), "read")
        assert (block.file, block.line) == (__file__, line_of("def never_reads"))
        assert block.peer is not None
        assert "reads nothing from it" in str(block)


def test_the_end_of_a_stream_that_a_callback_ignores(seen: Seen) -> None:
    one, other = tcp_pair()

    async def main() -> None:
        asyncio.get_running_loop().add_reader(other, ignores_the_end, other)
        one.close()
        while not seen.gate.is_set():
            await asyncio.sleep(0.01)
        asyncio.get_running_loop().remove_reader(other)

    with other:
        yieldloop.run(main())
    [block] = blocks_of("spin")
    assert block.label == "callback ignores_the_end()"


@pytest.mark.parametrize("pair", [stream_pair, tcp_pair])
def test_a_writer_that_has_nothing_to_write(pair: Any, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = pair()
    monkeypatch.setattr(unread, "SURE_RATE", unread.RATE)

    async def main() -> None:
        asyncio.get_running_loop().add_writer(one, never_reads, one)
        while not seen.gate.is_set():
            await asyncio.sleep(0.01)
        asyncio.get_running_loop().remove_writer(one)

    with one, other:
        yieldloop.run(main())
        [block] = blocks_of("spin")
        assert (block.fd, block.direction) == (one.fileno(), "write")
        assert f"remove_writer({block.fd})" in str(block)


FULL, ALIKE = (4096, 0.0005), (100, 0.0)  # bytes a packet, and seconds that reading one takes


@pytest.mark.parametrize(
    ("pair", "packets"),
    [(pipe_pair, FULL), (stream_pair, FULL), (stream_pair, ALIKE), (tcp_pair, ALIKE), (udp_pair, ALIKE)],
    ids=["pipe, full", "unix, full", "unix, alike", "tcp, alike", "udp, alike"],
)
def test_a_descriptor_that_is_flooded_and_read_is_no_spin(pair: Any, packets: tuple[int, float]) -> None:
    """Read slowly, a line is always full; read as fast as it is written, by packets of one size, it looks the same each time."""
    one, other = pair()
    size, takes = packets
    end = threading.Event()

    def flood() -> None:
        while not end.is_set():
            try:
                os.write(one.fileno(), b"x" * size)
            except OSError:
                return

    def read() -> None:
        os.read(other.fileno(), size)
        until = time.monotonic() + takes
        while time.monotonic() < until:
            pass

    async def main() -> None:
        asyncio.get_running_loop().add_reader(other, read)
        await asyncio.sleep(0.8)
        end.set()
        asyncio.get_running_loop().remove_reader(other)

    with one, other:
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            yieldloop.run(main())
        finally:
            end.set()
            other.close()
            thread.join()
    assert not blocks_of("spin")


def test_callbacks_that_play_ping_pong_are_no_spin() -> None:
    one, other = stream_pair()

    def back(sock: socket.socket) -> None:
        sock.send(sock.recv(1))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for sock in (one, other):
            loop.add_reader(sock, back, sock)
        one.send(b"x")
        await asyncio.sleep(0.8)
        for sock in (one, other):
            loop.remove_reader(sock)

    with one, other:
        yieldloop.run(main())
    assert not blocks_of("spin")


def test_a_callback_that_fails_is_logged_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()

    def bad(block: watchdog.Block) -> None:
        raise ValueError("bad callback")

    watchdog.callbacks.extend([bad, lambda block: done.set()])

    async def main() -> None:
        hold(done)

    yieldloop.run(main())
    assert done.is_set()
    assert "bad callback" in caplog.text


def test_a_log_handler_that_hangs_does_not_stop_the_watching() -> None:
    free, begun = threading.Event(), threading.Event()

    class Hanging(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            begun.set()
            free.wait(10)

    handler = Hanging()
    logging.getLogger("asyncio").addHandler(handler)
    try:

        async def main() -> None:
            hold(begun)  # until its report hangs
            await asyncio.sleep(0)
            time.sleep(4 * LIMIT)  # a second place, of which nobody can be told

        yieldloop.run(main())
        assert {block.line for block in blocks_of("step")} == {HOLD, line_of("# a second place")}
    finally:
        free.set()
        logging.getLogger("asyncio").removeHandler(handler)


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf")])
def test_a_limit_that_is_no_time_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="is a time in seconds above 0"):
        watchdog.configure(bad)


def test_it_can_be_switched_off() -> None:
    watchdog.configure(None)

    async def main() -> None:
        time.sleep(3 * LIMIT)

    yieldloop.run(main())
    assert not watchdog.blocks()


def test_loops_in_several_threads_are_watched_by_one() -> None:
    found: dict[str, threading.Event] = {name: threading.Event() for name in ("one", "two")}

    def opened(block: watchdog.Block) -> None:
        for name in found:
            if block.label.endswith(f"{name}()"):
                found[name].set()

    watchdog.callbacks.append(opened)

    def run(name: str) -> None:
        async def main() -> None:
            found[name].wait(10)

        main.__qualname__ = name
        yieldloop.run(main())

    threads = [threading.Thread(target=run, args=(name,)) for name in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(gate.is_set() for gate in found.values())
    assert len([thread for thread in threading.enumerate() if thread.name == "yieldloop-watch"]) == 1


def voluntary_switches(native_id: int) -> int:
    for line in Path(f"/proc/self/task/{native_id}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches"):
            return int(line.split()[1])
    raise AssertionError


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="the system does not count a thread's switches")
def test_an_idle_process_is_not_woken() -> None:
    native = watcher._thread.native_id  # type: ignore[union-attr]

    async def main() -> int:
        await asyncio.sleep(3 * LIMIT)  # the watching thread notices that the loop sleeps
        before = voluntary_switches(native)  # type: ignore[arg-type]
        await asyncio.sleep(20 * LIMIT)
        return voluntary_switches(native) - before  # type: ignore[arg-type]

    # Some for the step between the two sleeps; not one for each limit's length.
    assert yieldloop.run(main()) < 10


def test_the_environment_sets_the_limit() -> None:
    program = "import asyncio, time, yieldloop\nasync def main(): time.sleep(0.25)\nyieldloop.run(main())"
    for value, told in (("0.03", True), ("off", False), ("10", False)):
        with running("-c", program, YIELDLOOP_WATCHDOG=value) as process:
            assert process.process.wait(30) == 0
            assert ("blocked" in process.stderr()) == told


def test_a_debuggers_prompt_is_no_block() -> None:
    # What the prompt needs is imported before: to import it takes longer than the limit.
    program = "import pdb, yieldloop\npdb.Pdb()\nasync def main(): breakpoint()\nyieldloop.run(main())"
    command = [sys.executable, "-c", program]
    env = {**os.environ, "YIELDLOOP_WATCHDOG": "0.03", "YIELDLOOP_SOCKET": "off"}
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.read(1)  # it prompts
        time.sleep(0.3)  # ten limits
        _, errors = process.communicate(b"c\n", timeout=30)
    assert process.returncode == 0
    assert b"blocked" not in errors


def test_nothing_is_imported_within_the_loop_for_the_watching() -> None:
    program = """if True:
        import asyncio, sys, yieldloop
        class Finder:
            def find_spec(self, name, path=None, target=None):
                if asyncio._get_running_loop() is not None:
                    print(name, flush=True)
        sys.meta_path.insert(0, Finder())
        loop = yieldloop.new_event_loop()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
        assert "yieldloop.watch.watcher" in sys.modules
        """
    source = str(Path(yieldloop.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": source}
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
