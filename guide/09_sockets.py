"""Chapter 9: sockets. The loop asks the kernel which of them are ready, and sleeps meanwhile; an echo server."""

import os
import selectors
import socket
import sys
from importlib import import_module
from selectors import EVENT_READ, EVENT_WRITE

chapter8 = import_module("08_time")
Future, wake, together = chapter8.Future, chapter8.wake, chapter8.together


class Loop(chapter8.Loop):
    def __init__(self):
        super().__init__()
        self.selector = selectors.DefaultSelector()

    def wait(self, timeout):
        """Sleep until a socket is ready or the time is over, whichever is first."""
        if timeout is None and not self.selector.get_map():
            raise RuntimeError("nothing is ready, and nothing is left that could make something ready")
        for key, events in self.selector.select(timeout):
            for event, callback in key.data.items():
                if events & event:
                    callback()

    def watch(self, sock, event, callback):
        """Have `callback` called whenever the socket is ready for the event; None: no longer."""
        known = self.selector.get_map().get(sock)
        callbacks = known.data if known else {}
        if callback and callbacks.get(event, callback) != callback:
            raise RuntimeError(f"somebody else waits for {sock} already")
        callbacks = callbacks | {event: callback}
        callbacks = {event: callback for event, callback in callbacks.items() if callback}
        if known:
            self.selector.unregister(sock)
        if callbacks:
            self.selector.register(sock, sum(callbacks), callbacks)

    def close(self):
        self.selector.close()


def ready_for(loop, sock, event):
    """Park until the socket can be read from, or written to."""
    woken = Future(loop)
    loop.watch(sock, event, lambda: wake(woken))
    try:
        yield from woken
    finally:
        loop.watch(sock, event, None)


def accept(loop, listener):
    while True:
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            yield from ready_for(loop, listener, EVENT_READ)
        else:
            sock.setblocking(False)
            return sock


def recv(loop, sock, size):
    """Some bytes, `size` at most, as soon as there are any; b"" at the end."""
    while True:
        try:
            return sock.recv(size)
        except BlockingIOError:
            yield from ready_for(loop, sock, EVENT_READ)


def send_all(loop, sock, data):
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[sock.send(rest) :]
        except BlockingIOError:
            yield from ready_for(loop, sock, EVENT_WRITE)


def connect(loop, address):
    sock = socket.socket()
    sock.setblocking(False)
    try:
        try:
            sock.connect(address)
        except BlockingIOError:
            yield from ready_for(loop, sock, EVENT_WRITE)
        if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
    except BaseException:
        sock.close()
        raise
    return sock


def echo(loop, sock):
    """One connection: send back what comes."""
    with sock:
        while data := (yield from recv(loop, sock, 65536)):
            yield from send_all(loop, sock, data)


def serve(loop, listener):
    """The server: a task for each connection."""
    with listener:
        while True:
            loop.create_task(echo(loop, (yield from accept(loop, listener))))


def client(loop, address, name, heard):
    with (yield from connect(loop, address)) as sock:
        for word in f"{name} says hello".split():
            yield from send_all(loop, sock, word.encode())
            heard.append((yield from recv(loop, sock, 1024)).decode())


def listen(port=0):
    listener = socket.create_server(("127.0.0.1", port))
    listener.setblocking(False)
    return listener


def main():
    print("a socket that does not block says so instead")
    here, there = socket.socketpair()
    here.setblocking(False)
    try:
        here.recv(100)
    except BlockingIOError:
        print("  nothing there: BlockingIOError")
    with selectors.DefaultSelector() as selector:
        selector.register(here, EVENT_READ)
        print("  ready for reading:", len(selector.select(timeout=0)))
        there.send(b"a word")
        print("  ready for reading:", len(selector.select()))
    print("  received:", here.recv(100))

    print("send takes what the kernel has room for")
    there.setblocking(False)
    much = bytes(1_000_000)
    print("  all of it:", there.send(much) == len(much))
    here.close()
    there.close()

    loop = Loop()
    listener = listen()
    address = listener.getsockname()
    server = loop.create_task(serve(loop, listener))

    print("an echo server, and three clients at the same time")
    heard = {name: [] for name in ("anna", "ben", "cleo")}
    together(loop, *[client(loop, address, name, words) for name, words in heard.items()])
    for name, words in heard.items():
        print(f"  {name} heard", words)

    print("a million bytes go out and come back, though the kernel has no room for them")
    here, there = socket.socketpair()

    def both_ways():
        sending = loop.create_task(send_all(loop, here, much))
        missing = len(much)
        while missing:
            missing -= len((yield from recv(loop, here, 65536)))
        yield from sending
        print("  missing:", missing)
        here.close()

    for end in here, there:
        end.setblocking(False)
    together(loop, echo(loop, there), both_ways())

    print("nobody listens any more")
    server.cancel()
    loop.run_once()
    try:
        together(loop, client(loop, address, "anna", []))
    except ConnectionRefusedError:
        print("  ConnectionRefusedError")
    loop.close()


if __name__ == "__main__":
    if sys.argv[1:]:  # a port: serve there until Ctrl-C
        loop = Loop()
        try:
            together(loop, serve(loop, listen(int(sys.argv[1]))))
        except KeyboardInterrupt:
            pass
    else:
        main()
