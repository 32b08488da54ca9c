"""The other end of the wire: builds the two C programs and drives the load client, which is a process of its own.

Only the server is measured. The client runs on another core where there is one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
BUILD = HERE / "build"
#: A reply that takes this long never comes.
SILENCE_S = 60.0


def compile_c(name: str) -> Path | None:
    """Build `bench/NAME.c` unless it is built already. None where there is no C compiler."""
    source, program = HERE / f"{name}.c", BUILD / name
    if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
        return program
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        return None
    BUILD.mkdir(exist_ok=True)
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", str(program), str(source)], check=True, timeout=60)
    return program


def other_core() -> set[int] | None:
    """The cores that the process under test is not pinned to; None where there is no choice."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    others = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)
    return others or None


class LoadClient:
    """A client process with its connections, to a TCP port, "udp:PORT" or "unix:PATH".

    All methods block; call them from a thread, never from the loop's own. With *tls*, what comes back is an echo, and
    *reply_bytes* says how many times the request makes up the message.
    """

    def __init__(
        self, where: int | str, connections: int, request: bytes, reply_bytes: int, echo: bool = False, tls: bool = False
    ) -> None:
        program = None if tls else compile_c("load_client")
        command = [str(program)] if program else [sys.executable, str(HERE / ("tls_client.py" if tls else "load_client.py"))]
        command += [str(where), str(connections), str(reply_bytes), request.decode("ascii")] + ["echo"] * echo
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        cores = other_core()
        if cores:
            os.sched_setaffinity(self.process.pid, cores)

    def connect(self) -> None:
        """Return when all connections stand. Raises RuntimeError with the client's own words when they cannot."""
        self._expect("ready")

    def exchange(self, times: int) -> None:
        """Return when so many replies have come."""
        self.process.stdin.write(f"{times}\n")
        self._expect("done")

    def close(self) -> None:
        """End the client: its connections close."""
        self.process.kill()
        self.process.communicate()

    def _expect(self, word: str) -> None:
        said = self.process.stdout.readline().strip()
        if said != word:
            raise RuntimeError(self.process.stderr.readline().strip() or f"the load client ended; it said {said!r}")


async def measure_server(aio, meter, client: LoadClient, start: int) -> None:
    """Drive the client from a thread while the loop serves; what the loop's process spends is measured."""
    loop = aio.get_running_loop()
    try:
        await aio.wait_for(loop.run_in_executor(None, client.connect), SILENCE_S)
        for n in meter.batches(start):
            await aio.wait_for(loop.run_in_executor(None, client.exchange, n), SILENCE_S)
    finally:
        client.close()
