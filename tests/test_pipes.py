"""Pipe transports: bytes arrive in order and complete, either end learns that the other is gone, nothing is told twice."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Recorder:
    """A protocol of either direction that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.data = bytearray()
        self.transport: Any = None
        self.lost = asyncio.get_running_loop().create_future()
        self.some = asyncio.Event()
        self.paused = False

    def connection_made(self, transport: Any) -> None:
        self.told.append("made")
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.data += data
        self.some.set()

    def eof_received(self) -> None:
        self.told.append("eof")

    def connection_lost(self, exc: Any) -> None:
        self.told.append("lost")
        self.lost.set_result(exc)

    def pause_writing(self) -> None:
        self.told.append("pause")
        self.paused = True
        self.some.set()

    def resume_writing(self) -> None:
        self.told.append("resume")
        self.paused = False
        self.some.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.some.clear()
            await asyncio.wait_for(self.some.wait(), 10)


def files(read_fd: int, write_fd: int) -> tuple[Any, Any]:
    return open(read_fd, "rb", 0), open(write_fd, "wb", 0)


def pipe_pair() -> tuple[Any, Any]:
    return files(*os.pipe())


def socket_pair() -> tuple[Any, Any]:
    one, other = socket.socketpair()
    return files(one.detach(), other.detach())


PAIRS = pytest.mark.parametrize("pair", [pipe_pair, socket_pair])


async def reading(pipe: Any) -> tuple[Any, Recorder]:
    transport, protocol = await asyncio.get_running_loop().connect_read_pipe(Recorder, pipe)
    return transport, protocol


async def writing(pipe: Any) -> tuple[Any, Recorder]:
    transport, protocol = await asyncio.get_running_loop().connect_write_pipe(Recorder, pipe)
    return transport, protocol


@PAIRS
def test_every_byte_arrives_in_order_however_it_is_written(api: Any, pair: Any) -> None:
    async def main() -> None:
        source, sink = pair()
        reader, read_side = await reading(source)
        writer, write_side = await writing(sink)
        expected = bytearray()
        for size in (1, 0, 5, 4096, 70_000, 1_000_000, 3, 200_000):
            piece = bytearray(os.urandom(size))
            expected += piece
            writer.write(piece if size % 2 else memoryview(bytes(piece)))
            for i in range(len(piece)):
                piece[i] = 0  # the caller's buffer is the caller's again
                if i > 100:
                    break
        writer.writelines([b"", b"tail", bytearray(b" of "), memoryview(b"it")])
        expected += b"tail of it"
        writer.close()
        assert await write_side.lost is None
        assert await read_side.lost is None
        assert read_side.data == expected
        assert read_side.told == ["made", "eof", "lost"]
        assert write_side.told[0] == "made" and write_side.told[-1] == "lost"
        assert write_side.told.count("pause") == write_side.told.count("resume")
        assert reader.is_closing() and writer.is_closing()

    api.run(main())


def test_transports_say_what_they_are(api: Any) -> None:
    async def main() -> None:
        source, sink = pipe_pair()
        reader, read_side = await reading(source)
        writer, write_side = await writing(sink)
        assert isinstance(reader, asyncio.ReadTransport) and isinstance(reader, asyncio.BaseTransport)
        assert not isinstance(reader, asyncio.WriteTransport)
        assert isinstance(writer, asyncio.WriteTransport) and isinstance(writer, asyncio.Transport)
        assert reader.get_extra_info("pipe") is source and writer.get_extra_info("pipe") is sink
        assert reader.get_extra_info("nothing", 3) == 3
        assert reader.get_protocol() is read_side and writer.get_protocol() is write_side
        assert reader.is_reading() and writer.can_write_eof()
        assert "fd=" in repr(reader) and "fd=" in repr(writer)
        for transport, protocol in ((reader, read_side), (writer, write_side)):
            transport.close()
            transport.close()
            await protocol.lost
            assert "closed" in repr(transport)
            assert transport.get_extra_info("pipe") is not None

    api.run(main())


