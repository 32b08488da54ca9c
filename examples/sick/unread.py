"""Sick: a callback is told that a socket can be read, and does not read. So the poll returns at once, again and again.

    yieldloop run examples/sick/unread.py

warns after a second and names the descriptor, its peer and the callback. Everything else goes on, so nobody notices but the fan.
"""

import asyncio
import socket


def on_readable(news: list[str]) -> None:  # HERE it takes note, and takes nothing from the socket
    news[:] = ["there is something to read"]


async def main() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    connection, _ = server.accept()
    print("{}:{}".format(*connection.getpeername()), flush=True)
    asyncio.get_running_loop().add_reader(connection, on_readable, [])
    client.send(b"hello")
    while True:
        await asyncio.sleep(0.05)


asyncio.run(main())
