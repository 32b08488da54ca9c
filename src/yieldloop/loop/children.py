"""Child processes: `subprocess_exec` and `subprocess_shell`.

What lives here: checks of arguments, the register of running children, what becomes of them when the loop is closed. What may not:
the child itself (``transports/process.py``) and how its end becomes known (``transports/child.py``).

No SIGCHLD, and no child watcher of the standard library's policy, is needed: children are a loop's own business, in any thread.
"""

from __future__ import annotations

import signal
import subprocess
from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.core import logger
from yieldloop.engine.coroutines import iscoroutinefunction
from yieldloop.loop.pipes import PipeMixin
from yieldloop.loop.signals import SignalMixin

skip_globals(globals())


class ChildrenMixin(PipeMixin, SignalMixin):  # type: ignore[misc]
    """The loop's child processes."""

    def __init__(self, poller: Any, clock: Any = None) -> None:
        self._children: set[Any] = set()
        super().__init__(poller, clock)

    async def subprocess_exec(
        self, protocol_factory: Any, program: Any, *args: Any, stdin: Any = subprocess.PIPE, stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE, universal_newlines: bool = False, shell: bool = False, bufsize: int = 0,
        encoding: Any = None, errors: Any = None, text: Any = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Run *program* with *args*; returns (transport, protocol) when the protocol was told. Cancelled, it kills the child.

        stdin, stdout, stderr: PIPE, DEVNULL, STDOUT (stderr only), a file object, a descriptor, or None to inherit. The rest is
        `subprocess.Popen`'s. ValueError for text modes and buffers: pipes carry bytes, unbuffered. OSError if it cannot be started.
        """
        _check_modes(universal_newlines, bufsize, encoding, errors, text)
        if shell:
            raise ValueError(f"shell must be False, not {shell!r}: use subprocess_shell() for a command line")
        return await self._spawn(protocol_factory, (program, *args), False, stdin, stdout, stderr, bufsize, kwargs)

    async def subprocess_shell(
        self, protocol_factory: Any, cmd: Any, *, stdin: Any = subprocess.PIPE, stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE, universal_newlines: bool = False, shell: bool = True, bufsize: int = 0,
        encoding: Any = None, errors: Any = None, text: Any = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Run the command line *cmd* (str or bytes) by the shell; the rest as `subprocess_exec`."""
        if not isinstance(cmd, (bytes, str)):
            raise ValueError(f"cmd must be a string, not {cmd!r}: use subprocess_exec() for a program and its arguments")
        _check_modes(universal_newlines, bufsize, encoding, errors, text)
        if not shell:
            raise ValueError(f"shell must be True, not {shell!r}: use subprocess_exec() to run a program without a shell")
        return await self._spawn(protocol_factory, cmd, True, stdin, stdout, stderr, bufsize, kwargs)

    async def _spawn(
        self, protocol_factory: Any, args: Any, shell: bool, stdin: Any, stdout: Any, stderr: Any, bufsize: int, kwargs: Any
    ) -> Any:
        self._check_closed()
        protocol = protocol_factory()
        from yieldloop.transports.process import ProcessTransport

        transport = ProcessTransport(self, protocol, args, shell, stdin, stdout, stderr, bufsize, **kwargs)
        try:
            await transport.connect()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            transport.close()
            await transport._wait()
            raise
        if self._debug:
            logger.info("%s: %r", "shell command" if shell else "program", transport)
        return transport, protocol

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:  # type: ignore[override]
        """See `SignalMixin.add_signal_handler`. A handler for SIGCHLD may take every status there is, by ``os.waitpid(-1, …)``
        (the first process of a container has to): this loop takes those of its own children before.
        """
        if sig == signal.SIGCHLD and callable(callback) and not iscoroutinefunction(callback):
            args = (callback, *args)
            callback = self._own_children_first
        super().add_signal_handler(sig, callback, *args)

    def _own_children_first(self, callback: Any, *args: Any) -> None:
        for transport in list(self._children):
            transport._child._ended()
        callback(*args)

    def _release(self) -> None:
        children, self._children = self._children, set()
        for transport in children:
            transport._loop_closed()
        super()._release()


def _check_modes(universal_newlines: Any, bufsize: Any, encoding: Any, errors: Any, text: Any) -> None:
    """ValueError for what would make a pipe carry anything but bytes at once."""
    if universal_newlines:
        raise ValueError(f"universal_newlines must be False, not {universal_newlines!r}: decode what was read, .decode()")
    if bufsize != 0:
        raise ValueError(f"bufsize must be 0, not {bufsize!r}: the transport does the buffering")
    if text:
        raise ValueError(f"text must be False, not {text!r}: pipes carry bytes; decode what was read")
    if encoding is not None:
        raise ValueError(f"encoding must be None, not {encoding!r}: pipes carry bytes; decode what was read")
    if errors is not None:
        raise ValueError(f"errors must be None, not {errors!r}: pipes carry bytes; decode what was read")
