"""The acts on bytes that every read and every answer does: look for a separator, cut a piece out, put two together.

What lives here: those. What may not: state. ``_bytes.pyx`` is the compiled twin, which calls the C library where bytes'
own methods would first make two integers and a slice object: that is half the cost of a short line.
"""

from __future__ import annotations


def cut(data: bytes, start: int, end: int) -> bytes:
    """``data[start:end]`` for 0 <= start; the bytes themselves if that is all of them."""
    return data[max(start, 0) : max(end, 0)]


def index_of(data: bytes | bytearray, separator: bytes, start: int) -> int:
    """``data.find(separator, start)`` for 0 <= start: the index of the first one, or -1."""
    return data.find(separator, max(start, 0))


def glue(one: bytes, other: bytes) -> bytes:
    """``one + other``."""
    return one + other