@PAIRS
def test_a_writer_learns_that_its_reader_is_gone(api: Any, pair: Any) -> None:
    async def main() -> None:
        source, sink = pair()
        writer, side = await writing(sink)
        writer.write(b"unread")
        source.close()
        exc = await asyncio.wait_for(side.lost, 10)
        # With nothing queued that is an end like any other; a socket may also report the bytes that were not read.
        assert exc is None or isinstance(exc, ConnectionError)
        assert side.told == ["made", "lost"]
        for _ in range(3):
            writer.write(b"late")

    api.run(main())


def test_what_is_queued_when_the_reader_goes_is_an_error(api: Any) -> None:
    async def main() -> None:
        source, sink = pipe_pair()
        writer, side = await writing(sink)
        writer.write(bytes(1_000_000))
        assert writer.get_write_buffer_size() > 0 and side.told == ["made", "pause"]
        source.close()
        assert isinstance(await asyncio.wait_for(side.lost, 10), BrokenPipeError)
        assert writer.get_write_buffer_size() == 0

    api.run(main())


def test_writing_to_nobody_ends_the_transport(api: Any) -> None:
    async def main() -> None:
        source, sink = pipe_pair()
        writer, side = await writing(sink)
        source.close()
        writer.write(b"x")
        writer.write(b"x")
        assert isinstance(await side.lost, BrokenPipeError)

    api.run(main())


def test_a_peer_that_talks_back_is_not_gone(ours: Any) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        with other:
            writer, side = await writing(open(one.detach(), "wb", 0))
            other.send(b"hello")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            writer.write(b"still here")
            assert other.recv(100) == b"still here" and not side.lost.done()
            writer.close()
            await side.lost

    ours.run(main())


def test_a_fifo_that_is_open_both_ways_is_not_ended_by_its_own_bytes(ours: Any, tmp_path: Path) -> None:
    async def main() -> None:
        os.mkfifo(tmp_path / "fifo")
        fd = os.open(tmp_path / "fifo", os.O_RDWR | os.O_NONBLOCK)
        writer, side = await writing(open(fd, "wb", 0))
        writer.write(b"bytes that nobody reads yet")
        for _ in range(3):
            await asyncio.sleep(0)
        assert not side.lost.done() and not writer.is_closing()
        with open(tmp_path / "fifo", "rb", 0) as reader:
            assert reader.read(5) == b"bytes"
        writer.close()
        await side.lost

    ours.run(main())


def test_fifos(api: Any, tmp_path: Path) -> None:
    async def main() -> None:
        os.mkfifo(tmp_path / "fifo")
        source = open(os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK), "rb", 0)
        _, read_side = await reading(source)
        writer, write_side = await writing(open(tmp_path / "fifo", "wb", 0))
        writer.write(b"through a name")
        writer.write_eof()
        await write_side.lost
        await read_side.lost
        assert read_side.data == b"through a name"

    api.run(main())


def test_character_devices(api: Any) -> None:
    async def main() -> None:
        master, slave = os.openpty()
        writer, write_side = await writing(open(slave, "wb", 0))
        reader, read_side = await reading(open(master, "rb", 0))
        writer.write(b"to the screen")
        await read_side.until(lambda: read_side.data == b"to the screen")
        writer.close()
        await write_side.lost
        exc = await asyncio.wait_for(read_side.lost, 10)
        assert exc is None or isinstance(exc, OSError)  # Linux: EIO, and nothing is reported for it
        reader.close()

    api.run(main())


def test_regular_files_are_refused_and_stay_the_callers(api: Any, tmp_path: Path) -> None:
    async def main() -> None:
        with open(tmp_path / "file", "w+b") as file:
            for connect in (reading, writing):
                with pytest.raises(ValueError, match=r"Pipe transport is (only )?for pipes"):
                    await connect(file)
            assert not file.closed

    api.run(main())


