"""Chapter 12: the mini asyncio at work: an HTTP server and an HTTP client, with each other and with strangers."""

import http.server
import threading
import urllib.request

import mini
import mini_streams


async def read_head(reader):
    """The first line and the headers of a request or of a response; None if the connection has ended instead."""
    first = (await reader.readline()).decode().rstrip()
    headers = {}
    while line := (await reader.readline()).decode().rstrip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return (first, headers) if first else None


class Site:
    """A server of four pages. One of them is not answered before another one is asked for, and one is never answered."""

    def __init__(self):
        self.gate = mini.Future()
        self.never_asked = mini.Future()

    async def serve(self, reader, writer):
        """Answer the requests of one connection, one after another."""
        while head := await read_head(reader):
            (_method, path, _version), headers = head[0].split(), head[1]
            status, body = await self.answer(path)
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
            if headers.get("connection", "").lower() == "close":
                break

    async def answer(self, path):
        if path == "/hello":
            return "200 OK", b"hello"
        if path == "/wait":
            await self.gate
            return "200 OK", b"the gate is open now"
        if path == "/open":
            self.gate.wake()
            return "200 OK", b"opened"
        if path == "/never":
            self.never_asked.wake()
            try:
                await mini.Future()
            finally:
                print("  the answer to /never is cancelled")
        return "404 Not Found", b"no such page"


async def fetch(port, path):
    """GET a page from this machine; returns its status and its body."""
    reader, writer = await mini_streams.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        first, headers = await read_head(reader)
        length = headers.get("content-length")
        body = await (reader.read() if length is None else reader.readexactly(int(length)))
        return int(first.split()[1]), body.decode().strip()
    finally:
        writer.close()


def ask_as_a_stranger(port):
    """The standard library's client, which knows nothing of us. It blocks, so it needs a thread."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/hello") as response:
        return response.status, response.read().decode()


class Stranger(http.server.BaseHTTPRequestHandler):
    """The standard library's server, which knows nothing of us either."""

    def do_GET(self):
        body = b"good morning from a thread"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


async def main():
    site = Site()
    server = await mini_streams.start_server(site.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    print("three at once: the first two cannot be answered before the third is asked")
    paths = "/wait", "/wait", "/open"
    answers = await mini.gather(*[fetch(port, path) for path in paths])
    for path, answer in zip(paths, answers, strict=True):
        print(" ", path, *answer)

    print("who does not answer in time is given up")
    asking = mini.create_task(fetch(port, "/never"))
    await site.never_asked
    try:
        async with mini.timeout(0.05):
            await asking
    except TimeoutError:
        print("  /never TimeoutError", asking)

    print("our server, a stranger's client")
    print("  /hello", *await mini.to_thread(ask_as_a_stranger, port))

    print("our client, a stranger's server")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        thread = threading.Thread(target=stranger.serve_forever, args=(0.01,))
        thread.start()
        print("  /anything", *await fetch(stranger.server_address[1], "/anything"))
        await mini.to_thread(stranger.shutdown)
        thread.join()

    print("main() ends, and with it all that it has started")
    server.close()


if __name__ == "__main__":
    mini.run(main())
