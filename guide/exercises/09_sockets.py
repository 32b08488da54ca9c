"""Exercises of chapter 9, solved: python -m pytest guide/exercises/09_sockets.py"""

import socket
from importlib import import_module

chapter9 = import_module("09_sockets")
Loop, recv, send_all, connect, accept = chapter9.Loop, chapter9.recv, chapter9.send_all, chapter9.connect, chapter9.accept


def pair():
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return ends


def recv_exactly(loop, sock, size):
    """1. Exactly `size` bytes, in however many pieces they come. EOFError if the stream ends before."""
    pieces = []
    while size:
        data = yield from recv(loop, sock, size)
        if not data:
            raise EOFError(f"{size} bytes are missing")
        pieces.append(data)
        size -= len(data)
    return b"".join(pieces)


def test_the_pieces_are_put_together_and_a_stream_that_ends_too_early_is_an_error():
    loop = Loop()
    here, there = pair()
    got = []

    def read():
        got.append((yield from recv_exactly(loop, here, 6)))
        try:
            yield from recv_exactly(loop, here, 6)
        except EOFError as error:
            got.append(str(error))

    def write():
        for piece in b"one", b"two", b"thre":
            yield from send_all(loop, there, piece)
            yield
        there.close()

    chapter9.together(loop, read(), write())
    assert got == [b"onetwo", "2 bytes are missing"]
    here.close()
    loop.close()


def one_way(loop, source, target):
    while data := (yield from recv(loop, source, 65536)):
        yield from send_all(loop, target, data)
    target.shutdown(socket.SHUT_WR)  # the end is passed on too; the other way may still be in use


def relay(loop, caller, address):
    """2. Passes on what comes, both ways at the same time, to a server and back."""
    with caller, (yield from connect(loop, address)) as server:
        there = loop.create_task(one_way(loop, caller, server))
        yield from one_way(loop, server, caller)
        yield from there


def test_a_caller_talks_to_the_echo_server_through_the_relay():
    loop = Loop()
    echo_listener, relay_listener = chapter9.listen(), chapter9.listen()
    heard = []

    def serve_one():
        yield from chapter9.echo(loop, (yield from accept(loop, echo_listener)))

    def relay_one():
        yield from relay(loop, (yield from accept(loop, relay_listener)), echo_listener.getsockname())

    def caller():
        with (yield from connect(loop, relay_listener.getsockname())) as sock:
            yield from send_all(loop, sock, b"hello")
            heard.append((yield from recv(loop, sock, 100)))
            sock.shutdown(socket.SHUT_WR)
            heard.append((yield from recv(loop, sock, 100)))

    chapter9.together(loop, serve_one(), relay_one(), caller())
    assert heard == [b"hello", b""]
    echo_listener.close()
    relay_listener.close()
    loop.close()


def test_two_tasks_cannot_wait_for_the_same_end_of_a_socket():
    """3. What would happen if `watch` did not refuse?"""
    loop = Loop()
    here, there = pair()
    refused = []

    def read(name):
        try:
            yield from recv(loop, here, 100)
        except RuntimeError:
            refused.append(name)

    def write():
        yield
        yield from send_all(loop, there, b"for one of you")

    chapter9.together(loop, read("first"), read("second"), write())
    assert refused == ["second"]
    here.close()
    there.close()
    loop.close()
