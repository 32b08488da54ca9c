"""A command on a terminal that is not there: what it draws is kept as a screen of characters.

What lives here: the terminal. What may not: expectations.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

import pyte

PATIENCE = 60.0  # s; only a failure takes so long


class Terminal:
    """A screen of *columns* × *lines* on which a process draws."""

    def __init__(self, process: subprocess.Popen[bytes], fd: int, columns: int, lines: int) -> None:
        self.process = process
        self._fd = fd
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)

    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def press(self, keys: str) -> None:
        """Type *keys*."""
        os.write(self._fd, keys.encode())

    def wait_for(self, fact: Callable[[str], Any], press: str = "") -> str:
        """Let the process draw until *fact* is true of the screen's text; returns that text. *press* is typed again and again."""
        deadline = time.monotonic() + PATIENCE
        next_press = 0.0
        while not fact(self.text()):
            assert time.monotonic() < deadline, f"it never came; on the screen:\n{self.text()}"
            if press and time.monotonic() > next_press:
                self.press(press)
                next_press = time.monotonic() + 0.5
            self._read(0.1)
        return self.text()

    def end(self) -> int:
        """Let the process draw until it ends; returns its status."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end; on the screen:\n{self.text()}"
            self._read(0.1)
        return self.process.returncode

    def _read(self, timeout: float) -> None:
        ready, _, _ = select.select([self._fd], [], [], timeout)
        if ready:
            try:
                self._stream.feed(os.read(self._fd, 65536))
            except OSError:  # the process has closed its side
                time.sleep(timeout)


@contextlib.contextmanager
def on_terminal(*words: str, env: dict[str, str], columns: int = 160, lines: int = 40) -> Iterator[Terminal]:
    """Run ``python WORDS`` on a terminal until the block is left."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    env = {**env, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(lines)}
    try:
        with subprocess.Popen(
            [sys.executable, *words], env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        ) as process:
            os.close(theirs)
            try:
                yield Terminal(process, ours, columns, lines)
            finally:
                process.kill()
    finally:
        os.close(ours)
