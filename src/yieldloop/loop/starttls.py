"""What was read before TLS began: bytes of the handshake that stand in a `StreamReader`.

What lives here: taking them out of it. What may not: TLS, transports.

A client that wants TLS may send its hello right behind the word that asks for it ("STARTTLS"); then both come in one piece, and the
reader has the hello when the program calls `start_tls` (cpython 142352). Only a server looks for it: to a client nobody may
speak TLS first, so what a client's reader holds is the peer's plaintext, and it stays where it is.
"""

from __future__ import annotations

import asyncio
from typing import Any

from yieldloop.engine._leaf import skip_globals

skip_globals(globals())


def take_read_ahead(protocol: Any) -> bytes:
    """The bytes that the reader of a stream's *protocol* holds, taken out of it; b"" for any other protocol."""
    if not isinstance(protocol, asyncio.StreamReaderProtocol):
        return b""
    reader = getattr(protocol, "_stream_reader", None)
    buffer = getattr(reader, "_buffer", None)
    if not buffer:
        return b""
    # Ours is bytes-like only from Python 3.12 on, but can always be looked into.
    data = bytes(buffer.peek() if hasattr(buffer, "peek") else buffer)
    buffer.clear()
    return data