def test_the_refusal_teaches(ours: Any, tmp_path: Path) -> None:
    async def main() -> None:
        with open(tmp_path / "file", "w+b") as file:
            with pytest.raises(ValueError, match=r"regular file.*asyncio\.to_thread"):
                await reading(file)

    ours.run(main())


def test_a_paused_reader_is_told_nothing(api: Any) -> None:
    async def main() -> None:
        source, sink = pipe_pair()
        with sink:
            reader, side = await reading(source)
            reader.pause_reading()
            sink.write(b"later")
            for _ in range(3):
                await asyncio.sleep(0)
            assert not side.data and not reader.is_reading()
            reader.resume_reading()
            await side.until(lambda: side.data == b"later")
        await side.lost
        reader.pause_reading()
        reader.resume_reading()

    api.run(main())


def test_a_reader_may_pause_from_the_very_beginning(api: Any) -> None:
    class Paused(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.pause_reading()

    async def main() -> None:
        source, sink = pipe_pair()
        sink.write(b"waiting")
        sink.close()
        reader, side = await asyncio.get_running_loop().connect_read_pipe(Paused, source)
        await asyncio.sleep(0)
        assert not side.data
        reader.resume_reading()
        await side.lost
        assert side.data == b"waiting"

    if api.ours:
        api.run(main())


def test_water_marks(api: Any) -> None:
    async def main() -> None:
        source, sink = pipe_pair()
        writer, side = await writing(sink)
        assert writer.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
        writer.set_write_buffer_limits(high=1000)
        assert writer.get_write_buffer_limits() == (250, 1000)
        with pytest.raises(ValueError):
            writer.set_write_buffer_limits(high=1, low=2)
        writer.write(bytes(300_000))
        assert side.paused
        _, read_side = await reading(source)
        await side.until(lambda: not side.paused)
        writer.abort()
        assert await side.lost is None
        await read_side.lost

    api.run(main())


def test_abort_drops_what_is_queued(api: Any) -> None:
    async def main() -> None:
        source, sink = pipe_pair()
        writer, side = await writing(sink)
        writer.write(bytes(1_000_000))
        writer.abort()
        assert await side.lost is None
        with source:
            os.set_blocking(source.fileno(), True)
            assert len(source.readall()) < 1_000_000

    api.run(main())


def test_close_sends_what_is_queued(api: Any) -> None:
    async def main() -> None:
        source, sink = pipe_pair()
        writer, side = await writing(sink)
        writer.write(bytes(1_000_000))
        writer.close()
        writer.write(b"not any more")
        _, read_side = await reading(source)
        await side.lost
        await read_side.lost
        assert len(read_side.data) == 1_000_000

    api.run(main())


def test_a_protocol_that_raises_is_reported_and_goes_on(api: Any) -> None:
    class Moody(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            raise ZeroDivisionError(data)

    async def main() -> None:
        reports: list[Any] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))
        source, sink = pipe_pair()
        _, side = await loop.connect_read_pipe(Moody, source)
        sink.write(b"one")
        await side.until(lambda: side.data == b"one")
        sink.write(b"two")
        await side.until(lambda: side.data == b"onetwo")
        sink.close()
        await side.lost
        assert [type(exc) for exc in reports] == [ZeroDivisionError] * 2

    api.run(main())


def test_what_is_no_bytes_is_refused(api: Any) -> None:
    async def main() -> None:
        source, sink = pipe_pair()
        with source:
            writer, side = await writing(sink)
            for wrong in ("text", 3, None, ["list"]):
                if wrong is None or api.ours:
                    with pytest.raises((TypeError, AssertionError)):
                        writer.write(wrong)
            writer.close()
            await side.lost

    if api.ours:
        api.run(main())


