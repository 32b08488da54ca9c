"""A process is asked from outside: who may, when the loop is stuck, and what neither a bad client nor a bad end leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.programs import in_directory, running
from yieldloop import record
from yieldloop.cli.pages import document_in
from yieldloop.watch import outside, serving

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets")

SLEEPS = "import asyncio, yieldloop\nasync def main():\n print('up'); await asyncio.sleep(3600)\nyieldloop.run(main())"
STUCK = "import asyncio, time, yieldloop\nasync def main():\n print('up'); time.sleep(3600)\nyieldloop.run(main())"


@pytest.fixture
def folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="yl-", dir="/tmp") as made:
        yield made


def test_a_process_is_listed_asked_and_gone() -> None:
    with running("-c", SLEEPS, "an argument") as program:
        assert program.line() == "up"
        path = Path(program.env["XDG_RUNTIME_DIR"]) / "yieldloop" / f"{program.pid}.sock"
        program.wait_until(path.exists)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        hello = program.ask("hello")
        assert hello["pid"] == program.pid
        assert hello["argv"][-1] == "an argument"
        [loop] = hello["loops"]
        assert loop["statistics"]["tasks"] == 1
        assert loop["doing"] == "waits"
        listed = program.yieldloop("ps")
        assert listed.returncode == 0
        assert f"{program.pid}  " in listed.stdout
        assert "an argument" in listed.stdout
        program.process.send_signal(signal.SIGINT)
        program.process.wait(30)
        assert not path.exists()


def test_a_stuck_loop_answers() -> None:
    with running("-c", STUCK) as program:
        assert program.line() == "up"
        program.wait_until(program.answers)
        [block] = program.wait_until(lambda: program.ask("blocks"))
        assert block["label"].endswith("main()")
        assert block["line"] == 3
        assert block["going_on"]
        [loop] = program.ask("hello")["loops"]
        assert loop["doing"].endswith("main()")


def test_a_recording_is_dumped_from_a_stuck_process(tmp_path: Path) -> None:
    with running("-c", STUCK) as program:
        program.line()
        program.wait_until(program.answers)
        program.wait_until(lambda: program.ask("blocks"))
        file = tmp_path / "recording"
        told = program.yieldloop("dump", str(program.pid), str(file))
        assert told.returncode == 0
        assert told.stderr == f"{file}: {file.stat().st_size:,} bytes; `yieldloop open {file}` shows it\n"
        assert os.listdir(tmp_path) == ["recording"]
        found = record.load(file).as_json()
        assert found["process"]["pid"] == program.pid
        [loop] = found["loops"]
        assert loop["tasks"]["1"]["coro"] == "main"
        assert found["blocks"][0]["line"] == 3
        assert found["blocks"][0]["loop"] == loop["id"]
        assert found["snapshot"]["loops"][0]["doing"]["task"] == 1
        nowhere = program.yieldloop("dump", str(program.pid), str(tmp_path / "none" / "file"))
        assert nowhere.returncode == 1
        assert "No such file or directory" in nowhere.stderr


def test_the_last_seconds_of_a_recording_are_had_without_the_rest() -> None:
    text = (
        "import asyncio, yieldloop\n"
        "async def main():\n for _ in range(100000): await asyncio.sleep(0)\n print('up')\n await asyncio.sleep(3600)\n"
        "yieldloop.run(main())"
    )
    with running("-c", text) as program:
        program.line()
        program.wait_until(program.answers)
        whole = document_in(program.ask("recording"))
        end = document_in(program.ask("recording", seconds=1e-6))
        assert len(whole["loops"][0]["events"]) > 50_000
        assert 0 < len(end["loops"][0]["events"]) < 30_000
        for name in ("name", "coro", "site"):  # of a task that was made long before
            assert end["loops"][0]["tasks"]["1"][name] == whole["loops"][0]["tasks"]["1"][name]
        assert end["snapshot"] is None
        for bad in (0, -1, "x", None):
            with contextlib.ExitStack() as stack:
                if bad is not None:
                    stack.enter_context(pytest.raises(outside.OutsideError, match="'seconds' is a number above 0"))
                program.ask("recording", seconds=bad)


def test_what_a_killed_process_leaves_is_removed_by_who_looks() -> None:
    with running("-c", SLEEPS) as program:
        program.line()
        path = Path(program.env["XDG_RUNTIME_DIR"]) / "yieldloop" / f"{program.pid}.sock"
        program.wait_until(path.exists)
        program.process.kill()
        program.process.wait(30)
        assert path.exists()
        with in_directory(program.env):
            assert program.pid not in listed_pids()
        assert not path.exists()


def test_what_a_killed_process_leaves_is_removed_by_who_starts() -> None:
    with running("-c", SLEEPS) as first:
        first.line()
        path = Path(first.env["XDG_RUNTIME_DIR"]) / "yieldloop" / f"{first.pid}.sock"
        first.wait_until(path.exists)
        first.process.kill()
        first.process.wait(30)
        with running("-c", SLEEPS, runtime=first.env["XDG_RUNTIME_DIR"]) as second:
            second.line()
            second.wait_until(lambda: (path.parent / f"{second.pid}.sock").exists())
            assert not path.exists()


def test_it_can_be_switched_off() -> None:
    with running("-c", SLEEPS, YIELDLOOP_SOCKET="off") as program:
        program.line()
        told = program.yieldloop("tree", str(program.pid))
        assert told.returncode == 1
        assert f"process {program.pid} has no socket of yieldloop" in told.stderr
        assert "YIELDLOOP_SOCKET=off" in told.stderr
        assert os.listdir(program.env["XDG_RUNTIME_DIR"]) == []


def test_a_forked_child_has_its_own_socket() -> None:
    program_text = (
        "import asyncio, os, sys, time, yieldloop\n"
        "async def main():\n await asyncio.sleep(0.1)\n"
        "yieldloop.run(main())\n"
        "child = os.fork()\n"
        "async def rest():\n sys.stdout.write(f'{os.getpid()}\\n'); await asyncio.sleep(3600)\n"
        "yieldloop.run(rest())\n"
    )
    with running("-c", program_text) as program:
        pids = {int(program.line()), int(program.line())}
        assert program.pid in pids
        [child] = pids - {program.pid}
        try:
            with in_directory(program.env):
                program.wait_until(lambda: pids <= listed_pids())
                for pid in pids:
                    with outside.connect(pid) as process:
                        assert process.ask("hello")["pid"] == pid
        finally:
            os.kill(child, signal.SIGKILL)


def listed_pids() -> set[int]:
    """The processes that can be asked; others of this user may be among them."""
    return {found["pid"] for found in outside.processes()}


def connect(program: Any) -> socket.socket:
    return outside._connect(os.path.join(program.env["XDG_RUNTIME_DIR"], "yieldloop", f"{program.pid}.sock"), 30)


def read_answer(client: socket.socket) -> tuple[str, bytes]:
    with client.makefile("rb") as file:
        kind, length = file.readline().split()
        return kind.decode(), file.read(int(length))


def test_bad_clients_do_no_harm() -> None:
    with running("-c", SLEEPS) as program, contextlib.ExitStack() as stack:
        program.line()
        program.wait_until(program.answers)
        for garbage, text in (
            (b"\xff\xfe\n", "a question is a line like"),
            (b"[1, 2]\n", "a question is a line like"),
            (b"{}\n", "there is no question None"),
            (b'{"ask": "stop"}\n', "there is no question 'stop'; there are hello"),
            (b'{"ask": ["hello"]}\n', "there is no question ['hello']"),
        ):
            client = stack.enter_context(connect(program))
            client.sendall(garbage)
            kind, body = read_answer(client)
            assert kind == "error"
            assert text in body.decode()
        long = stack.enter_context(connect(program))
        long.sendall(b"x" * 5000)
        assert long.recv(1) == b""  # dropped
        silent = stack.enter_context(connect(program))
        half = stack.enter_context(connect(program))
        half.sendall(b'{"ask": "he')
        unread = stack.enter_context(connect(program))
        unread.sendall(b'{"ask": "hello"}\n' * 2000)
        assert program.ask("hello")["pid"] == program.pid  # they hang, and others are served
        half.sendall(b'llo"}\n{"ask": "blocks"}\n')  # two questions in one piece
        with half.makefile("rb") as file:
            assert json.loads(file.read(int(file.readline().split()[1])))["pid"] == program.pid
            assert json.loads(file.read(int(file.readline().split()[1]))) == []
        many = [stack.enter_context(connect(program)) for _ in range(20)]
        assert many[-1].recv(1) == b""  # those that are too many are dropped
        for client in (silent, *many):
            client.close()
        program.wait_until(program.answers)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to be two users")
def test_another_user_gets_nothing(folder: str) -> None:
    os.chmod(folder, 0o755)
    with running("-c", SLEEPS, runtime=folder) as program:
        program.line()
        program.wait_until(program.answers)
        text = (
            "import os\nfrom yieldloop.watch import outside\nos.setgid(12345); os.setuid(12345)\n"
            "assert outside.processes() == []\n"
            f"try: outside.connect({program.pid})\n"
            "except outside.OutsideError as exc: print(exc)\n"
        )
        done = subprocess.run([sys.executable, "-c", text], env=program.env, capture_output=True, text=True)
        assert done.stdout == f"process {program.pid} belongs to user 0: only that user can ask it\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to be two users")
def test_a_foreign_directory_is_refused(folder: str) -> None:
    theirs = os.path.join(folder, "yieldloop")
    os.mkdir(theirs, 0o700)
    os.chown(theirs, 12345, 12345)
    with pytest.raises(outside.OutsideError, match="belongs to user 12345, not to 0"):
        outside.check_directory(theirs)


def test_an_open_directory_and_a_link_are_refused(folder: str) -> None:
    shared, link = os.path.join(folder, "shared"), os.path.join(folder, "link")
    os.mkdir(shared)
    os.chmod(shared, 0o770)
    with pytest.raises(outside.OutsideError, match="open to others"):
        outside.check_directory(shared)
    os.chmod(shared, 0o700)
    outside.check_directory(shared)
    os.symlink(shared, link)
    with pytest.raises(outside.OutsideError, match="is no directory"):
        outside.check_directory(link)


def test_processes_that_cannot_be_asked_are_explained() -> None:
    with pytest.raises(outside.OutsideError, match="there is no process"):
        outside.connect(2**22 + 1)
    with running("-c", "print('up'); input()") as stranger:
        stranger.line()
        with pytest.raises(outside.OutsideError, match="has no socket of yieldloop in"):
            outside.connect(stranger.pid)


def test_a_stopped_process_is_said_to_be_stopped() -> None:
    with running("-c", SLEEPS) as program:
        program.line()
        program.wait_until(program.answers)
        program.process.send_signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(program.pid, os.WUNTRACED)[1])
        began = time.monotonic()
        with in_directory(program.env):
            with pytest.raises(outside.OutsideError, match=r"does not answer within 0\.2 s: it is stopped"):
                with outside.connect(program.pid, timeout=0.2) as process:
                    process.ask("hello")
            [listed] = [found for found in outside.processes(timeout=0.2) if found["pid"] == program.pid]
        assert time.monotonic() - began < 20
        assert "does not answer" in listed["problem"]
        program.process.send_signal(signal.SIGCONT)


def test_a_client_that_comes_too_early_does_not_take_the_socket_for_stale(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(socket.socket):
        def listen(self, backlog: int = 0) -> None:
            outside.processes()
            super().listen(backlog)

    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    monkeypatch.setattr(serving.socket, "socket", Slow)
    server = serving.Server(select.poll(), lambda line: b"")
    try:
        assert os.listdir(os.path.join(folder, "yieldloop")) == [f"{os.getpid()}.sock"]
    finally:
        server.close()
    assert os.listdir(os.path.join(folder, "yieldloop")) == []


def test_importing_the_package_does_not_import_the_watching() -> None:
    text = "import sys, yieldloop; print([name for name in sys.modules if name.startswith('yieldloop.watch')])"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
