"""Foreign file descriptors: `add_reader` and `add_writer`.

What lives here: from what a caller calls a file to a descriptor, and from a callback to an entry armed in the poller. What may not:
descriptors of our own transports (they arm themselves).
"""

from __future__ import annotations

from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.handles import Handle
from yieldloop.loop.base import BaseLoop
from yieldloop.transports.sockcalls import SockSide

skip_globals(globals())


def fileno_of(file: Any) -> int:
    """The descriptor of *file*: an integer, or something with a ``fileno`` method. ValueError for anything else."""
    if isinstance(file, int) and not isinstance(file, bool):
        fd = file
    else:
        try:
            fd = int(file.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(
                f"Invalid file object: {file!r}: neither a file descriptor nor an open object with fileno()"
            ) from None
    if fd < 0:
        raise ValueError(f"Invalid file descriptor: {fd}: the file is closed (or never was open): {file!r}")
    return fd


class FdMixin(BaseLoop):
    """The loop's readers and writers for descriptors that belong to the program."""

    _transports: Any  # by descriptor; `EventLoop` makes it

    def __init__(self, poller: Any, clock: Any = None) -> None:
        super().__init__(poller, clock)
        self._files: dict[int, Any] = {}

    def _foreign_fd(self, file: Any) -> int:
        fd = fileno_of(file)
        transport = self._transports.get(fd)
        if transport is not None and not transport.is_closing():
            raise RuntimeError(f"File descriptor {file!r} is used by transport {transport!r}")
        return fd

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Call ``callback(*args)`` whenever *fd* is readable (or at its end, or in error), until `remove_reader`."""
        number = self._foreign_fd(fd)
        self._add_reader(number, callback, *args)
        self._remember(number, fd)

    def remove_reader(self, fd: Any) -> bool:
        """Stop watching *fd* for reading; False if nobody did. The object that `add_reader` was given may be closed by now."""
        number = self._watched_fd(fd)
        removed = not self._closed and _take_off(self._poller.disarm_reader(number))
        self._forget(number)
        return removed

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Call ``callback(*args)`` whenever *fd* is writable (or in error), until `remove_writer`."""
        number = self._foreign_fd(fd)
        self._add_writer(number, callback, *args)
        self._remember(number, fd)

    def remove_writer(self, fd: Any) -> bool:
        """Stop watching *fd* for writing; False if nobody did. See `remove_reader`."""
        number = self._watched_fd(fd)
        removed = not self._closed and _take_off(self._poller.disarm_writer(number))
        self._forget(number)
        return removed

    def _remember(self, number: int, file: Any) -> None:
        if file is not number:
            self._files[number] = file
        elif self._files:
            self._files.pop(number, None)

    def _watched_fd(self, file: Any) -> int:
        """As `_foreign_fd`, for who removes: an object that was closed in the meantime is known by what it was; -1 if its number is
        another's by now.
        """
        try:
            return self._foreign_fd(file)
        except ValueError:
            for number, known in self._files.items():
                if known is file:
                    taken = isinstance(self._poller.reader(number) or self._poller.writer(number), SockSide)
                    return -1 if taken or self._transports.get(number) is not None else number
            raise

    def _forget(self, number: int) -> None:
        if self._files and self._poller.reader(number) is None and self._poller.writer(number) is None:
            self._files.pop(number, None)

    def _release(self) -> None:
        self._files.clear()
        super()._release()

    def _add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:
        if self._closed or self._debug or not callable(callback):
            self._check(callback, "add_reader", False)
        handle = self._make_fd_handle(callback, args)
        _cancel(self._poller.arm_reader(fileno_of(fd), handle))
        return handle

    def _remove_reader(self, fd: Any) -> bool:
        return not self._closed and _cancel(self._poller.disarm_reader(fileno_of(fd)))

    def _add_writer(self, fd: Any, callback: Any, *args: Any) -> Any:
        if self._closed or self._debug or not callable(callback):
            self._check(callback, "add_writer", False)
        handle = self._make_fd_handle(callback, args)
        _cancel(self._poller.arm_writer(fileno_of(fd), handle))
        return handle

    def _remove_writer(self, fd: Any) -> bool:
        return not self._closed and _cancel(self._poller.disarm_writer(fileno_of(fd)))

    def _make_fd_handle(self, callback: Any, args: Any) -> Any:
        return Handle(callback, args, self, None)


def _cancel(entry: Any) -> bool:
    """An entry left the poller: it must not run even if it stands in the ready queue already. False if there was none."""
    if entry is None:
        return False
    if hasattr(entry, "cancel"):
        entry.cancel()
    return True


def _take_off(entry: Any) -> bool:
    """An entry was removed by the program. A `sock_*` call is not told: it goes on waiting, until it is cancelled or the next call
    for its socket arms the descriptor again. Libraries remove the reader of a call just before they cancel it (cpython 85489).
    """
    return entry is not None and (isinstance(entry, SockSide) or _cancel(entry))
