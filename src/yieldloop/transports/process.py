"""The subprocess transport: a child process, its pipes, and what its protocol is told of them.

What lives here: `ProcessTransport`: starting the child by `subprocess.Popen`, which knows all about forking safely (by vfork, which
costs no copy of our page tables), joining the pipes' events with the child's end, closing. What may not: how an end becomes
known (``child.py``), bytes (``pipe.py``). Interpreted: what a spawn costs is Popen and the kernel.

What the protocol is told, in this order: `connection_made`; then, as they come, `pipe_data_received`, `pipe_connection_lost` (once
for each pipe) and `process_exited`; and when all of those are through, `connection_lost`, once. What happens before
`connection_made` waits for it in `_early`. Each is called in the spawner's context; what it raises is reported, and the others are
called all the same.

`_wait` ends when the process has ended, though a grandchild may still hold its pipes (cpython 119710).

The pipes are pipes. A pair of sockets in their place moves bytes for little more than half of the kernel's time (it gets memory in
larger pieces), but a child whose standard files are sockets cannot open /dev/stdin or /dev/stdout.

Rule for the editor: `_process_exited`, `_proc`, `_pid`, `_returncode` and `_wait` are names that others read.
"""

from __future__ import annotations

import asyncio
import contextvars
import signal
import subprocess
import warnings
from traceback import FrameSummary
from typing import Any

from yieldloop.engine._leaf import program_code, program_lasti, skip_globals
from yieldloop.engine.core import logger
from yieldloop.transports.child import Child, chosen_way, watched

skip_globals(globals())


class ChildPipe(asyncio.Protocol):
    """Stands between one pipe's transport and the process's protocol."""

    __slots__ = ("disconnected", "fd", "pipe", "proc", "taken")

    def __init__(self, proc: ProcessTransport, fd: int) -> None:
        self.proc: Any = proc  # None once the pipe is gone
        self.fd = fd  # 0, 1 or 2: the child's number for it
        self.taken = False  # the file is (or is about to be) the pipe transport's
        self.pipe: Any = None  # that transport, from its connection_made on
        self.disconnected = False

    def take(self) -> ChildPipe:
        """The protocol factory of the connecting."""
        self.taken = True
        return self

    @property
    def _direct_intake(self) -> Any:
        """The intake that takes this pipe's bytes, if the process's protocol has one; None before it is told anything."""
        proc = self.proc
        if proc is None or proc._early is not None or not hasattr(type(proc._protocol), "_direct_intake_of"):
            return None
        return proc._protocol._direct_intake_of(self.fd)

    def connection_made(self, transport: Any) -> None:
        self.pipe = transport

    def data_received(self, data: bytes) -> None:
        self.proc._tell("pipe_data_received", self.fd, data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.disconnected = True
        proc, self.proc = self.proc, None
        proc._tell("pipe_connection_lost", self.fd, exc)
        proc._try_finish()

    def pause_writing(self) -> None:
        self.proc._protocol.pause_writing()

    def resume_writing(self) -> None:
        self.proc._protocol.resume_writing()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} fd={self.fd} pipe={self.pipe!r}>"


