"""Foreign file descriptors: `add_reader` and `add_writer`.

What lives here: from what a caller calls a file to a descriptor, and from a callback to an entry armed in the poller. What may not:
descriptors of our own transports (they arm themselves).
"""

from __future__ import annotations

from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.handles import Handle
from yieldloop.loop.base import BaseLoop

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

    def _foreign_fd(self, file: Any) -> int:
        fd = fileno_of(file)
        transport = self._transports.get(fd)
        if transport is not None and not transport.is_closing():
            raise RuntimeError(f"File descriptor {file!r} is used by transport {transport!r}")
        return fd

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Call ``callback(*args)`` whenever *fd* is readable (or at its end, or in error), until `remove_reader`."""
        self._add_reader(self._foreign_fd(fd), callback, *args)

    def remove_reader(self, fd: Any) -> bool:
        """Stop watching *fd* for reading; False if nobody did."""
        return self._remove_reader(self._foreign_fd(fd))

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """Call ``callback(*args)`` whenever *fd* is writable (or in error), until `remove_writer`."""
        self._add_writer(self._foreign_fd(fd), callback, *args)

    def remove_writer(self, fd: Any) -> bool:
        """Stop watching *fd* for writing; False if nobody did."""
        return self._remove_writer(self._foreign_fd(fd))

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