def test_a_cancelled_connect_closes_the_pipe(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        source, sink = pipe_pair()
        for connect, pipe in ((loop.connect_read_pipe, source), (loop.connect_write_pipe, sink)):
            task = loop.create_task(connect(Recorder, pipe))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            for _ in range(3):
                await asyncio.sleep(0)
            assert pipe.closed

    api.run(main())


@pytest.mark.leaves("transports", "armed")
def test_an_unclosed_transport_warns_and_gives_its_descriptor_back(ours: Any) -> None:
    loop = ours.new_loop()
    source, sink = pipe_pair()
    reader = loop.run_until_complete(_connect(loop.connect_read_pipe, source))[0]
    writer = loop.run_until_complete(_connect(loop.connect_write_pipe, sink))[0]
    loop.close()
    assert "open" in repr(reader) and "open" in repr(writer)
    with pytest.warns(ResourceWarning, match="unclosed transport") as told:
        del reader, writer
        gc.collect()
    assert sorted(str(warning.message).split()[2] for warning in told) == ["<ReadPipeTransport", "<WritePipeTransport"]
    assert source.closed and sink.closed


async def _connect(connect: Any, pipe: Any) -> Any:
    return await connect(Recorder, pipe)


@pytest.mark.leaves("transports", "armed")
def test_closing_after_the_loop_has_closed_gives_the_descriptor_back(ours: Any) -> None:
    loop = ours.new_loop()
    source, sink = pipe_pair()
    reader, _ = loop.run_until_complete(_connect(loop.connect_read_pipe, source))
    writer, _ = loop.run_until_complete(_connect(loop.connect_write_pipe, sink))
    writer.write(bytes(1_000_000))
    loop.close()
    reader.close()
    writer.close()
    assert source.closed and sink.closed


def test_a_descriptor_of_a_transport_is_not_to_be_watched_by_others(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        source, sink = pipe_pair()
        with sink:
            reader, side = await reading(source)
            if api.ours:
                with pytest.raises(RuntimeError, match="is used by transport"):
                    loop.add_reader(source, print)
            reader.close()
            await side.lost

    api.run(main())


def test_a_descriptor_closed_under_the_transport_is_an_error_not_a_crash(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reports: list[Any] = []
        loop.set_exception_handler(lambda _, context: reports.append(context))
        source, sink = pipe_pair()
        writer, side = await writing(sink)
        os.close(sink.fileno())
        writer.write(b"x")
        exc = await asyncio.wait_for(side.lost, 10)
        assert isinstance(exc, OSError)
        source.close()

    ours.run(main())


def test_small_reads_make_small_objects(ours: Any) -> None:
    async def main() -> None:
        sizes = []

        class Sizes(Recorder):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                sizes.append(sys.getsizeof(data) - len(data))

        source, sink = pipe_pair()
        _, side = await asyncio.get_running_loop().connect_read_pipe(Sizes, source)
        for size in (1, 100, 60_000, 20, 65_536, 65_536, 1):  # after a large read a small one, and the other way round
            del side.data[:]
            sink.write(bytes(size))
            await side.until(lambda size=size: len(side.data) == size)  # type: ignore[misc]
        sink.close()
        await side.lost
        assert max(sizes) < 64

    ours.run(main())


needs_pipe_size = pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="the size of a pipe is Linux's business")


@needs_pipe_size
@pytest.mark.parametrize(
    ("chosen", "carried", "expected"),
    [
        (None, 2_000_000, 256 * 1024),
        (None, 60_000, 64 * 1024),  # a pipe that was never full is left
        (16 * 1024, 2_000_000, 16 * 1024),  # and so is one whose size somebody has chosen
        (1024 * 1024, 2_000_000, 1024 * 1024),
    ],
)
@pytest.mark.parametrize("end", ["reading", "writing"])
def test_a_pipe_that_carries_much_is_made_larger(ours: Any, end: str, chosen: Any, carried: int, expected: int) -> None:
    async def main() -> None:
        source, sink = pipe_pair()
        if chosen is not None:
            fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, chosen)
        if end == "reading":
            _, side = await reading(source)
            pushing = asyncio.to_thread(lambda: [sink.write(bytes(min(left, 65536))) for left in range(carried, 0, -65536)])
            await asyncio.gather(pushing, side.until(lambda: len(side.data) >= carried))
            assert fcntl.fcntl(sink, fcntl.F_GETPIPE_SZ) == expected
            sink.close()
        else:
            writer, side = await writing(sink)
            writer.write(bytes(carried))
            left = carried
            while left > 0:
                left -= len(await asyncio.to_thread(source.read, 65536))
            assert fcntl.fcntl(source, fcntl.F_GETPIPE_SZ) == expected
            writer.close()
        await side.lost
        source.close()

    ours.run(main())


@needs_pipe_size
def test_a_reader_of_a_wide_pipe_leaves_the_others_their_turn(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen = [0]  # bytes, between one turn of somebody else and the next

        class Counting(Recorder):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                seen[-1] += len(data)

        def other() -> None:
            seen.append(0)
            if len(side.data) < 1024 * 1024:
                loop.call_soon(other)

        source, sink = pipe_pair()
        fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, 1024 * 1024)
        sink.write(bytes(1024 * 1024))
        _, side = await loop.connect_read_pipe(Counting, source)
        other()
        await side.until(lambda: len(side.data) == 1024 * 1024)
        assert max(seen) <= 192 * 1024
        sink.close()
        await side.lost

    ours.run(main())


@needs_pipe_size
@pytest.mark.parametrize("method", ["pause_reading", "close"])
def test_a_reader_that_stops_is_told_nothing_more_of_the_same_turn(ours: Any, method: str) -> None:
    async def main() -> None:
        class Stopping(Recorder):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                if len(self.data) == 2 * 65536:  # the first read stands alone, this is the first of two
                    getattr(self.transport, method)()

        source, sink = pipe_pair()
        fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, 1024 * 1024)
        sink.write(bytes(1024 * 1024))
        transport, side = await asyncio.get_running_loop().connect_read_pipe(Stopping, source)
        await side.until(lambda: len(side.data) >= 2 * 65536)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(side.data) == 2 * 65536
        transport.close()
        await side.lost
        sink.close()

    ours.run(main())


