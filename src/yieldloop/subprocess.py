"""`yieldloop.subprocess`, as `asyncio.subprocess` is a module: the names of `aio.subprocess` and nothing of its own."""

from __future__ import annotations

from yieldloop.aio.subprocess import (
    DEVNULL,
    PIPE,
    STDOUT,
    Process,
    SubprocessStreamProtocol,
    create_subprocess_exec,
    create_subprocess_shell,
)

__all__ = (
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "Process",
    "SubprocessStreamProtocol",
    "create_subprocess_exec",
    "create_subprocess_shell",
)
