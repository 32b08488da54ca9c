"""Streams: readers, writers and servers, on the standard library's loop and on ours, with the standard streams as control.

What stands for a network is a fake transport where the behaviour is the stream's own, and TCP on loopback where it is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import random
import socket
import ssl
import sys
import types
import warnings
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

import yieldloop
from yieldloop.aio import _reader
from yieldloop.aio import streams as ours

WORLDS = {
    "stock": (asyncio, asyncio.SelectorEventLoop),
    "streams": (ours, asyncio.SelectorEventLoop),
    "both": (ours, yieldloop.new_event_loop),
}


class World:
    """A module of streams and a loop to run it on."""

    def __init__(self, name):
        self.m, self.new_loop = WORLDS[name]

    def run(self, coro, *, debug=False):
        with asyncio.Runner(loop_factory=self.new_loop, debug=debug) as runner:
            return runner.run(asyncio.wait_for(coro, 20))


@pytest.fixture(params=WORLDS)
def world(request):
    return World(request.param)


@pytest.fixture(params=["streams", "both"])
def our_world(request):
    return World(request.param)


class Transport(asyncio.Transport):
    """Writes down what it is asked to do."""

    def __init__(self, can_pause=True):
        super().__init__()
        self.log = []
        self.can_pause = can_pause
        self.closing = False

    def pause_reading(self):
        if not self.can_pause:
            raise NotImplementedError
        self.log.append("pause")

    def resume_reading(self):
        self.log.append("resume")

    def write(self, data):
        self.log.append(bytes(data))

    def writelines(self, list_of_data):
        self.log.append([bytes(data) for data in list_of_data])

    def is_closing(self):
        return self.closing

    def close(self):
        self.closing = True

    def abort(self):
        self.closing = True


def stepped(coro):
    """What a coroutine returns that does not suspend."""
    try:
        coro.send(None)
    except StopIteration as stop:
        return stop.value
    coro.close()
    raise AssertionError("it suspended")


async def until_parked(task):
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()


# --- reading ----------------------------------------------------------------------------------------------------------


def test_what_is_here_is_read_without_suspending(world):
    async def main():
        reader = world.m.StreamReader()
        reader.feed_data(b"one\ntwo\nthree;four")
        assert stepped(reader.readline()) == b"one\n"
        assert stepped(reader.__anext__()) == b"two\n"
        assert stepped(reader.readuntil(b";")) == b"three;"
        assert stepped(reader.readexactly(2)) == b"fo"
        assert stepped(reader.read(0)) == b""
        assert stepped(reader.read(100)) == b"ur"
        assert reader._buffer == b"" and not reader.at_eof()

    world.run(main())


pieces = st.lists(st.text("ab\r\n", max_size=9).map(str.encode), max_size=8)
asks = st.lists(
    st.sampled_from(
        [
            ("readline",),
            ("readuntil", b"ab"),
            ("readuntil", (b"\n", b"\r\n")),
            ("readuntil", (b"ba", b"\r", b"a\r\n")),
            ("readexactly", 3),
            ("readexactly", 0),
        ]
    ),
    max_size=8,
)


@given(pieces, asks, st.integers(0, 8))
def test_reads_give_what_the_standard_reader_gives(pieces, asks, ahead):
    """The same pieces at the same moments: the same results, errors and rest."""

    async def history(module):
        reader = module.StreamReader()
        for piece in pieces[:ahead]:
            reader.feed_data(piece)

        async def feed():
            for piece in pieces[ahead:]:
                reader.feed_data(piece)
                await asyncio.sleep(0)
            reader.feed_eof()

        feeding = asyncio.ensure_future(feed())
        seen = []
        for name, *args in asks:
            try:
                seen.append(await getattr(reader, name)(*args))
            except asyncio.IncompleteReadError as exc:
                seen.append((exc.partial, exc.expected, str(exc)))
        await feeding
        return seen, bytes(reader._buffer), reader.at_eof()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        # Several separators in one call are 3.13's; older readers are compared on the rest.
        if not hasattr(asyncio, "QueueShutDown"):
            asks = [ask for ask in asks if not isinstance(ask[-1], tuple)]
        assert runner.run(history(ours)) == runner.run(history(asyncio))


def test_a_reader_is_woken_when_it_has_enough(our_world):
    async def main():
        reader = our_world.m.StreamReader()
        task = asyncio.ensure_future(reader.readexactly(10))
        await until_parked(task)
        waiter = reader._waiter
        reader.feed_data(b"123456789")
        assert reader._waiter is waiter and not waiter.done()
        reader.feed_data(b"0a")
        assert waiter.done()
        assert await task == b"1234567890"
        assert reader._buffer == b"a"

    our_world.run(main())


def test_a_cancelled_read_consumes_nothing(world):
    async def main():
        reader = world.m.StreamReader()
        for ask in (lambda: reader.readexactly(10), lambda: reader.readline(), lambda: reader.readuntil(b"xy")):
            reader.feed_data(b"x")
            task = asyncio.ensure_future(ask())
            await until_parked(task)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert reader._waiter is None
        assert reader._buffer == b"xxx"

    world.run(main())


async def parked(world, reader, how, *args):
    """A task that reads, parked, and the future on which it is."""
    task = asyncio.ensure_future(getattr(reader, how)(*args))
    await asyncio.sleep(0)
    return task, task._fut_waiter


def test_a_future_that_somebody_keeps_is_not_waited_for_again(world):
    async def main():
        reader = world.m.StreamReader()
        kept, told = [], []
        for n in range(4):
            task, future = await parked(world, reader, "readexactly", 2)
            assert not any(future is each for each in kept)
            kept.append(future)
            future.add_done_callback(told.append)
            reader.feed_data(b"%d." % n)
            assert await task == b"%d." % n
        await asyncio.sleep(0)
        assert all(future.done() and future.result() is None for future in kept)
        assert [id(future) for future in told] == [id(future) for future in kept]

    world.run(main())


def test_what_ended_a_wait_is_nothing_to_the_next_one(world):
    async def main():
        reader = world.m.StreamReader()
        for n in range(3):
            task, _ = await parked(world, reader, "read", 9)
            task.cancel("enough")
            with pytest.raises(asyncio.CancelledError):
                await task
            task, future = await parked(world, reader, "read", 9)
            future.cancel()  # by whoever found it
            del future
            with pytest.raises(asyncio.CancelledError):
                await task
            task, _ = await parked(world, reader, "readline")
            assert not task.done()
            reader.feed_data(b"%d\n" % n)
            assert await task == b"%d\n" % n
        task, _ = await parked(world, reader, "read", 9)
        reader.set_exception(OSError("gone"))
        with pytest.raises(OSError, match="gone"):
            await task

    world.run(main())


def test_a_reader_does_not_keep_what_ended_its_last_wait(world):
    class Gone(Exception):
        pass

    async def main():
        reader = world.m.StreamReader()
        task, future = await parked(world, reader, "read", 9)
        future.set_exception(Gone())
        error = weakref.ref(future.exception())
        del future
        with contextlib.suppress(Gone):
            await task
        del task
        await asyncio.sleep(0)  # the standard library's step holds what woke it
        gc.collect()
        assert error() is None
        reader.feed_data(b"it goes on")
        assert await reader.read(9) == b"it goes o"

    world.run(main())


def test_what_a_program_set_on_a_future_is_not_on_the_next_one(world):
    async def main():
        reader = world.m.StreamReader()
        for _ in range(3):
            task, future = await parked(world, reader, "read", 9)
            assert not hasattr(future, "seen")
            future.seen = True
            del future
            reader.feed_data(b"x")
            assert await task == b"x"

    world.run(main())


@pytest.mark.parametrize("how, args", [("read", (9,)), ("readexactly", (2,)), ("readline", ()), ("readuntil", (b"\n",))])
def test_bytes_that_woke_a_task_come_before_an_error_since(world, how, args):
    async def main():
        reader = world.m.StreamReader()
        task, _ = await parked(world, reader, how, *args)
        reader.feed_data(b"a\n")
        reader.set_exception(OSError("gone"))
        assert await task == b"a\n"
        with pytest.raises(OSError, match="gone"):
            await getattr(reader, how)(*args)

    world.run(main())


def test_an_error_after_too_few_bytes_is_raised(our_world):  # the standard library's reader waits for ever
    async def main():
        reader = our_world.m.StreamReader()
        task, _ = await parked(our_world, reader, "readline")
        reader.feed_data(b"a")
        reader.set_exception(OSError("gone"))
        with pytest.raises(OSError, match="gone"):
            await task

    our_world.run(main())


@pytest.mark.parametrize("where", ["reader", "readers", "protocol", "protocols", "wrapped"])
def test_who_is_put_before_a_reader_sees_the_bytes(world, where, monkeypatch):
    async def main():
        reader, seen = world.m.StreamReader(), []
        protocol = world.m.StreamReaderProtocol(reader)
        name = "feed_data" if where.startswith("reader") else "data_received"
        owner = reader if where.startswith("reader") else protocol
        plain = getattr(type(owner), name)

        def tap(self, data):
            seen.append(data)
            plain(self, data)

        class Tap(asyncio.Protocol):
            connection_made = protocol.connection_made
            connection_lost = protocol.connection_lost

            def data_received(self, data):
                tap(protocol, data)

            def __getattr__(self, name):
                return getattr(protocol, name)

        outer = Tap() if where == "wrapped" else protocol
        if where in ("reader", "protocol"):
            setattr(owner, name, types.MethodType(tap, owner))
        elif where != "wrapped":
            monkeypatch.setattr(type(owner), name, tap)
        mine, peer = socket.socketpair()
        with peer:
            transport, _ = await asyncio.get_running_loop().create_connection(lambda: outer, sock=mine)
            peer.sendall(b"hello")
            assert await reader.readexactly(5) == b"hello"
            transport.close()
        assert seen == [b"hello"]

    world.run(main())


def test_what_is_fed_to_another_reader_goes_there(world):
    async def main():
        reader, other = world.m.StreamReader(), world.m.StreamReader()
        reader.feed_data = other.feed_data
        protocol = world.m.StreamReaderProtocol(reader)
        mine, peer = socket.socketpair()
        with peer:
            transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, sock=mine)
            peer.sendall(b"hello")
            assert await other.readexactly(5) == b"hello"
            transport.close()

    world.run(main())


def test_two_readers_at_once_are_refused(world):
    async def main():
        reader = world.m.StreamReader()
        task = asyncio.ensure_future(reader.read(1))
        await until_parked(task)
        with pytest.raises(RuntimeError, match=r"readline\(\)|readuntil\(\)") as info:
            await reader.readline()
        assert "while another coroutine is already waiting for incoming data" in str(info.value)
        reader.feed_data(b"a")
        assert await task == b"a"

    world.run(main())


def test_the_error_wakes_the_reader_and_stays(world):
    async def main():
        reader = world.m.StreamReader()
        task = asyncio.ensure_future(reader.readline())
        await until_parked(task)
        error = ZeroDivisionError()
        reader.set_exception(error)
        with pytest.raises(ZeroDivisionError):
            await task
        assert reader.exception() is error
        for coro in (reader.read(), reader.read(0), reader.readexactly(0), reader.readuntil(b"a"), reader.__anext__()):
            with pytest.raises(ZeroDivisionError):
                await coro

    world.run(main())


def test_iteration_gives_lines_and_the_unfinished_last(world):
    async def main():
        reader = world.m.StreamReader()
        reader.feed_data(b"a\nb\n\nc")
        reader.feed_eof()
        assert [line async for line in reader] == [b"a\n", b"b\n", b"\n", b"c"]
        assert reader.at_eof()

    world.run(main())


def test_read_to_the_end_takes_more_than_the_limit(world):
    async def main():
        reader, transport = world.m.StreamReader(limit=4), Transport()
        reader.set_transport(transport)
        task = asyncio.ensure_future(reader.read())
        for _ in range(10):
            await asyncio.sleep(0)
            reader.feed_data(b"0123456789")
        reader.feed_eof()
        assert await task == b"0123456789" * 10
        assert transport.log.count("pause") - transport.log.count("resume") in (0, 1)

    world.run(main())


# --- the limit --------------------------------------------------------------------------------------------------------


def test_the_limit_error_names_limit_bytes_and_argument(our_world):
    async def main():
        reader = our_world.m.StreamReader(limit=5)
        reader.feed_data(b"0123456789")
        with pytest.raises(asyncio.LimitOverrunError, match="Separator is not found, and chunk exceed the limit") as info:
            await reader.readuntil(b"\r\n")
        assert info.value.consumed == 9
        for part in ("9 bytes", "limit is 5", "limit=", "open_connection()", "b'\\r\\n'"):
            assert part in str(info.value)
        reader.feed_data(b"\r\n")
        with pytest.raises(asyncio.LimitOverrunError, match="Separator is found, but chunk is longer than limit") as info:
            await reader.readuntil(b"\r\n")
        assert info.value.consumed == 10
        assert reader._buffer == b"0123456789\r\n"  # nothing is lost: the program can read what it was told of
        assert await reader.readexactly(info.value.consumed) == b"0123456789"

    our_world.run(main())


def test_a_line_over_the_limit_is_dropped_and_the_next_one_comes(world):
    async def main():
        reader = world.m.StreamReader(limit=5)
        reader.feed_data(b"0123456789\nnext\n")
        with pytest.raises(ValueError, match="longer than limit"):
            await reader.readline()
        assert await reader.readline() == b"next\n"
        reader.feed_data(b"0123456789")
        with pytest.raises(ValueError, match="exceed the limit"):
            await reader.readline()
        assert reader._buffer == b""
        reader.feed_data(b"12345\n")
        assert await reader.readline() == b"12345\n"

    world.run(main())


def test_a_limit_changed_later_or_infinite_counts(world):
    async def main():
        reader = world.m.StreamReader(limit=5)
        reader._limit = float("inf")
        reader.feed_data(b"0123456789\n")
        assert await reader.readline() == b"0123456789\n"
        reader.feed_data(b"rest")
        assert await reader.read(2**40) == b"rest"

    world.run(main())


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_lets_nothing_in_is_refused(world, limit):
    async def main():
        with pytest.raises(ValueError, match="Limit cannot be <= 0"):
            world.m.StreamReader(limit=limit)

    world.run(main())


def test_the_sender_is_paused_over_twice_the_limit_and_goes_on_at_it(world):
    async def main():
        reader, transport = world.m.StreamReader(limit=5), Transport()
        reader.set_transport(transport)
        reader.feed_data(b"0123456789")
        assert transport.log == []
        reader.feed_data(b"0")
        assert transport.log == ["pause"] and reader._paused and "paused" in repr(reader)
        await reader.read(5)
        assert transport.log == ["pause"]
        await reader.readexactly(1)
        assert transport.log == ["pause", "resume"] and not reader._paused

    world.run(main())


def test_waiting_for_more_than_was_paused_at_lets_the_sender_go_on(world):
    async def main():
        reader, transport = world.m.StreamReader(limit=5), Transport()
        reader.set_transport(transport)
        reader.feed_data(b"0" * 20)
        task = asyncio.ensure_future(reader.readexactly(50))
        await until_parked(task)
        assert transport.log == ["pause", "resume"]
        reader.feed_data(b"0" * 30)
        assert await task == b"0" * 50

    world.run(main())


def test_what_a_task_is_about_to_take_makes_no_sender_pause(our_world):
    async def main():
        reader, transport = our_world.m.StreamReader(limit=5), Transport()
        reader.set_transport(transport)
        for _ in range(2):
            task = asyncio.ensure_future(reader.readexactly(20))
            await until_parked(task)
            reader.feed_data(b"0" * 20)
            reader.feed_data(b"1" * 10)
            assert transport.log == [] and not task.done()
            assert await task == b"0" * 20
            await reader.readexactly(10)
        reader.feed_data(b"0" * 11)
        assert transport.log == ["pause"]

    our_world.run(main())


@pytest.mark.parametrize("read", [lambda reader: reader.read(), lambda reader: reader.read(100), lambda reader: reader.readline()])
def test_what_a_task_may_take_or_not_makes_the_sender_pause(world, read):
    async def main():
        reader, transport = world.m.StreamReader(limit=5), Transport()
        reader.set_transport(transport)
        task = asyncio.ensure_future(read(reader))
        await until_parked(task)
        reader.feed_data(b"0" * 10)
        assert transport.log == []
        reader.feed_data(b"\n")
        assert transport.log == ["pause"]
        reader.feed_eof()
        with contextlib.suppress(ValueError):  # a line over the limit
            await task

    world.run(main())


def test_a_task_that_gives_up_leaves_what_it_asked_for_to_the_pause(our_world):
    async def main():
        reader, transport = our_world.m.StreamReader(limit=5), Transport()
        reader.set_transport(transport)
        task = asyncio.ensure_future(reader.readexactly(20))
        await until_parked(task)
        reader.feed_data(b"0" * 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        reader.feed_data(b"0")
        assert transport.log == ["pause"] and len(reader._buffer) == 21

    our_world.run(main())


def test_a_transport_that_cannot_pause_is_asked_once(world):
    async def main():
        reader, transport = world.m.StreamReader(limit=1), Transport(can_pause=False)
        reader.set_transport(transport)
        for _ in range(3):
            reader.feed_data(b"0123")
        assert reader._transport is None and len(reader._buffer) == 12

    world.run(main())


# --- nonsense ---------------------------------------------------------------------------------------------------------


def test_nonsense_is_refused_and_nothing_is_lost(our_world):
    async def main():
        reader = our_world.m.StreamReader()
        reader.feed_data(b"ab")
        for coro in (
            reader.read("1"),
            reader.read(1.5),
            reader.read(None),
            reader.readexactly(2.0),
            reader.readuntil("text"),
            reader.readuntil(5),
            reader.readuntil((b"a", "b")),
        ):
            with pytest.raises(TypeError):
                await coro
        with pytest.raises(ValueError, match="less than zero"):
            await reader.readexactly(-1)
        for separator in (b"", (), (b"a", b"")):
            with pytest.raises(ValueError, match="Separator should"):
                await reader.readuntil(separator)
        for data in ("text", 5):
            with pytest.raises(TypeError):
                reader.feed_data(data)
        assert reader._buffer == b"ab"
        with pytest.raises(AssertionError, match="Transport already set"):
            reader.set_transport(Transport()), reader.set_transport(Transport())
        with pytest.raises(AssertionError, match="StreamReader"):
            our_world.m.StreamWriter(Transport(), None, object(), asyncio.get_running_loop())

    our_world.run(main())


def test_the_buffer_can_be_looked_at_and_put_in_place(world):
    async def main():
        reader = world.m.StreamReader()
        reader._buffer.extend(b"abc")
        assert len(reader._buffer) == 3 and reader._buffer.startswith(b"ab") and bytes(reader._buffer[:2]) == b"ab"
        reader._buffer = bytearray(b"xyz")
        assert await reader.read(2) == b"xy"
        reader._buffer.clear()
        assert reader._buffer == b""

    world.run(main())


def test_standard_classes_are_recognized_and_replaced():
    for module in (asyncio, asyncio.streams):
        assert issubclass(ours.StreamReader, module.StreamReader)
        assert issubclass(ours.StreamWriter, module.StreamWriter)
        assert issubclass(ours.StreamReaderProtocol, module.StreamReaderProtocol)
    kept = {"__del__", "_replace_writer"}  # a finalizer that finds nothing to do; what only 3.11's and 3.12's own writer calls
    for name in ("StreamReader", "StreamWriter", "StreamReaderProtocol"):
        mine, theirs = getattr(ours, name), getattr(asyncio, name)
        methods = {name for name, value in vars(theirs).items() if callable(value) or isinstance(value, property)}
        for method in methods - kept:
            assert getattr(mine, method) is not getattr(theirs, method), f"{name}.{method} is the standard library's code"
    assert _reader.StreamReader is ours.StreamReader


@pytest.mark.skipif(sys.version_info < (3, 12), reason="PEP 688 is 3.12's")
def test_the_buffer_is_bytes_like_for_the_loop_that_starts_tls(our_world):
    async def main():
        reader = our_world.m.StreamReader()
        reader.feed_data(b"hel")
        reader.feed_data(b"lo")
        bio = ssl.MemoryBIO()
        bio.write(reader._buffer)
        reader._buffer.clear()
        assert bio.read() == b"hello" and not reader._buffer

    our_world.run(main())


def test_statistics_tell_what_waits(our_world):
    async def main():
        reader = our_world.m.StreamReader(limit=7)
        reader.feed_data(b"ab")
        assert reader.statistics() == {"unread": 2, "pieces": 1, "kept": 2, "limit": 7, "paused": False}

    our_world.run(main())


def test_debug_mode_remembers_where_the_reader_was_made(world):
    async def main():
        reader = world.m.StreamReader()
        protocol = world.m.StreamReaderProtocol(reader)
        assert protocol._source_traceback is reader._source_traceback
        return reader._source_traceback[-1].name

    assert world.run(main(), debug=True) == "main"


# --- writing ----------------------------------------------------------------------------------------------------------


def connected(world, transport):
    loop = asyncio.get_running_loop()
    reader = world.m.StreamReader()
    protocol = world.m.StreamReaderProtocol(reader)
    protocol.connection_made(transport)
    return reader, world.m.StreamWriter(transport, protocol, reader, loop), protocol


def test_lines_come_by_a_readline_of_ones_own(world):
    class Shouting(world.m.StreamReader):
        async def readline(self):
            return (await super().readline()).upper()

    class Derived(Shouting):
        pass

    async def main():
        reader = Derived()
        reader.feed_data(b"a\nb\n")
        reader.feed_eof()
        assert [line async for line in reader] == [b"A\n", b"B\n"]

    world.run(main())


def test_drain_does_not_suspend_while_there_is_room(world):
    async def main():
        transport = Transport()
        _reader, writer, _protocol = connected(world, transport)
        writer.write(b"a")
        writer.writelines([b"b", b"c"])
        stepped(writer.drain())
        assert transport.log == [b"a", [b"b", b"c"]] and writer.transport is transport
        writer.close()
        assert writer.is_closing()

    world.run(main())


def test_drain_looks_when_it_is_awaited(world):
    async def main():
        _reader, writer, protocol = connected(world, Transport())
        call = writer.drain()
        task = asyncio.ensure_future(writer.drain())
        protocol.pause_writing()
        later = asyncio.ensure_future(call)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done() and not later.done()
        protocol.resume_writing()
        await asyncio.gather(task, later)
        call = writer.drain()
        protocol.connection_lost(ConnectionResetError("gone"))
        with pytest.raises(ConnectionResetError, match="gone"):
            await call
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await call
        writer.close()

    world.run(main())


def test_drain_waits_between_pause_and_resume(world):
    async def main():
        transport = Transport()
        _reader, writer, protocol = connected(world, transport)
        protocol.pause_writing()
        tasks = [asyncio.ensure_future(writer.drain()) for _ in range(3)]
        await until_parked(tasks[0])
        tasks[0].cancel()
        await asyncio.sleep(0)
        protocol.resume_writing()
        assert await asyncio.gather(*tasks[1:]) == [None, None]
        assert not protocol._drain_waiters
        writer.close()

    world.run(main())


@pytest.mark.parametrize("error", [None, ZeroDivisionError()], ids=["closed", "broken"])
def test_a_lost_connection_wakes_who_drains(world, error):
    async def main():
        transport = Transport()
        _reader, writer, protocol = connected(world, transport)
        protocol.pause_writing()
        task = asyncio.ensure_future(writer.drain())
        await until_parked(task)
        protocol.connection_lost(error)
        if error is None:
            assert await task is None
            await writer.wait_closed()
            with pytest.raises(ConnectionResetError, match="Connection lost"):
                await writer.drain()
        else:
            for coro in (task, writer.drain(), writer.wait_closed()):
                with pytest.raises(ZeroDivisionError):
                    await coro
        writer.close()

    world.run(main())


def test_an_error_that_nobody_waits_for_is_no_report(world, caplog):
    async def main():
        transport = Transport()
        _reader, writer, protocol = connected(world, transport)
        protocol.connection_lost(ConnectionResetError("gone"))
        writer.close()
        del writer, protocol, _reader
        gc.collect()

    with caplog.at_level(logging.ERROR, logger="asyncio"):
        world.run(main())
    assert not caplog.records


def test_drain_calls_the_helper_of_a_protocol_that_has_its_own(world):
    async def main():
        calls = []

        class Own(world.m.StreamReaderProtocol):
            async def _drain_helper(self):
                calls.append("own")

        transport = Transport()
        reader = world.m.StreamReader()
        writer = world.m.StreamWriter(transport, Own(reader), reader, asyncio.get_running_loop())
        await writer.drain()
        assert calls == ["own"]
        writer.close()

    world.run(main())


def test_a_writer_left_open_is_closed_with_a_warning(world):
    async def main():
        transport = Transport()
        _reader, writer, protocol = connected(world, transport)
        with pytest.warns(ResourceWarning, match="unclosed <StreamWriter"):
            del writer
            gc.collect()
        assert transport.closing
        del protocol

    if not hasattr(asyncio.StreamWriter, "__del__"):
        pytest.skip("this Python's own writer does not warn") if world.m is asyncio else None
    world.run(main())


# --- over TCP ---------------------------------------------------------------------------------------------------------


async def echo_lines(reader, writer):
    async for line in reader:
        writer.write(line)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def serving(world, handler, **kwds):
    server = await world.m.start_server(handler, "127.0.0.1", 0, **kwds)
    return server, server.sockets[0].getsockname()[:2]


def test_lines_are_echoed_and_the_end_is_seen(world):
    async def main():
        server, address = await serving(world, echo_lines)
        reader, writer = await world.m.open_connection(*address)
        for n in range(50):
            writer.write(b"line %d\n" % n)
            assert await reader.readline() == b"line %d\n" % n
        assert writer.can_write_eof() and writer.get_extra_info("peername")[:2] == address
        writer.write_eof()
        assert await reader.read() == b"" and reader.at_eof()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    world.run(main())


def test_large_blocks_are_whole_wherever_they_are_cut(world):
    data = random.Random(3).randbytes(3_000_000)
    sizes = [1, 32_767, 32_768, 65_536, 5, 65_536, 300_000, 40_000, 0, 120 * 1024, 120 * 1024 + 1]

    async def handler(reader, writer):
        for at in range(0, len(data), 70_001):
            writer.write(data[at : at + 70_001])
            await writer.drain()
            if at % 3 == 0:
                await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()

    async def main():
        server, address = await serving(world, handler)
        reader, writer = await world.m.open_connection(*address)
        at = 0
        for size in itertools.cycle(sizes):
            if at + size > len(data):
                break
            assert await reader.readexactly(size) == data[at : at + size]
            at += size
        with pytest.raises(asyncio.IncompleteReadError) as failed:
            await reader.readexactly(1_000_000)
        assert failed.value.partial == data[at:]
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    world.run(main())


def test_much_data_through_both_flow_controls_arrives_whole(world):
    data = bytes(range(256)) * 20_000

    async def handler(reader, writer):
        while block := await reader.read(50_000):
            writer.write(block)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main():
        server, address = await serving(world, handler, limit=10_000)
        reader, writer = await world.m.open_connection(*address, limit=3_000)

        async def send():
            for at in range(0, len(data), 70_000):
                writer.write(data[at : at + 70_000])
                await writer.drain()
            writer.write_eof()

        sending = asyncio.ensure_future(send())
        head = await reader.readexactly(1_000_000)
        assert head + await reader.read() == data
        await sending
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    world.run(main())


def test_a_failing_client_callback_is_reported_and_the_connection_closed(our_world):
    def plain(reader, writer):
        raise ZeroDivisionError("plain")

    async def coroutine(reader, writer):
        raise ZeroDivisionError("coroutine")

    async def cancelled(reader, writer):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    async def main():
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        for handler in (plain, coroutine, cancelled):
            server, address = await serving(our_world, handler)
            reader, writer = await our_world.m.open_connection(*address)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
            server.close()
            await server.wait_closed()
        assert [(context["message"], str(context["exception"])) for context in told] == [
            ("Unhandled exception in client_connected_cb", "plain"),
            ("Unhandled exception in client_connected_cb", "coroutine"),
        ]
        assert all(context["transport"].is_closing() for context in told)

    our_world.run(main())


def test_writing_to_a_peer_that_is_gone_ends_in_an_error(world):
    async def main():
        server, address = await serving(world, lambda reader, writer: writer.close())
        _reader, writer = await world.m.open_connection(*address)
        with pytest.raises(ConnectionError):
            while True:
                writer.write(b"x" * 1000)
                await writer.drain()
        writer.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                await writer.wait_closed()
            except ConnectionError:
                pass
        server.close()
        await server.wait_closed()

    world.run(main())


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no UNIX sockets here")
@pytest.mark.parametrize("name", ["stock", "streams"])
def test_unix_sockets_are_served_and_connected_to(name, tmp_path):
    world = World(name)

    async def main():
        path = str(tmp_path / "socket")
        server = await world.m.start_unix_server(echo_lines, path)
        reader, writer = await world.m.open_unix_connection(path)
        writer.write(b"line\n")
        assert await reader.readline() == b"line\n"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    world.run(main())
