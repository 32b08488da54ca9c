"""The page, served live: on loopback, to whoever knows the token in its address, and read-only.

What lives here: the web server of ``yieldloop watch`` and its rules for who may ask. What may not: where the answers come from.

A browser is a program that visits everybody, so being on loopback is no protection by itself: another site's page may send
requests here. It does not know the token; and where it makes its own name resolve to this machine (DNS rebinding), the ``Host``
header tells. There is no CORS header, so no other origin can read an answer. Nothing that is asked changes anything.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import yieldloop
from yieldloop.watch import page
from yieldloop.watch.outside import OutsideError

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["DOCUMENTS", "Ask", "serve"]

Ask = Callable[[str], bytes]
"""Gives the document of that name as JSON. It may block, and runs in a thread.

It raises OutsideError or OSError when the process has no answer; the page is told why.
"""

DOCUMENTS = ("snapshot", "recording", "blocks")

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def serve(ask: Ask, *, port: int = 0, started: Callable[[str], None]) -> None:
    """Serve the page on 127.0.0.1 until Ctrl-C, that is KeyboardInterrupt. *started* is told its address once it can be opened.

    *port* 0 takes a free one. Raises OSError if the port cannot be had, and ModuleNotFoundError, which names the extra to
    install, without aiohttp.
    """
    try:
        import aiohttp.web  # before there is a loop that it would block
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "the page is served by aiohttp, which is not installed: pip install 'yieldloop[watch]'", name="aiohttp"
        ) from None
    del aiohttp
    yieldloop.run(_serve(ask, port, started))


async def _serve(ask: Ask, port: int, started: Callable[[str], None]) -> None:
    from aiohttp import web

    token = secrets.token_urlsafe(24)
    runner = web.AppRunner(_application(ask, token), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        started(f"http://127.0.0.1:{runner.addresses[0][1]}/?token={token}")
        await asyncio.get_running_loop().create_future()
    finally:
        await runner.cleanup()


def _application(ask: Ask, token: str) -> web.Application:
    from aiohttp import web

    @web.middleware
    async def guard(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        reason = _refusal(request, token)
        response = web.Response(status=403, text=f"{reason}\n") if reason else await handler(request)
        response.headers.update(_HEADERS)
        return response

    async def show(_: web.Request) -> web.Response:
        return web.Response(text=page.render_live(), content_type="text/html", charset="utf-8")

    async def tell(request: web.Request) -> web.Response:
        name = request.path[1:]
        try:
            document = await asyncio.to_thread(ask, name)
        except (OutsideError, OSError) as error:
            return web.Response(status=502, text=f"{error}\n")
        return web.Response(body=document, content_type="application/json")

    application = web.Application(middlewares=[guard])
    application.router.add_get("/", show)
    for name in DOCUMENTS:
        application.router.add_get(f"/{name}", tell)
    return application


def _refusal(request: web.Request, token: str) -> str:
    """Why *request* is refused, or nothing."""
    own = request.transport.get_extra_info("sockname") if request.transport else None
    if own is None or request.headers.get("Host") not in {f"{name}:{own[1]}" for name in ("127.0.0.1", "localhost")}:
        return f"This page is served to this machine alone, not as {request.headers.get('Host')!r}."
    if not hmac.compare_digest(request.query.get("token", "").encode(), token.encode()):
        return "The token in the address is missing or wrong; open the address that yieldloop watch printed."
    return ""
