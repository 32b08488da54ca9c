"""Web servers that others wrote, unmodified, on each loop: CPU of the server a request (`--with-web`)."""

from __future__ import annotations

import socket

from harness import load
from harness.spec import workload

CONNECTIONS = 50
FIRST_BATCH = 200
HOST = "127.0.0.1"
REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
BODY = b"x" * 1024


def reply_bytes(port):
    """The length of the server's whole reply: its Date has a fixed length, so every reply is as long as this one."""
    with socket.create_connection((HOST, port), timeout=10.0) as link:
        link.sendall(REQUEST)
        reply = b""
        while not (b"\r\n\r\n" in reply and reply.endswith(BODY)):
            more = link.recv(65536)
            if not more:
                raise RuntimeError(f"the server ended the connection after {reply[:80]!r}")
            reply += more
        return len(reply)


async def measure(aio, meter, port):
    length = await aio.get_running_loop().run_in_executor(None, reply_bytes, port)
    await load.measure_server(aio, meter, load.LoadClient(port, CONNECTIONS, REQUEST, length), FIRST_BATCH)


@workload("uvicorn", "web", "one request of 1 KiB to uvicorn (httptools)", target=1.7, needs=("uvicorn", "httptools"), quick=False)
async def uvicorn_server(aio, meter):
    import uvicorn

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(BODY))]})
        await send({"type": "http.response.body", "body": BODY})

    settings = {"http": "httptools", "ws": "none", "lifespan": "off", "access_log": False, "log_level": "error"}
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=0, **settings))
    serving = aio.get_running_loop().create_task(server.serve())
    while not server.started and not serving.done():
        await aio.sleep(0.01)
    if serving.done():
        serving.result()
    await measure(aio, meter, server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await aio.wait([serving], timeout=5.0)


@workload("aiohttp", "web", "one request of 1 KiB to aiohttp.web", target=1.35, needs=("aiohttp",), quick=False)
async def aiohttp_server(aio, meter):
    from aiohttp import web

    async def root(request):
        return web.Response(body=BODY)

    app = web.Application()
    app.router.add_get("/", root)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    await measure(aio, meter, runner.addresses[0][1])
    await runner.cleanup()
