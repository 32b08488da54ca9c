"""Child processes that tasks talk to: `create_subprocess_exec`, `create_subprocess_shell`, `Process`.

What lives here: a process's pipes as streams, and `communicate`. What may not: starting, signals and exit codes (the loop's
`subprocess_exec`, whoever's loop it is). `yieldloop.subprocess` is this module, as `asyncio.subprocess` is the standard library's.

The classes derive from the standard library's, because programs ask `isinstance(process, asyncio.subprocess.Process)`; nothing of
theirs is left but the name.
"""

from __future__ import annotations

import subprocess as _subprocess
from asyncio import subprocess as _stock
from asyncio.log import logger
from collections.abc import Awaitable
from typing import Any

from yieldloop.aio._reader import DEFAULT_LIMIT, StreamReader, direct_intake, is_plain
from yieldloop.aio.streams import FlowControlMixin, StreamWriter
from yieldloop.aio.waiting import gather
from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.running import get_running_loop

__all__ = ("create_subprocess_exec", "create_subprocess_shell")

PIPE = _subprocess.PIPE
STDOUT = _subprocess.STDOUT
DEVNULL = _subprocess.DEVNULL

skip_globals(globals())


class SubprocessStreamProtocol(FlowControlMixin, _stock.SubprocessStreamProtocol):
    """Carries a process transport's events to the streams `stdin`, `stdout`, `stderr` (None where there is no pipe)."""

    def __init__(self, limit: int, loop: Any) -> None:
        super().__init__(loop=loop)
        self._limit = limit  # bytes; of the readers
        self.stdin: Any = None
        self.stdout: Any = None
        self.stderr: Any = None
        self._transport: Any = None
        self._process_exited = False
        self._pipe_fds: list[int] = []  # the pipes to read from that are not at their end
        self._stdin_closed = self._loop.create_future()  # done when the pipe to the process is gone; its error, if there was one

    def __repr__(self) -> str:
        info = [type(self).__name__]
        for name in ("stdin", "stdout", "stderr"):
            stream = getattr(self, name)
            if stream is not None:
                info.append(f"{name}={stream!r}")
        return f"<{' '.join(info)}>"

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.stdout = self._reader(transport, 1)
        self.stderr = self._reader(transport, 2)
        pipe = transport.get_pipe_transport(0)
        if pipe is not None:
            self.stdin = StreamWriter(pipe, protocol=self, reader=None, loop=self._loop)

    def _reader(self, transport: Any, fd: int) -> StreamReader | None:
        pipe = transport.get_pipe_transport(fd)
        if pipe is None:
            return None
        reader = StreamReader(limit=self._limit, loop=self._loop)
        reader.set_transport(pipe)
        self._pipe_fds.append(fd)
        return reader

    def _stream(self, fd: int) -> Any:
        return self.stdout if fd == 1 else self.stderr if fd == 2 else None

    def _direct_intake_of(self, fd: int) -> Any:
        """As `StreamReaderProtocol._direct_intake`, for the child's *fd*."""
        return direct_intake(self._stream(fd)) if is_plain(self, _DATA_RECEIVED) else None

    def pipe_data_received(self, fd: int, data: Any) -> None:
        reader = self._stream(fd)
        if reader is not None:
            reader.feed_data(data)

    def pipe_connection_lost(self, fd: int, exc: BaseException | None) -> None:
        if fd == 0:
            self._stdin_lost(exc)
            return
        reader = self._stream(fd)
        if reader is not None:
            if exc is None:
                reader.feed_eof()
            else:
                reader.set_exception(exc)
        if fd in self._pipe_fds:
            self._pipe_fds.remove(fd)
        self._maybe_close_transport()

    def _stdin_lost(self, exc: BaseException | None) -> None:
        if self.stdin is not None:
            self.stdin.close()
        self.connection_lost(exc)
        if self._stdin_closed.done():
            return
        if exc is None:
            self._stdin_closed.set_result(None)
        else:
            self._stdin_closed.set_exception(exc)
            self._stdin_closed.exception()  # seen: a program that never calls wait_closed() did not lose this error

    def process_exited(self) -> None:
        self._process_exited = True
        self._maybe_close_transport()

    def _maybe_close_transport(self) -> None:
        if not self._pipe_fds and self._process_exited and self._transport is not None:
            self._transport.close()
            self._transport = None

    def _get_close_waiter(self, stream: Any) -> Awaitable[None]:
        if stream is not self.stdin:
            raise AssertionError(f"{stream!r} is not this process's stdin: only a writer is waited for until it is closed")
        closed: Awaitable[None] = self._stdin_closed
        return closed


_DATA_RECEIVED = SubprocessStreamProtocol.pipe_data_received  # ours, whatever a program puts in its place later


