"""Where the records of a TLS stream end: the one act on ciphertext that does not need the keys.

What lives here: `walk`. What may not: state, and anything inside a record. ``_records.pyx`` is the compiled twin.

A record is five bytes of header (its type, the version 3.x, the length of what follows, big-endian) and so many bytes more. The
header is never encrypted (RFC 5246, 6.2; RFC 8446, 5.1), so the ends can be seen from outside.
"""

from __future__ import annotations

from typing import Any

HEADER = 5  # bytes
LONGEST = 16384 + 2048 + 256  # bytes after the header; the versions differ in what they add to 2^14, none adds more


def walk(data: Any, start: int, refused: int) -> int:
    """The offset of the first record in *data* (bytes-like) that is not all there; its length if all are.

    *start* is the offset at which a record begins. ``-1 - offset`` if what stands at offset is no TLS record, or one of
    the type *refused* (-1: refuse none).
    """
    size = len(data)
    while start + HEADER <= size:
        kind = data[start]
        length = data[start + 3] << 8 | data[start + 4]
        if not 20 <= kind <= 24 or data[start + 1] != 3 or not 0 < length <= LONGEST or kind == refused:
            return -1 - start
        if start + HEADER + length > size:
            return start
        start += HEADER + length
    return start
