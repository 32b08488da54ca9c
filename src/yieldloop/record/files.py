"""The file of a recording: how it is written so that it is whole or not there, and how it is read.

    yieldloop recording 1\n        magic and version
    zlib of:
      length of the head (4 bytes, little-endian), head (JSON), records one after the other (16 bytes each)
    CRC-32 of all that is before it (4 bytes, little-endian)

What lives here: bytes. What may not: what head and records say (`taking` makes them, `decode` reads them).
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["read", "write"]

MAGIC = b"yieldloop recording "
VERSION = b"1\n"
LEVEL = 1  # of compression: the loop may be waiting, and records are alike
MOST = 4 << 30  # bytes that a file may unpack to
NUMBER = struct.Struct("<I")


def write(path: str, head: dict[str, Any], chunks: Iterable[bytes]) -> None:
    """Write to a file beside *path*, bring it to the disk, and give it the name *path*. OSError; then *path* is as it was."""
    import json
    import zlib

    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
    folder = os.path.dirname(os.path.abspath(path))
    descriptor, beside = tempfile.mkstemp(prefix=".yieldloop-", suffix=".part", dir=folder)  # 0600: it tells of the program
    try:
        with open(descriptor, "wb") as file:
            check = 0
            for part in _parts(zlib.compressobj(LEVEL), text, chunks):
                check = zlib.crc32(part, check)
                file.write(part)
            file.write(NUMBER.pack(check))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    _sync_folder(folder)


def _parts(packer: Any, text: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield MAGIC + VERSION
    yield packer.compress(NUMBER.pack(len(text)) + text)
    for chunk in chunks:
        yield packer.compress(chunk)
    yield packer.flush()


def _sync_folder(folder: str) -> None:
    """The name is on the disk as well, where the system can promise that."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], bytes]:
    """Head and records of the file *path*. RecordingError if it is no recording, of another version, or damaged."""
    import json
    import zlib

    from yieldloop.record import RecordingError

    with open(path, "rb") as file:
        data = file.read()
    shown = os.fspath(path)
    if not data.startswith(MAGIC):
        raise RecordingError(f"{shown!r} is no recording of yieldloop; `yieldloop run --record FILE` and record.save() write those")
    version, _, packed = data[len(MAGIC) :].partition(b"\n")
    if version + b"\n" != VERSION:
        raise RecordingError(
            f"{shown!r} is a recording of format {version[:20].decode('ascii', 'replace')}, and this yieldloop reads format "
            f"{VERSION.decode().strip()}: open it with the version that wrote it"
        )
    damaged = f"{shown!r} is damaged: it was cut off or changed after it was written; save the recording again"
    try:
        if NUMBER.pack(zlib.crc32(data[: -NUMBER.size])) != data[-NUMBER.size :]:
            raise RecordingError(damaged)
        unpacker = zlib.decompressobj()
        body = unpacker.decompress(packed[: -NUMBER.size], MOST)
        if not unpacker.eof:
            raise RecordingError(damaged)
        (length,) = NUMBER.unpack_from(body)
        head = json.loads(body[NUMBER.size : NUMBER.size + length].decode("utf-8", "surrogatepass"))
        records = body[NUMBER.size + length :]
        if not isinstance(head, dict) or len(records) != head["bytes"]:
            raise RecordingError(damaged)
    except (zlib.error, struct.error, ValueError, KeyError) as exc:
        raise RecordingError(damaged) from exc
    return head, records
