"""Real programs that run while a test looks at them: started, waited for, asked from outside, ended.

What lives here: the life of such a process, in a run-time directory of its own. What may not: expectations.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 30.0  # s; only a failure takes so long


class Program:
    """A process that runs, and the yieldloop commands that ask it."""

    def __init__(self, process: subprocess.Popen[str], env: dict[str, str], errors: Path) -> None:
        self.process = process
        self.pid = process.pid
        self.env = env
        self._errors = errors

    def yieldloop(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of yieldloop beside the program, as another process of the same user."""
        command = [sys.executable, "-m", "yieldloop", *words]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=PATIENCE)

    def stderr(self) -> str:
        """What the program has written to its standard error so far."""
        return self._errors.read_text()

    def ask(self, what: str, **options: Any) -> Any:
        """Ask by the client, in this process."""
        from yieldloop.watch import outside

        with in_directory(self.env), outside.connect(self.pid) as process:
            return process.ask(what, **options)

    def answers(self) -> bool:
        """True if it can be asked, which is soon after its loop begins to run."""
        from yieldloop.watch import outside

        try:
            return bool(self.ask("hello")["loops"])
        except outside.OutsideError:
            return False

    def line(self) -> str:
        """The next line that the program prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def wait_until(self, fact: Callable[[], Any]) -> Any:
        """Ask again until *fact* gives something true, and return that."""
        deadline = time.monotonic() + PATIENCE
        while not (found := fact()):
            assert self.process.poll() is None, f"the program ended:\n{self.stderr()}"
            assert time.monotonic() < deadline, f"nothing true in {PATIENCE} s, at last {found!r}; stderr:\n{self.stderr()}"
            time.sleep(0.02)
        return found


@contextlib.contextmanager
def in_directory(env: dict[str, str]) -> Iterator[None]:
    """In this process too, sockets are where the program has them."""
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = env["XDG_RUNTIME_DIR"]
    try:
        yield
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before


@contextlib.contextmanager
def running(*words: str, runtime: str | None = None, **variables: str) -> Iterator[Program]:
    """Run ``python WORDS`` until the block is left, then kill it. *variables* go to its environment."""
    with contextlib.ExitStack() as stack:
        # Not pytest's directory, whose name may be too long for a socket in it.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="yl-", dir="/tmp")) if runtime is None else runtime
        env = {**os.environ, "XDG_RUNTIME_DIR": folder, "PYTHONUNBUFFERED": "1", **variables}
        errors = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="yl-", dir="/tmp"))) / "stderr"
        with errors.open("w") as file:
            process = stack.enter_context(
                subprocess.Popen([sys.executable, *words], env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=file, text=True)
            )
        stack.callback(process.kill)
        yield Program(process, env, errors)