class Process(_stock.Process):
    """A child process. `stdin` is a StreamWriter, `stdout` and `stderr` are StreamReaders, each None unless it is a PIPE; `pid`.

    Made by `create_subprocess_exec` and `create_subprocess_shell`.
    """

    def __init__(self, transport: Any, protocol: Any, loop: Any) -> None:
        self._transport = transport
        self._protocol = protocol
        self._loop = loop
        self.stdin: Any = protocol.stdin
        self.stdout: Any = protocol.stdout
        self.stderr: Any = protocol.stderr
        self.pid: int = transport.get_pid()
        # What communicate() has read: it is still here when it was cancelled and is called again.
        self._collected: dict[int, list[bytes]] = {1: [], 2: []}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.pid}>"

    @property
    def returncode(self) -> int | None:
        """The exit code, minus the signal's number if a signal ended the process, None while it runs."""
        code: int | None = self._transport.get_returncode()
        return code

    async def wait(self) -> int:
        """Wait until the process has ended; returns its exit code. A cancellation point, which leaves the process alone.

        With PIPEs that nobody reads a process may never end: the pipe is full and it waits. `communicate` reads them.
        """
        code: int = await self._transport._wait()
        return code

    def send_signal(self, signal: int) -> None:
        """Send a signal to the process. ProcessLookupError if it has ended and its pipes are closed."""
        self._transport.send_signal(signal)

    def terminate(self) -> None:
        """Send SIGTERM; see `send_signal`."""
        self._transport.terminate()

    def kill(self) -> None:
        """Send SIGKILL; see `send_signal`."""
        self._transport.kill()

    async def communicate(self, input: Any = None) -> tuple[Any, Any]:
        """Send *input* (bytes-like), close stdin, read stdout and stderr to their ends, and wait: returns (stdout, stderr).

        Each is bytes, or None unless it is a PIPE. A process that does not read its input is no error. A cancellation point; the
        process runs on, nothing that was read is lost, and it can be called again, without *input*.
        """
        jobs = []
        if self.stdin is not None:
            jobs.append(self._feed_stdin(input))
        if self.stdout is not None:
            jobs.append(self._read_stream(1))
        if self.stderr is not None:
            jobs.append(self._read_stream(2))
        if len(jobs) == 1:
            await jobs[0]
        elif jobs:
            await gather(*jobs)
        await self.wait()
        return (self._taken(1, self.stdout), self._taken(2, self.stderr))

    async def _feed_stdin(self, input: Any) -> None:
        debug = self._loop.get_debug()
        try:
            if input is not None:
                self.stdin.write(input)
                if debug:
                    logger.debug("%r communicate: feed stdin (%s bytes)", self, len(input))
            await self.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as exc:  # it ended, or closed its stdin, without reading all
            if debug:
                logger.debug("%r communicate: stdin got %r", self, exc)
        if debug:
            logger.debug("%r communicate: close stdin", self)
        self.stdin.close()

    async def _read_stream(self, fd: int) -> None:
        stream = self.stdout if fd == 1 else self.stderr
        parts = self._collected[fd]
        while True:
            part = await stream.read(DEFAULT_LIMIT)
            if not part:
                break
            parts.append(part)
        transport = self._transport.get_pipe_transport(fd)
        if transport is not None:
            transport.close()

    def _taken(self, fd: int, stream: Any) -> bytes | None:
        if stream is None:
            return None
        parts, self._collected[fd] = self._collected[fd], []
        return b"".join(parts)


async def create_subprocess_shell(
    cmd: Any, stdin: Any = None, stdout: Any = None, stderr: Any = None, limit: int = DEFAULT_LIMIT, **kwds: Any
) -> Process:
    """Run the command line *cmd* by the shell; returns its `Process`. The rest as `create_subprocess_exec`."""
    loop = get_running_loop()
    transport, protocol = await loop.subprocess_shell(
        lambda: SubprocessStreamProtocol(limit=limit, loop=loop), cmd, stdin=stdin, stdout=stdout, stderr=stderr, **kwds
    )
    return Process(transport, protocol, loop)


async def create_subprocess_exec(
    program: Any, *args: Any, stdin: Any = None, stdout: Any = None, stderr: Any = None, limit: int = DEFAULT_LIMIT, **kwds: Any
) -> Process:
    """Run *program* with *args*; returns its `Process`. A cancellation point: cancelled, the process is killed.

    stdin, stdout, stderr: PIPE (a stream), DEVNULL, STDOUT (stderr only), a file, a descriptor, or None to inherit ours.
    *limit*, in bytes, is the readers' (see `StreamReader`). The rest goes to `subprocess.Popen`.
    """
    loop = get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: SubprocessStreamProtocol(limit=limit, loop=loop), program, *args, stdin=stdin, stdout=stdout, stderr=stderr, **kwds
    )
    return Process(transport, protocol, loop)