class ProcessTransport(asyncio.SubprocessTransport):
    """A child process that runs *args*; keywords as `subprocess.Popen` has them.

    The child runs when the constructor returns; `connect` joins its pipes to the loop. Raises what Popen raises.
    """

    def __init__(
        self, loop: Any, protocol: Any, args: Any, shell: bool, stdin: Any, stdout: Any, stderr: Any, bufsize: int,
        extra: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(extra)
        self._closed = True  # nothing to close as long as there is no child
        self._loop: Any = loop  # None once connection_lost was called, as _proc and _protocol
        self._protocol: Any = protocol
        self._proc: Any = None  # the Popen object
        self._child: Child | None = None
        self._pid: int | None = None
        self._returncode: int | None = None
        self._pipes: dict[int, ChildPipe] = {}
        self._early: list[tuple[str, tuple[Any, ...]]] | None = []  # what waits for connection_made; None once it was called
        self._finishing = False  # connection_lost is scheduled
        self._exit_waiters: list[Any] = []  # futures of those who wait for the exit code
        self._context = contextvars.copy_context()
        self._site = (program_code(), program_lasti())  # where it was started: a code object and the instruction in it
        way = chosen_way()
        self._proc = subprocess.Popen(
            args, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr, universal_newlines=False, bufsize=bufsize, **kwargs
        )
        self._closed = False
        self._pid = self._proc.pid
        self._extra: Any = {**(extra or {}), "subprocess": self._proc}
        for fd, file in enumerate((self._proc.stdin, self._proc.stdout, self._proc.stderr)):
            if file is not None:
                self._pipes[fd] = ChildPipe(self, fd)
        self._child = watched(self._proc, way, loop, self._process_exited)
        loop._children.add(self)
        if loop.get_debug():
            program = args if isinstance(args, (bytes, str)) else args[0]
            logger.debug("process %r created: pid %s", program, self._pid)

    async def connect(self) -> None:
        """Join the pipes to the loop, then call the protocol's `connection_made`. A cancellation point."""
        proc, loop, pipes = self._proc, self._loop, self._pipes
        if 0 in pipes:
            await loop.connect_write_pipe(pipes[0].take, proc.stdin)
        if 1 in pipes:
            await loop.connect_read_pipe(pipes[1].take, proc.stdout)
        if 2 in pipes:
            await loop.connect_read_pipe(pipes[2].take, proc.stderr)
        waiter = loop.create_future()
        loop.call_soon(self._begin, waiter, context=self._context)
        await waiter

    # --- what the protocol is told -------------------------------------------------------------------------------------

    def _begin(self, waiter: Any) -> None:
        self._call("connection_made", self)
        early, self._early = self._early, None
        for method, args in early or ():
            self._call(method, *args)
        self._find_intakes()
        self._try_finish()
        if not waiter.done():
            waiter.set_result(None)

    def _find_intakes(self) -> None:
        """Let the pipes ask again where their bytes go: straight into streams, or by way of the protocol."""
        for pipe in self._pipes.values():
            if pipe.pipe is not None and not pipe.disconnected:
                pipe.pipe.set_protocol(pipe)

    def _tell(self, method: str, *args: Any) -> None:
        if self._early is not None:
            self._early.append((method, args))
        else:
            self._call(method, *args)

    def _call(self, method: str, *args: Any) -> None:
        protocol = self._protocol
        try:
            getattr(protocol, method)(*args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._loop.call_exception_handler(
                {"message": f"protocol.{method}() failed", "exception": exc, "transport": self, "protocol": protocol}
            )

    def _process_exited(self, returncode: int) -> None:
        """The child has ended (called once, by whoever watches it)."""
        assert self._returncode is None, f"{self!r} was told twice that its process has ended"
        self._returncode = returncode
        if self._loop.get_debug():
            logger.info("%r exited with return code %r", self, returncode)
        self._loop._children.discard(self)
        self._tell("process_exited")
        self._try_finish()  # before the waiters: who has waited finds the transport finished, if its pipes are gone
        waiters, self._exit_waiters = self._exit_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(returncode)

    def _try_finish(self) -> None:
        if self._returncode is None or self._finishing or self._early is not None:
            return
        if all(pipe.disconnected for pipe in self._pipes.values()):
            self._finishing = True
            self._loop.call_soon(self._finish, context=self._context)

    def _finish(self) -> None:
        try:
            self._call("connection_lost", None)
        finally:
            self._loop = None
            self._proc = None
            self._child = None
            self._protocol = None

    async def _wait(self) -> int:
        """The exit code, once the process has ended. A cancellation point; cancelling it does not touch the process."""
        if self._returncode is not None:
            return self._returncode
        waiter = self._loop.create_future()
        self._exit_waiters.append(waiter)
        try:
            return await waiter  # type: ignore[no-any-return]
        finally:
            if waiter in self._exit_waiters:
                self._exit_waiters.remove(waiter)

    # --- asyncio.SubprocessTransport -----------------------------------------------------------------------------------

    def get_protocol(self) -> Any:
        """The protocol, or None once its connection is lost."""
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        """Tell *protocol* from now on; its `connection_made` is not called."""
        self._protocol = protocol
        self._find_intakes()

    def get_pid(self) -> Any:
        """The process's number."""
        return self._pid

    @property
    def created_at(self) -> FrameSummary | None:
        """Where the process was started: a `traceback.FrameSummary`, or None if no Python code did it."""
        code, lasti = self._site
        if code is None:
            return None
        lines = [position[0] for position in code.co_positions()]
        line = lines[lasti // 2] if 0 <= lasti // 2 < len(lines) else None
        return FrameSummary(code.co_filename, line or code.co_firstlineno, code.co_name, lookup_line=False)

    def get_returncode(self) -> int | None:
        """The exit code, minus the signal's number if a signal ended the process, None while it runs."""
        return self._returncode

    def get_pipe_transport(self, fd: int) -> Any:
        """The transport of the child's stdin (0), stdout (1) or stderr (2); None if that is no pipe of ours."""
        pipe = self._pipes.get(fd)
        return None if pipe is None else pipe.pipe

    def send_signal(self, signal: int) -> Any:
        """Send a signal to the process, never to another one that got its number. ProcessLookupError after `connection_lost`."""
        child = self._child
        if child is None:
            raise ProcessLookupError(f"process {self._pid} has ended (exit code {self._returncode}) and takes no signal any more")
        child.send(signal)

    def terminate(self) -> None:
        """Send SIGTERM; see `send_signal`."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL; see `send_signal`."""
        self.send_signal(signal.SIGKILL)

    def is_closing(self) -> bool:
        """True after `close`."""
        return self._closed

    def close(self) -> None:
        """Close the pipes, and kill the process if it runs. No effect the second time."""
        if self._closed:
            return
        self._closed = True
        self._close_pipes()
        child = self._child
        if child is not None and self._returncode is None:
            if self._loop.get_debug() and child.take_status() is None:
                logger.warning("Close running child process: kill %r", self)
            child.kill()

    def _close_pipes(self) -> None:
        for fd, file in ((0, self._proc.stdin), (1, self._proc.stdout), (2, self._proc.stderr)) if self._proc else ():
            pipe = self._pipes.get(fd)
            if pipe is None:
                continue
            if pipe.pipe is not None:
                pipe.pipe.close()
            elif not pipe.taken:  # the connecting was cancelled before it came to this one
                pipe.taken = pipe.disconnected = True
                file.close()

    def _loop_closed(self) -> None:
        """The loop is being closed: nobody can be told any more. The process runs on until somebody closes the transport."""
        self._early = []
        self._close_pipes()
        if self._child is not None:
            self._child.release()

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if not self._closed and not self._finishing:
            _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self.close()

    def __repr__(self) -> str:
        info = [type(self).__name__]
        if self._closed:
            info.append("closed")
        if self._pid is not None:
            info.append(f"pid={self._pid}")
        if self._returncode is not None:
            info.append(f"returncode={self._returncode}")
        else:
            info.append("running" if self._pid is not None else "not started")
        for fd, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
            if fd in self._pipes:
                info.append(f"{name}={self._pipes[fd].pipe!r}")
        return f"<{' '.join(info)}>"