def test_callbacks_see_the_context_of_the_connecting(ours: Any) -> None:
    import contextvars

    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="nowhere")
    seen = []

    class Looks(Recorder):
        def data_received(self, data: bytes) -> None:
            seen.append(var.get())
            var.set("leaked")
            super().data_received(data)

        def connection_lost(self, exc: Any) -> None:
            seen.append(var.get())
            super().connection_lost(exc)

    async def main() -> None:
        var.set("here")
        source, sink = pipe_pair()
        _, side = await asyncio.get_running_loop().connect_read_pipe(Looks, source)
        var.set("elsewhere")
        sink.write(b"x")
        await side.until(lambda: bool(side.data))
        sink.close()
        await side.lost
        assert seen == ["here", "here"]

    ours.run(main())


def test_standard_input_can_be_read(ours: Any) -> None:
    code = (
        "import yieldloop as asyncio, sys\n"
        "async def main():\n"
        "    reader = asyncio.StreamReader()\n"
        "    loop = asyncio.get_running_loop()\n"
        "    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)\n"
        "    while line := await reader.readline():\n"
        "        print(line.decode().strip().upper())\n"
        "asyncio.run(main())\n"
    )
    found = subprocess.run([sys.executable, "-c", code], input=b"one\ntwo\n", capture_output=True, check=True)
    assert found.stdout == b"ONE\nTWO\n" and found.stderr == b""


def test_a_closed_loop_takes_no_pipe(ours: Any) -> None:
    loop = ours.new_loop()
    loop.close()
    source, sink = pipe_pair()
    with source, sink:
        for connect in (loop._make_read_pipe_transport, loop._make_write_pipe_transport):
            with pytest.raises(RuntimeError, match="closed"):
                connect(source, object())


