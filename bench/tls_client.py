"""The load over TLS: the words on the pipes are load_client's, the other end of each connection is an SSL socket here.

usage: tls_client.py PORT CONNECTIONS REPEAT REQUEST
The message is REQUEST, REPEAT times; an echo of it is expected, and checked. Python's sockets are slower than the C client, so
that all connections are written to before any is read from: the server then has many to serve in one poll, as under load.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import sys


def main(port: int, connections: int, message: bytes) -> None:
    """Connect, say so, then exchange as many messages as each line of standard input asks for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    poller = selectors.DefaultSelector()
    links: list[Link] = []
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock = context.wrap_socket(sock)
        sock.setblocking(False)
        link = Link(sock, message)
        links.append(link)
        poller.register(sock, selectors.EVENT_READ, link)
    print("ready", flush=True)
    for line in sys.stdin:
        exchange(poller, links, int(line))
        print("done", flush=True)


class Link:
    """One connection: what is still to be sent of the message, and to come of its echo."""

    def __init__(self, sock: ssl.SSLSocket, message: bytes) -> None:
        self.sock = sock
        self.message = memoryview(message)
        self.unsent = 0
        self.missing = 0

    def ask(self) -> None:
        self.unsent = self.missing = len(self.message)
        self.push()

    def push(self) -> None:
        while self.unsent:
            try:
                self.unsent -= self.sock.send(self.message[len(self.message) - self.unsent :][:65536])
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return

    def pull(self) -> bool:
        """Read what has come. True if the echo is whole."""
        while self.missing:
            try:
                data = self.sock.recv(65536)
            except ssl.SSLWantReadError:
                return False
            place = len(self.message) - self.missing
            if not data or data != self.message[place : place + len(data)]:
                sys.exit("tls_client: the reply is not what was asked for, or the server closed the connection")
            self.missing -= len(data)
        return True


def exchange(poller: selectors.BaseSelector, links: list[Link], times: int) -> None:
    """Return when so many echoes have come."""
    sent = received = 0
    for link in links[:times]:
        link.ask()
        sent += 1
    while received < times:
        whole = []
        for key, _ in poller.select(0.05):
            link = key.data
            if link.missing and link.pull():
                whole.append(link)
        received += len(whole)
        for link in whole[: times - sent]:
            link.ask()
            sent += 1
        for link in links:
            if link.unsent:
                link.push()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[4].encode() * int(sys.argv[3]))
