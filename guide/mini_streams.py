"""Streams on the mini asyncio: bytes in and out, with `await` where there are none yet or no room."""

import os
import socket
import traceback
from selectors import EVENT_READ, EVENT_WRITE

from mini import Future, create_task, gather, get_running_loop, ready_for, to_thread


class StreamReader:
    """Reads when it is asked to: what nobody reads stays in the kernel, and in the end makes the sender wait."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()

    async def more(self):
        """Take what the kernel has, or wait for it. False at the end of the stream."""
        while True:
            try:
                data = self.sock.recv(65536) if self.sock.fileno() >= 0 else b""
            except BlockingIOError:
                await ready_for(self.sock, EVENT_READ)
            else:
                self.buffer += data
                return bool(data)

    def take(self, size):
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    async def read(self, size=-1):
        if size < 0:
            while await self.more():
                pass
            size = len(self.buffer)
        elif size > 0 and not self.buffer:
            await self.more()
        return self.take(size)

    async def readexactly(self, size):
        while len(self.buffer) < size:
            if not await self.more():
                raise EOFError(f"the stream ended {size - len(self.buffer)} bytes too early")
        return self.take(size)

    async def readline(self):
        while b"\n" not in self.buffer:
            if not await self.more():
                return self.take(len(self.buffer))
        return self.take(self.buffer.index(b"\n") + 1)


class StreamWriter:
    """Sends what the kernel takes at once, and the rest when there is room for it."""

    def __init__(self, sock):
        self.sock = sock
        self.loop = get_running_loop()
        self.unsent = bytearray()
        self.draining = []
        self.error = None
        self.closing = False

    def write(self, data):
        self.unsent += data
        if len(self.unsent) == len(data):  # nothing was waiting
            self.flush()

    def flush(self):
        try:
            del self.unsent[: self.sock.send(self.unsent)]
        except BlockingIOError:
            pass
        except OSError as error:
            self.error = error
            self.unsent.clear()
        if self.sock.fileno() >= 0:
            self.loop.watch(self.sock, EVENT_WRITE, self.flush if self.unsent else None)
        if not self.unsent:
            while self.draining:
                self.draining.pop().wake()
            if self.closing:
                self.loop.close_socket(self.sock)

    async def drain(self):
        """Wait until everything is sent: so a slow reader makes a slow writer."""
        if self.unsent:
            room = Future()
            self.draining.append(room)
            await room
        if self.error is not None:
            raise self.error

    def close(self):
        """Send the rest, then close."""
        self.closing = True
        if not self.unsent:
            self.loop.close_socket(self.sock)

    async def wait_closed(self):
        await self.drain()


async def open_connection(host, port):
    found = await to_thread(socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM)
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        try:
            sock.connect(address)
        except BlockingIOError:
            await ready_for(sock, EVENT_WRITE)
        if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
    except BaseException:
        sock.close()
        raise
    return StreamReader(sock), StreamWriter(sock)


class Server:
    """Accepts connections, and runs a task for each of them."""

    def __init__(self, handler, sock):
        self.handler, self.sockets = handler, [sock]
        self.tasks = {create_task(self.accept(sock))}

    async def accept(self, listener):
        while listener.fileno() >= 0:
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                await ready_for(listener, EVENT_READ)
            except ConnectionAbortedError:
                pass  # whoever called has gone again
            else:
                sock.setblocking(False)
                self.connected(StreamReader(sock), StreamWriter(sock))

    def connected(self, reader, writer):
        task = create_task(self.handler(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(lambda task: self.over(task, writer))

    def over(self, task, writer):
        """In a done-callback and not in a `finally`: a task that is cancelled before its first step has entered no `try`."""
        self.tasks.discard(task)
        writer.close()
        if isinstance(task.error, Exception):
            traceback.print_exception(task.error)

    def close(self):
        """No new connections; those that are there go on."""
        get_running_loop().close_socket(self.sockets[0])

    async def wait_closed(self):
        await gather(*self.tasks, return_exceptions=True)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        self.close()
        await self.wait_closed()


async def start_server(handler, host, port):
    sock = socket.create_server((host, port))
    sock.setblocking(False)
    return Server(handler, sock)
