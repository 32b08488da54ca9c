"""The load without a C compiler: same arguments and same words on the pipes as load_client.c, see there.

usage: load_client.py WHERE CONNECTIONS REPLY_BYTES REQUEST [echo]
Slower than the C form: then the server waits for the client at times, and pays more polls a message.
"""

from __future__ import annotations

import selectors
import socket
import sys


def connect_to(where: str) -> socket.socket:
    """A socket connected to a TCP port, to udp:PORT or to unix:PATH."""
    kind, _, rest = where.rpartition(":")
    if kind == "unix":
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.connect(rest)
        return link
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    link.connect(("127.0.0.1", int(rest)))
    if not kind:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def main(where: str, connections: int, reply_bytes: int, request: bytes, check_echo: bool) -> None:
    """Connect, say so, then exchange as many messages as each line of standard input asks for."""
    poller = selectors.DefaultSelector()
    missing: dict[socket.socket, int] = {}
    for _ in range(connections):
        link = connect_to(where)
        poller.register(link, selectors.EVENT_READ)
        missing[link] = 0
    print("ready", flush=True)
    for line in sys.stdin:
        times = int(line)
        sent = 0
        for link in list(missing)[:times]:
            link.sendall(request)
            missing[link] = reply_bytes
            sent += 1
        received = 0
        while received < times:
            for key, _ in poller.select():
                link = key.fileobj
                data = link.recv(1 << 16)
                place = reply_bytes - missing[link]
                missing[link] -= len(data)
                if not data or missing[link] < 0 or (check_echo and data != request[place : place + len(data)]):
                    sys.exit("load_client: the reply is not what was asked for, or the server closed the connection")
                if missing[link]:
                    continue
                received += 1
                if sent < times:
                    link.sendall(request)
                    missing[link] = reply_bytes
                    sent += 1
        print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].encode(), len(sys.argv) > 5)
