"""What hangs says where: after a time, who waits for whom is written.

What lives here: `dump_on_timeout`, the clock around a block. What may not: ending what hangs.
"""

from __future__ import annotations

import os
import sys
import threading
from types import TracebackType
from typing import Any

from yieldloop.loop.dead import harmless
from yieldloop.watch import snapshot

__all__ = ("dump_on_timeout",)


class dump_on_timeout:
    """If the block lasts longer than *seconds*, write a snapshot of all loops, once, to *file* (default: standard error).

        with dump_on_timeout(30):
            yieldloop.run(main())

    *file* is a text file, or the number of a descriptor. A thread of its own waits and writes, so it works when loops are
    stuck or dead. `cancel` ends it early. ValueError if *seconds* is not above 0.
    """

    def __init__(self, seconds: float, file: Any = None, title: str = "") -> None:
        if not seconds > 0:
            raise ValueError(f"a time in seconds above 0 is needed, not {seconds!r}")
        self._seconds = seconds
        self._file = file
        self._title = title
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> dump_on_timeout:
        self.start()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.cancel()

    def start(self) -> None:
        """The clock runs from now on."""
        self._thread = threading.Thread(target=self._wait, name="yieldloop-dump", daemon=True)
        harmless.add(self._thread)
        self._thread.start()

    def cancel(self) -> None:
        """Stop the clock; returns when nothing will be written any more."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _wait(self) -> None:
        try:
            if not self._over.wait(self._seconds):
                self._write()
        finally:
            harmless.discard(threading.current_thread())

    def _write(self) -> None:
        text = f"{self._title or 'still running'} after {self._seconds:g} s\n{snapshot.take().text()}\n"
        file = sys.__stderr__ if self._file is None else self._file
        try:
            if isinstance(file, int):
                os.write(file, text.encode(errors="backslashreplace"))
            elif file is not None:
                file.write(text)
                file.flush()
        except (OSError, ValueError):  # closed meanwhile
            pass
