"""`sock_*`: tried at once, awaited if need be, cancelled without a loss."""

from __future__ import annotations

import array
import asyncio
import os
import socket
import ssl
from typing import Any

import pytest

import yieldloop


def pair() -> tuple[Any, Any]:
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


def test_bytes_go_both_ways_in_any_size(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            payload = bytes(range(256)) * 20_000
            sending = loop.create_task(loop.sock_sendall(one, payload))
            got = bytearray()
            memory = bytearray(50_000)
            while len(got) < len(payload):
                if len(got) % 2:
                    got += await loop.sock_recv(other, 33_333)
                else:
                    got += memory[: await loop.sock_recv_into(other, memory)]
            await sending
            assert bytes(got) == payload
            one.shutdown(socket.SHUT_WR)
            assert await loop.sock_recv(other, 1) == b""

    api.run(main())


def test_a_cancelled_receive_loses_nothing(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            receiving = loop.create_task(loop.sock_recv(other, 100))
            await asyncio.sleep(0)
            receiving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await receiving
            await loop.sock_sendall(one, b"kept")
            assert await loop.sock_recv(other, 100) == b"kept"

    api.run(main())


def test_two_tasks_may_wait_for_one_socket(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            both = [loop.create_task(loop.sock_recv(other, 1)) for _ in range(2)]
            await asyncio.sleep(0)
            one.send(b"a")
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED, timeout=5)
            assert len(done) == 1
            one.send(b"b")
            assert sorted(await asyncio.gather(*both)) == [b"a", b"b"]

    ours.run(main())


def test_connect_and_accept(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
            listener.setblocking(False)
            client.setblocking(False)
            accepting = loop.create_task(loop.sock_accept(listener))
            await loop.sock_connect(client, ("localhost", listener.getsockname()[1]))
            conn, address = await accepting
            with conn:
                assert conn.gettimeout() == 0 and address == client.getsockname()

    api.run(main())


def test_a_refused_connect_raises(api: Any) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
        with socket.socket() as client:
            client.setblocking(False)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.get_running_loop().sock_connect(client, address)

    api.run(main())


def test_datagrams(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
            for sock in (one, other):
                sock.bind(("127.0.0.1", 0))
                sock.setblocking(False)
            receiving = loop.create_task(loop.sock_recvfrom(other, 100))
            await asyncio.sleep(0)
            assert await loop.sock_sendto(one, b"first", other.getsockname()) == 5
            assert await receiving == (b"first", one.getsockname())
            await loop.sock_sendto(one, b"second", other.getsockname())
            memory = bytearray(10)
            assert await loop.sock_recvfrom_into(other, memory) == (6, one.getsockname())
            assert memory[:6] == b"second"

    api.run(main())


def test_unfit_sockets_are_refused(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        one.setblocking(True)
        with one, other:
            with pytest.raises(ValueError, match="must be non-blocking"):
                await loop.sock_recv(one, 1)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            with context.wrap_socket(other, do_handshake_on_connect=False) as wrapped:
                with pytest.raises(TypeError, match="Socket cannot be of type SSLSocket"):
                    await loop.sock_sendall(wrapped, b"")

    api.run(main(), debug=True)


# --- whose readiness, whose number ---------------------------------------------------------------------------------------


async def parked(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_call_does_nothing_before_it_is_awaited(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            one.send(b"here")
            call = loop.sock_recv(other, 10)
            assert asyncio.iscoroutine(call)
            call.close()
            task = loop.create_task(loop.sock_recv(other, 10))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await loop.sock_recv(other, 10) == b"here"

    ours.run(main())


def test_a_call_that_nobody_awaits_is_warned_about(ours: Any) -> None:
    async def main() -> None:
        one, other = pair()
        with one, other, pytest.warns(RuntimeWarning, match="'sock_recv' was never awaited"):
            asyncio.get_running_loop().sock_recv(other, 1)

    ours.run(main())


def test_a_call_is_used_once(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            call = loop.sock_sendall(one, b"x")
            await call
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await call

    ours.run(main())


def test_what_is_there_is_received_without_suspending(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            one.send(b"abc")
            with pytest.raises(StopIteration) as stop:
                loop.sock_recv(other, 2).send(None)
            assert stop.value.value == b"ab"

    ours.run(main())


def test_a_reader_and_a_writer_share_a_socket(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        payload = bytes(range(256)) * 8_000
        with one, other:
            receiving = loop.create_task(loop.sock_recv(one, 10))
            sending = loop.create_task(loop.sock_sendall(one, payload))
            await parked()
            got = 0
            while got < len(payload):
                got += len(await loop.sock_recv(other, 65536))
            await sending
            await loop.sock_sendall(other, b"back")
            assert await receiving == b"back"

    api.run(main())


def test_many_readers_get_a_byte_each(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            tasks = [loop.create_task(loop.sock_recv(other, 1)) for _ in range(10)]
            await parked()
            for task in tasks[::3]:
                task.cancel()
            one.send(b"abcdef")
            left = [task for i, task in enumerate(tasks) if i % 3]
            assert sorted(await asyncio.gather(*left)) == [bytes([c]) for c in b"abcdef"]

    ours.run(main())


def test_one_who_is_cancelled_after_the_wake_up_leaves_the_bytes_to_the_next(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            first, second = (loop.create_task(loop.sock_recv(other, 10)) for _ in range(2))
            await parked()
            one.send(b"only")
            first.add_done_callback(lambda _: None)
            loop.call_soon(first.cancel)
            assert await second == b"only"
            with pytest.raises(asyncio.CancelledError):
                await first

    ours.run(main())


def test_a_socket_closed_without_a_word_is_no_obstacle_to_the_next_of_its_number(api: Any) -> None:
    """The registration of the first must not be taken for that of the second (epoll drops it silently at the close)."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for turn in range(3):
            one, other = pair()
            number = other.fileno()
            if turn:
                assert number == last  # noqa: F821
            last = number  # noqa: F841
            receiving = loop.create_task(loop.sock_recv(other, 10))
            await parked()
            one.send(b"word")
            assert await asyncio.wait_for(receiving, 10) == b"word"
            one.close()
            other.close()

    api.run(main())


def test_a_transport_may_get_the_number_of_a_socket_that_was_read_from(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        receiving = loop.create_task(loop.sock_recv(other, 10))
        await parked()
        one.send(b"x")
        await receiving
        number = other.fileno()
        other.close()
        fresh, far = pair()
        with one, far:
            moved = fresh if fresh.fileno() == number else far
            assert moved is fresh
            reader, writer = await asyncio.open_connection(sock=fresh)
            far.send(b"line\n")
            assert await asyncio.wait_for(reader.readline(), 10) == b"line\n"
            writer.close()
            await writer.wait_closed()

    api.run(main())


def test_a_socket_goes_from_calls_to_a_transport(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with other:
            receiving = loop.create_task(loop.sock_recv(one, 10))
            await parked()
            other.send(b"x")
            assert await receiving == b"x"
            reader, writer = await asyncio.open_connection(sock=one)
            other.send(b"line\n")
            assert await asyncio.wait_for(reader.readline(), 10) == b"line\n"
            with pytest.raises(RuntimeError, match="is used by transport"):
                await loop.sock_recv(one, 10)
            writer.close()
            await writer.wait_closed()

    api.run(main())


def test_whoever_waits_for_a_socket_that_is_closed_does_not_take_its_successors_bytes(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        number = other.fileno()
        late = loop.create_task(loop.sock_recv(other, 10))
        await parked()
        other.close()
        fresh, far = pair()
        assert fresh.fileno() == number
        with one, fresh, far:
            receiving = loop.create_task(loop.sock_recv(fresh, 10))
            await parked()
            far.send(b"mine")
            assert await asyncio.wait_for(receiving, 10) == b"mine"
            with pytest.raises(OSError, match="was closed while a task waited for it in sock_recv"):
                await asyncio.wait_for(late, 10)

    ours.run(main())


def test_a_closed_socket_is_noticed_by_an_idle_loop(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one:
            waiting = loop.create_task(loop.sock_recv(other, 10))
            await parked()
            other.close()
            with pytest.raises(OSError, match="closed"):
                await asyncio.wait_for(waiting, 10)

    ours.run(main())


def test_another_file_in_the_place_of_the_old_one_is_noticed(ours: Any) -> None:
    """dup2(2) over a socket's number: the object is the same, the registration is gone."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        two, another = pair()
        with one, other, two, another:
            receiving = loop.create_task(loop.sock_recv(other, 10))
            await parked()
            one.send(b"x")
            await receiving
            os.dup2(another.fileno(), other.fileno())
            receiving = loop.create_task(loop.sock_recv(other, 10))
            await parked()
            two.send(b"moved")
            assert await asyncio.wait_for(receiving, 10) == b"moved"

    ours.run(main())


def test_add_reader_takes_the_socket_and_says_so(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            receiving = loop.create_task(loop.sock_recv(other, 10))
            await parked()
            readable = loop.create_future()
            loop.add_reader(other, readable.set_result, None)
            one.send(b"x")
            await readable
            loop.remove_reader(other)
            with pytest.raises(RuntimeError, match="took the descriptor"):
                await receiving
            assert await loop.sock_recv(other, 10) == b"x"

    ours.run(main())


@pytest.mark.parametrize("later", [False, True])
def test_a_call_whose_reader_was_removed_waits_until_it_is_cancelled(api: Any, later: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        with listening:
            accepting = loop.create_task(loop.sock_accept(listening))
            await parked()
            assert loop.remove_reader(listening)
            if later:
                with socket.create_connection(listening.getsockname()):
                    await parked()
            assert not accepting.done()
            accepting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await accepting

    api.run(main())


def test_a_call_takes_the_place_of_a_reader(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        called = []
        with one, other:
            loop.add_reader(other, called.append, None)
            receiving = loop.create_task(loop.sock_recv(other, 10))
            await parked()
            one.send(b"x")
            assert await receiving == b"x"
            assert not called and not loop.remove_reader(other)

    api.run(main())


def test_waiting_again_for_a_socket_costs_no_registration(our_loop: Any) -> None:
    poller = our_loop._poller
    if poller.name != "epoll":
        pytest.skip("only a set in the kernel has registrations")

    async def main() -> None:
        one, other = pair()
        with one, other:
            for _ in range(5):
                receiving = our_loop.create_task(our_loop.sock_recv(other, 10))
                await parked()
                one.send(b"x")
                await receiving
                assert poller.statistics()["registered"] == 1 and poller.reader(other.fileno()) is None

    our_loop.run_until_complete(main())


def test_blocking_sockets_do_not_hold_up_the_loop(ours: Any) -> None:
    if not yieldloop.compiled():
        pytest.skip("interpreted, the socket's own method is called, which blocks as in the standard library")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        with one, other:
            receiving = loop.create_task(loop.sock_recv(other, 10))
            await parked()
            await loop.sock_sendall(one, b"x")
            assert await receiving == b"x"

    ours.run(main())


def test_sockets_of_another_class_are_asked_by_their_methods(api: Any) -> None:
    class Loud(socket.socket):
        def recv(self, *args: Any) -> bytes:
            return super().recv(*args).upper()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, Loud(fileno=other.detach()) as loud:
            loud.setblocking(False)
            receiving = loop.create_task(loop.sock_recv(loud, 10))
            await parked()
            await loop.sock_sendall(one, b"quiet")
            assert await receiving == b"QUIET"

    api.run(main())


def test_what_is_sent_may_be_any_buffer(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        words = array.array("I", range(100_000))
        with one, other:
            sending = loop.create_task(loop.sock_sendall(one, words))
            got = b""
            while len(got) < words.itemsize * len(words):
                got += await loop.sock_recv(other, 1 << 20)
            await sending
            assert got == words.tobytes()
            for nothing in (b"", bytearray(), memoryview(b"")):
                await loop.sock_sendall(one, nothing)
            with pytest.raises(TypeError, match="bytes-like"):
                await loop.sock_sendall(one, "text")

    ours.run(main())


def test_odd_sizes_are_answered_as_the_socket_answers(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            assert await loop.sock_recv(other, 0) == b""
            assert await loop.sock_recv_into(other, bytearray()) == 0
            with pytest.raises(ValueError, match="negative"):
                await loop.sock_recv(other, -1)
            with pytest.raises(TypeError):
                await loop.sock_recv(other, "ten")
            with pytest.raises((TypeError, BufferError)):
                await loop.sock_recv_into(other, b"fixed")

    api.run(main())


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no UNIX sockets")
def test_a_full_queue_of_connections_is_waited_for(ours: Any, tmp_path: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        path = str(tmp_path / "s")
        clients = [socket.socket(socket.AF_UNIX) for _ in range(5)]
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(0)
            listener.setblocking(False)
            for client in clients:
                client.setblocking(False)
            connecting = [loop.create_task(loop.sock_connect(client, path)) for client in clients]
            accepted = [await loop.sock_accept(listener) for _ in clients]
            await asyncio.gather(*connecting)
            for client in clients:
                client.getpeername()
            for conn, _ in accepted:
                conn.close()
            for client in clients:
                client.close()

    ours.run(main())
