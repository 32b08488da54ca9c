"""Child processes: whatever happens to them or to those who wait, one end is told, once, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import yieldloop
from yieldloop.transports import child

PIPE, DEVNULL, STDOUT = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT
PATIENCE = 30  # s; nothing here takes as long unless it hangs


@pytest.fixture(autouse=True)
def no_zombie() -> Iterator[None]:
    """Every child that a test started is gone, and its status taken, when the test is over."""
    before = children_of_ours()
    yield
    gc.collect()
    deadline = time.monotonic() + 10
    while (left := children_of_ours() - before) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not left, f"the test left child processes: {left}"


@pytest.fixture(params=["pidfd", "thread"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way of watching children in turn."""
    if request.param == "pidfd" and not child.has_pidfd():
        pytest.skip("this system has no pidfd")
    monkeypatch.setenv(child.SWITCH, request.param)
    return str(request.param)


def children_of_ours() -> set[tuple[str, str]]:
    """(number, state) of every child process there is, zombies included."""
    found = set()
    try:
        names = os.listdir("/proc/self/task")
    except OSError:
        return found
    for name in names:
        with contextlib.suppress(OSError):
            found |= {(pid, "") for pid in Path(f"/proc/self/task/{name}/children").read_text().split()}
    return found


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class Recorder(asyncio.SubprocessProtocol):
    """Writes down what a process transport tells."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.data = {1: b"", 2: b""}
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.told.append("made")
        self.transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.told.append(("data", fd))
        self.data[fd] += data

    def pipe_connection_lost(self, fd: int, exc: Any) -> None:
        self.told.append(("pipe lost", fd, exc))

    def process_exited(self) -> None:
        self.told.append("exited")
        assert self.transport.get_returncode() is not None

    def connection_lost(self, exc: Any) -> None:
        self.told.append("lost")
        self.over.set_result(exc)


# --- streams -----------------------------------------------------------------------------------------------------------


def test_communicate(api: Any) -> None:
    async def main() -> None:
        proc = await api.m.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert isinstance(proc, asyncio.subprocess.Process)
        assert isinstance(proc.stdin, asyncio.StreamWriter) and isinstance(proc.stdout, asyncio.StreamReader)
        data = os.urandom(3_000_000)
        assert await proc.communicate(data) == (data, b"")
        assert proc.returncode == 0 == await proc.wait()
        assert str(proc.pid) in repr(proc)
        proc = await api.m.create_subprocess_shell("echo out; echo err >&2; exit 7", stdout=PIPE, stderr=PIPE)
        assert await proc.communicate() == (b"out\n", b"err\n")
        assert proc.returncode == 7 and proc.stdin is None

    api.run(main())


def test_a_conversation(api: Any) -> None:
    async def main() -> None:
        proc = await api.m.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        for line in (b"one\n", b"two\n", b"three\n"):
            proc.stdin.write(line)
            await proc.stdin.drain()
            assert await asyncio.wait_for(proc.stdout.readline(), PATIENCE) == line
        proc.stdin.close()
        await proc.stdin.wait_closed()
        assert await proc.stdout.read() == b""
        assert await proc.wait() == 0

    api.run(main())


def test_our_streams_run_on_the_standard_loop_and_the_other_way_round(ours: Any) -> None:
    async def main(module: Any) -> None:
        proc = await module.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        assert await proc.communicate(b"across") == (b"across", None)

    with yieldloop.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main(yieldloop))
    with asyncio.Runner(loop_factory=ours.new_loop) as runner:
        runner.run(main(asyncio))


def test_the_submodule_has_the_names() -> None:
    from yieldloop.subprocess import Process, create_subprocess_exec

    for name in ("PIPE", "STDOUT", "DEVNULL"):
        assert getattr(yieldloop.subprocess, name) == getattr(asyncio.subprocess, name)
    assert yieldloop.subprocess.Process is Process and issubclass(Process, asyncio.subprocess.Process)
    assert yieldloop.create_subprocess_exec is create_subprocess_exec
    own = {name for name in vars(asyncio.subprocess.Process) if not name.startswith("__")}
    assert own <= set(vars(Process)) | {"_noop"}, "Process inherits code from the standard library"


def test_a_child_that_does_not_read_its_input_is_no_error(api: Any) -> None:
    async def main() -> None:
        for size in (1, 100_000, 10_000_000):
            proc = await api.m.create_subprocess_exec("true", stdin=PIPE, stdout=PIPE)
            assert await asyncio.wait_for(proc.communicate(bytes(size)), PATIENCE) == (b"", None)
            assert proc.returncode == 0

    api.run(main())


def test_communicate_can_be_cancelled_and_called_again_without_a_loss(ours: Any) -> None:
    async def main() -> None:
        proc = await ours.m.create_subprocess_shell("echo first; cat; echo last", stdin=PIPE, stdout=PIPE)
        talking = asyncio.ensure_future(proc.communicate())
        while not proc._collected[1] and not talking.done():  # until it has read something
            await asyncio.sleep(0)
            if proc._collected[1]:
                break
        talking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await talking
        assert await asyncio.wait_for(proc.communicate(), PATIENCE) == (b"first\nlast\n", None)

    if ours.name == "module":
        ours.run(main())


def test_a_time_limit_on_communicate_leaves_the_process_alone(api: Any) -> None:
    async def main() -> None:
        proc = await api.m.create_subprocess_exec("sleep", "1000", stdin=PIPE, stdout=PIPE, stderr=PIPE)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(proc.communicate(b"x"), 0.02)
        assert proc.returncode is None and is_alive(proc.pid)
        proc.kill()
        assert await proc.communicate() == (b"", b"")
        assert proc.returncode == -signal.SIGKILL

    api.run(main())


def test_waiting_can_be_cancelled_and_many_may_wait(api: Any) -> None:
    async def main() -> None:
        proc = await api.m.create_subprocess_exec("sleep", "1000")
        waiting = [asyncio.ensure_future(proc.wait()) for _ in range(10)]
        await asyncio.sleep(0)
        for task in waiting[::2]:
            task.cancel()
        await asyncio.sleep(0)
        proc.terminate()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results[::2]] == [asyncio.CancelledError] * 5
        assert results[1::2] == [-signal.SIGTERM] * 5

    api.run(main())


def test_a_limit_is_the_readers(api: Any) -> None:
    async def main() -> None:
        proc = await api.m.create_subprocess_shell("printf '%0100d\\n' 1", stdout=PIPE, limit=10)
        with pytest.raises(ValueError):
            await proc.stdout.readline()
        await proc.communicate()

    api.run(main())


def test_a_slow_reader_stops_a_fast_child(api: Any) -> None:
    async def main() -> None:
        proc = await api.m.create_subprocess_shell("head -c 2000000 /dev/zero", stdout=PIPE, limit=1000)
        total = 0
        while data := await proc.stdout.read(500):
            total += len(data)
            await asyncio.sleep(0)
            assert len(proc.stdout._buffer) <= 200_000
        assert total == 2_000_000 and await proc.wait() == 0

    api.run(main())


# --- what the child gets -------------------------------------------------------------------------------------------------


def test_every_form_of_stdio(api: Any, tmp_path: Path) -> None:
    async def main() -> None:
        run = api.m.create_subprocess_exec
        (tmp_path / "in").write_bytes(b"from a file")
        with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as sink:
            proc = await run("cat", stdin=source, stdout=sink)
            assert proc.stdin is None and proc.stdout is None and proc.stderr is None
            assert await proc.communicate() == (None, None)
        assert (tmp_path / "out").read_bytes() == b"from a file"

        fd = os.open(tmp_path / "in", os.O_RDONLY)
        proc = await run("cat", stdin=fd, stdout=PIPE)
        os.close(fd)
        assert await proc.communicate() == (b"from a file", None)

        proc = await run("cat", stdin=DEVNULL, stdout=PIPE)
        assert await proc.communicate() == (b"", None)

        proc = await run("sh", "-c", "echo out; echo err >&2", stdout=PIPE, stderr=STDOUT)
        assert await proc.communicate() == (b"out\nerr\n", None)

        proc = await run("sh", "-c", "echo out; echo err >&2", stdout=DEVNULL, stderr=PIPE)
        assert await proc.communicate() == (None, b"err\n")

    api.run(main())


def test_what_is_inherited(api: Any) -> None:
    code = (
        "import asyncio, yieldloop, sys\n"
        "async def main():\n"
        "    proc = await asyncio.create_subprocess_exec('cat')\n"
        "    assert proc.stdin is None and proc.stdout is None\n"
        "    await proc.wait()\n"
        "factory = None if sys.argv[1] == 'stock' else yieldloop.new_event_loop\n"
        "asyncio.Runner(loop_factory=factory).run(main())\n"
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, api.name], input=b"passed on", capture_output=True, check=True, timeout=60
    )
    assert found.stdout == b"passed on"


def test_the_rest_of_what_popen_can_do(api: Any, tmp_path: Path) -> None:
    async def out(*args: Any, **kwargs: Any) -> bytes:
        proc = await api.m.create_subprocess_exec(*args, stdout=PIPE, **kwargs)
        stdout, _ = await proc.communicate()
        assert proc.returncode == 0
        return bytes(stdout).strip()

    async def main() -> None:
        read_fd, write_fd = os.pipe()
        os.write(write_fd, b"through a descriptor")
        os.close(write_fd)
        assert await out("cat", f"/dev/fd/{read_fd}", pass_fds=(read_fd,)) == b"through a descriptor"
        os.close(read_fd)
        assert await out("pwd", "-P", cwd=tmp_path) == os.fsencode(tmp_path.resolve())
        assert await out("/bin/sh", "-c", "echo $WORD", env={"WORD": "given"}) == b"given"
        me = await out(sys.executable, "-c", "import os; print(os.getpid() == os.getsid(0))", start_new_session=True)
        assert me == b"True"
        me = await out(sys.executable, "-c", "import os; print(os.getpid() == os.getpgid(0))", process_group=0)
        assert me == b"True"
        assert await out("sh", "-c", "umask", preexec_fn=lambda: os.umask(0o027)) == b"0027"
        if os.getuid() == 0:
            assert await out("id", "-u", user=65534, group=65534, extra_groups=[]) == b"65534"
        assert await out(Path("/bin/sh"), "-c", "echo $0", executable="/bin/sh") == b"/bin/sh"
        proc = await api.m.create_subprocess_shell("echo a b | wc -w", stdout=PIPE)
        assert (await proc.communicate())[0].strip() == b"2"

    api.run(main())


def test_dev_stdin_can_be_opened_again(api: Any) -> None:
    async def main() -> None:
        proc = await api.m.create_subprocess_shell("cat /dev/stdin", stdin=PIPE, stdout=PIPE)
        assert await proc.communicate(b"reopened") == (b"reopened", None)

    api.run(main())


def test_what_cannot_be_started_raises_and_leaves_nothing(api: Any, tmp_path: Path) -> None:
    async def main() -> None:
        for stdio in (None, PIPE):
            with pytest.raises(FileNotFoundError):
                await api.m.create_subprocess_exec(tmp_path / "nothing", stdin=stdio, stdout=stdio, stderr=stdio)
        with pytest.raises(PermissionError):
            await api.m.create_subprocess_exec(tmp_path, stdin=PIPE)
        with pytest.raises((OSError, subprocess.SubprocessError)):
            await api.m.create_subprocess_exec("true", stdin=PIPE, cwd=tmp_path / "nowhere")
        with pytest.raises(subprocess.SubprocessError):
            await api.m.create_subprocess_exec("true", stdout=PIPE, preexec_fn=lambda: 1 // 0)

    api.run(main())


def test_what_makes_no_sense_is_refused(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for wrong in ({"universal_newlines": True}, {"bufsize": 4096}, {"text": True}, {"encoding": "utf-8"}, {"errors": "strict"}):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                await loop.subprocess_exec(asyncio.SubprocessProtocol, "true", **wrong)
            with pytest.raises(ValueError, match=next(iter(wrong))):
                await loop.subprocess_shell(asyncio.SubprocessProtocol, "true", **wrong)
        with pytest.raises(ValueError, match="shell must be False"):
            await loop.subprocess_exec(asyncio.SubprocessProtocol, "true", shell=True)
        with pytest.raises(ValueError, match="shell must be True"):
            await loop.subprocess_shell(asyncio.SubprocessProtocol, "true", shell=False)
        with pytest.raises(ValueError, match="cmd must be a string"):
            await loop.subprocess_shell(asyncio.SubprocessProtocol, ["true"])
        with pytest.raises(TypeError):
            await loop.subprocess_exec(asyncio.SubprocessProtocol, 3)

    api.run(main())


# --- the transport -----------------------------------------------------------------------------------------------------


def test_the_protocol_is_told_everything_once_and_in_order(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, told = await loop.subprocess_shell(Recorder, "echo out; echo err >&2; exit 3")
        assert isinstance(transport, asyncio.SubprocessTransport)
        assert await asyncio.wait_for(told.over, PATIENCE) is None
        assert told.data == {1: b"out\n", 2: b"err\n"}
        assert told.told[0] == "made" and told.told[-1] == "lost"
        for fd in (1, 2):
            assert told.told.index(("data", fd)) < told.told.index(("pipe lost", fd, None))
        assert sorted(str(one) for one in told.told if "data" not in one) == sorted(
            ["made", "exited", "lost", *(str(("pipe lost", fd, None)) for fd in range(3))]
        )
        assert transport.get_returncode() == 3
        assert not api.ours or transport.get_protocol() is None
        transport.close()
        transport.close()
        await asyncio.sleep(0)
        assert told.told.count("lost") == 1

    api.run(main())


def test_pipes_can_be_asked_for(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, told = await loop.subprocess_exec(Recorder, "cat", stderr=None)
        assert isinstance(transport.get_pipe_transport(0), asyncio.WriteTransport)
        assert isinstance(transport.get_pipe_transport(1), asyncio.ReadTransport)
        assert transport.get_pipe_transport(2) is None and transport.get_pipe_transport(7) is None
        assert transport.get_pid() == transport.get_extra_info("subprocess").pid
        assert transport.get_returncode() is None and "running" in repr(transport)
        transport.get_pipe_transport(0).write(b"to the cat")
        transport.get_pipe_transport(0).close()
        await asyncio.wait_for(told.over, PATIENCE)
        assert told.data[1] == b"to the cat"
        assert "returncode=0" in repr(transport)
        transport.close()

    api.run(main())


def test_close_kills_and_tells(api: Any, way: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, told = await loop.subprocess_exec(Recorder, "sleep", "1000")
        transport.close()
        assert transport.is_closing()
        assert await asyncio.wait_for(told.over, PATIENCE) is None
        assert transport.get_returncode() == -signal.SIGKILL
        assert told.told[-1] == "lost" and told.told.count("exited") == 1

    api.run(main())


def test_signals(api: Any, way: str) -> None:
    async def main() -> None:
        for send, expected in (
            (lambda proc: proc.send_signal(signal.SIGUSR1), signal.SIGUSR1),
            (lambda proc: proc.terminate(), signal.SIGTERM),
            (lambda proc: proc.kill(), signal.SIGKILL),
        ):
            proc = await api.m.create_subprocess_exec("sleep", "1000")
            send(proc)
            assert await proc.wait() == -expected
            with contextlib.suppress(ProcessLookupError):  # stock has either, by the version
                send(proc)
            with pytest.raises((TypeError, ValueError, ProcessLookupError, OSError)):
                proc.send_signal(10_000)

    api.run(main())


def test_after_the_end_a_signal_is_an_error_that_says_so(ours: Any, way: str) -> None:
    async def main() -> None:
        proc = await ours.m.create_subprocess_exec("true")
        await proc.wait()
        await asyncio.sleep(0)  # its end may just have been told, and connection_lost be the next in the queue
        with pytest.raises(ProcessLookupError, match=r"has ended \(exit code 0\)"):
            proc.kill()

    if ours.name == "loop":
        ours.run(main())


def test_no_signal_reaches_a_number_that_was_given_back(ours: Any, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        # A grandchild keeps the pipe, so that the transport lives on when its process has ended and its status was taken.
        transport, told = await loop.subprocess_shell(Recorder, "sleep 1000 & echo $!")
        assert await asyncio.wait_for(transport._wait(), PATIENCE) == 0
        while not told.data[1]:
            await asyncio.sleep(0)
        sent: list[Any] = []
        monkeypatch.setattr(os, "kill", lambda *args: sent.append(args))
        if hasattr(signal, "pidfd_send_signal"):
            monkeypatch.setattr(signal, "pidfd_send_signal", lambda *args: sent.append(args))
        transport.kill()
        transport.send_signal(signal.SIGUSR1)
        transport.close()
        assert not sent
        monkeypatch.undo()
        await asyncio.wait_for(told.over, PATIENCE)
        os.kill(int(told.data[1]), signal.SIGKILL)

    ours.run(main())


def test_wait_ends_with_the_process_though_a_grandchild_holds_its_pipe(ours: Any, way: str) -> None:
    async def main() -> None:
        proc = await ours.m.create_subprocess_shell("sleep 1000 & echo $!", stdout=PIPE)
        grandchild = int(await proc.stdout.readline())
        assert await asyncio.wait_for(proc.wait(), PATIENCE) == 0
        os.kill(grandchild, signal.SIGKILL)
        assert await asyncio.wait_for(proc.stdout.read(), PATIENCE) == b""

    ours.run(main())


def test_a_status_that_somebody_else_takes_is_reported_as_255(ours: Any, way: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, told = await loop.subprocess_exec(Recorder, "cat", stdout=DEVNULL, stderr=DEVNULL)
        pid = transport.get_pid()
        transport.get_extra_info("subprocess").kill()
        os.waitpid(pid, 0)
        await asyncio.wait_for(told.over, PATIENCE)
        assert transport.get_returncode() == 255
        assert "exit status already read" in caplog.text
        transport.close()

    ours.run(main())


def test_a_sigchld_handler_that_takes_every_status_takes_none_of_ours(ours: Any, way: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        taken = []

        def take_all() -> None:
            with contextlib.suppress(ChildProcessError):
                while (found := os.waitpid(-1, os.WNOHANG))[0]:
                    taken.append(found)

        loop.add_signal_handler(signal.SIGCHLD, take_all)
        try:
            for code in range(5):
                proc = await ours.m.create_subprocess_shell(f"exit {code}")
                assert await proc.wait() == code
        finally:
            loop.remove_signal_handler(signal.SIGCHLD)
        assert not taken

    ours.run(main())


def test_a_protocol_that_raises_is_reported_and_told_the_rest(api: Any) -> None:
    class Moody(Recorder):
        def pipe_data_received(self, fd: int, data: bytes) -> None:
            super().pipe_data_received(fd, data)
            raise ZeroDivisionError

        def process_exited(self) -> None:
            super().process_exited()
            raise KeyError

    async def main() -> None:
        reports: list[Any] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(type(context["exception"])))
        transport, told = await loop.subprocess_shell(Moody, "echo x")
        await asyncio.wait_for(told.over, PATIENCE)
        assert sorted(reports, key=str) == [KeyError, ZeroDivisionError]
        transport.close()

    api.run(main())


def test_a_cancelled_start_kills_the_child(api: Any, way: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for turns in range(6):
            task = loop.create_task(loop.subprocess_exec(Recorder, "sleep", "1000"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                transport, told = await task
            except asyncio.CancelledError:
                continue
            transport.close()
            await asyncio.wait_for(told.over, PATIENCE)

    # The standard library (before 3.14) leaves pipes open here.
    if api.ours:
        api.run(main())


# --- the loop's end, threads ---------------------------------------------------------------------------------------------


@pytest.mark.leaves("transports", "children", "armed")
def test_a_child_may_outlive_the_loop(ours: Any, way: str) -> None:
    loop = ours.new_loop()
    transport, _ = loop.run_until_complete(_spawn(loop, "sleep", "1000"))
    loop.close()
    pid = transport.get_pid()
    assert is_alive(pid)
    os.kill(pid, signal.SIGTERM)  # its status is taken all the same: the fixture looks
    _until_gone(pid)
    transport.close()


@pytest.mark.leaves("transports", "children", "armed")
def test_a_child_that_nobody_has_when_the_loop_is_closed_is_killed_with_a_warning(ours: Any, way: str) -> None:
    loop = ours.new_loop()
    transport, _ = loop.run_until_complete(_spawn(loop, "sleep", "1000"))
    pid = transport.get_pid()
    loop.close()
    with pytest.warns(ResourceWarning, match="unclosed transport"):
        del transport, _
        gc.collect()
    _until_gone(pid)


@pytest.mark.leaves("transports", "children", "armed")
def test_closing_the_loop_in_the_middle_of_everything(ours: Any, way: str) -> None:
    loop = ours.new_loop()

    async def begin() -> Any:
        proc = await ours.m.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        proc.stdin.write(bytes(10_000_000))
        return proc

    proc = loop.run_until_complete(begin())
    loop.close()
    proc._transport.close()
    _until_gone(proc.pid)


async def _spawn(loop: Any, *args: Any) -> Any:
    return await loop.subprocess_exec(Recorder, *args)


def _until_gone(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < deadline, f"child process {pid} is still there"
        time.sleep(0.001)


def test_from_a_loop_in_a_thread(api: Any, way: str) -> None:
    found: list[Any] = []

    async def main() -> None:
        proc = await api.m.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        found.append(await proc.communicate(b"threaded"))

    threads = [threading.Thread(target=lambda: api.run(main())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == [(b"threaded", None)] * 4


def test_many_at_once(api: Any, way: str) -> None:
    async def one(i: int) -> None:
        proc = await api.m.create_subprocess_shell(f"cat; exit {i}", stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert await proc.communicate(b"%d" % i) == (b"%d" % i, b"")
        assert proc.returncode == i

    async def main() -> None:
        await asyncio.gather(*(one(i) for i in range(30)))

    api.run(main())


SPAWNS = 2000 if yieldloop.compiled() else 300


@pytest.mark.parametrize("who", ["protocol", "class", "reader", "nobody"])
def test_output_goes_past_the_protocol_if_nobody_looks_at_it(ours: Any, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    from yieldloop.aio.streams import StreamReader
    from yieldloop.aio.subprocess import SubprocessStreamProtocol

    pieces = []
    plain = SubprocessStreamProtocol.pipe_data_received

    def look(self: Any, fd: int, data: bytes) -> None:
        pieces.append(data)
        plain(self, fd, data)

    class Looking(SubprocessStreamProtocol):
        pipe_data_received = look

    class Reader(StreamReader):
        def feed_data(self, data: Any) -> None:
            pieces.append(data)
            super().feed_data(data)

    if who == "nobody":
        look.__name__ = plain.__name__
        monkeypatch.setattr(SubprocessStreamProtocol, "pipe_data_received", look)
        monkeypatch.setattr("yieldloop.aio.subprocess._DATA_RECEIVED", look)  # what is ours is not called, though it is there
    elif who == "class":
        monkeypatch.setattr(SubprocessStreamProtocol, "pipe_data_received", look)
    elif who == "reader":
        monkeypatch.setattr("yieldloop.aio.subprocess.StreamReader", Reader)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = Looking if who == "protocol" else SubprocessStreamProtocol
        transport, protocol = await loop.subprocess_exec(lambda: made(2**16, loop), "cat", stdin=PIPE, stdout=PIPE, stderr=None)
        for text in (b"one\n", b"two\n"):
            protocol.stdin.write(text)
            assert await asyncio.wait_for(protocol.stdout.readline(), PATIENCE) == text
        protocol.stdin.close()
        assert await asyncio.wait_for(protocol.stdout.read(), PATIENCE) == b""
        assert await transport._wait() == 0
        transport.close()

    ours.run(main())
    assert pieces == ([] if who == "nobody" else [b"one\n", b"two\n"])


def test_another_protocol_gets_the_output_from_then_on(ours: Any) -> None:
    from yieldloop.aio.subprocess import SubprocessStreamProtocol

    async def main() -> None:
        loop = asyncio.get_running_loop()
        told = asyncio.Queue()

        class Other(asyncio.SubprocessProtocol):
            def pipe_data_received(self, fd: int, data: bytes) -> None:
                told.put_nowait((fd, data))

        transport, protocol = await loop.subprocess_exec(
            lambda: SubprocessStreamProtocol(2**16, loop), "cat", stdin=PIPE, stdout=PIPE, stderr=None
        )
        protocol.stdin.write(b"one\n")
        assert await asyncio.wait_for(protocol.stdout.readline(), PATIENCE) == b"one\n"
        transport.set_protocol(Other())
        transport.get_pipe_transport(0).write(b"two\n")
        assert await asyncio.wait_for(told.get(), PATIENCE) == (1, b"two\n")
        transport.close()
        await transport._wait()

    ours.run(main())


@pytest.mark.parametrize("where", ["main thread", "other thread"])
def test_thousands_of_spawns_leave_no_descriptor_and_no_zombie(where: str) -> None:
    async def main() -> None:
        counts = []
        for i in range(SPAWNS):
            pipe = PIPE if i % 3 == 0 else None
            proc = await yieldloop.create_subprocess_exec("/bin/true", stdin=pipe, stdout=pipe)
            await proc.wait()
            if i % 100 == 99:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                counts.append(len(os.listdir("/proc/self/fd")))
        assert max(counts) <= counts[0] + 2, counts
        assert not asyncio.get_running_loop()._children

    if where == "main thread":
        yieldloop.run(main())
        return
    failures: list[BaseException] = []

    def in_thread() -> None:
        try:
            yieldloop.run(main())
        except BaseException as exc:
            failures.append(exc)

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert not failures


def test_without_pidfd_a_thread_waits(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: Any) -> int:
        raise PermissionError

    async def main() -> None:
        proc = await ours.m.create_subprocess_exec("sleep", "1000")
        names = [thread.name for thread in threading.enumerate()]
        assert f"yieldloop-waits-for-{proc.pid}" in names
        proc.kill()
        assert await proc.wait() == -signal.SIGKILL

    monkeypatch.delenv(child.SWITCH, raising=False)
    monkeypatch.setattr(child, "_pidfd", None)
    monkeypatch.setattr(os, "pidfd_open", forbidden, raising=False)
    ours.run(main())
    # Found to work once, and failing later (no descriptor left): a thread steps in for that child.
    monkeypatch.setattr(child, "_pidfd", True)
    ours.run(main())
    assert child.has_pidfd()


def test_the_waiting_thread_leaves_the_status_to_the_loop(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        proc = await ours.m.create_subprocess_exec("sleep", "1000")
        waiting = next(thread for thread in threading.enumerate() if thread.name == f"yieldloop-waits-for-{proc.pid}")
        proc.kill()
        waiting.join(PATIENCE)
        assert not waiting.is_alive() and proc.returncode is None  # it has seen the end, and the loop had no turn yet
        os.waitid(os.P_PID, proc.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)  # the number is still the child's
        proc.kill()
        assert await proc.wait() == -signal.SIGKILL

    monkeypatch.setenv(child.SWITCH, "thread")
    ours.run(main())


def test_without_waitid_the_thread_looks_again_and_again(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        proc = await ours.m.create_subprocess_exec("sleep", "1000")
        proc.terminate()
        assert await proc.wait() == -signal.SIGTERM

    monkeypatch.setenv(child.SWITCH, "thread")
    monkeypatch.delattr(os, "waitid", raising=False)
    ours.run(main())


def test_an_unknown_way_is_refused_before_anything_is_started(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="YIELDLOOP_CHILDREN"):
            await ours.m.create_subprocess_exec("sleep", "1000")

    monkeypatch.setenv(child.SWITCH, "sigchld")
    ours.run(main())


def test_in_debug_mode(api: Any) -> None:
    async def main() -> None:
        proc = await api.m.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        assert await proc.communicate(b"looked at closely") == (b"looked at closely", None)
        loop = asyncio.get_running_loop()
        transport, told = await loop.subprocess_exec(Recorder, "sleep", "1000")
        transport.close()
        await asyncio.wait_for(told.over, PATIENCE)

    api.run(main(), debug=True)


def test_a_process_knows_where_it_was_started(ours: Any) -> None:
    async def main() -> None:
        proc = await ours.m.create_subprocess_exec("true")
        site = proc._transport.created_at
        assert (site.name, site.filename) == ("main", __file__)
        await proc.wait()

    if ours.name == "module":
        ours.run(main())


@pytest.mark.leaves("children", "armed")
def test_the_report_of_what_did_not_end_names_the_children(caplog: pytest.LogCaptureFixture) -> None:
    held = []

    async def main() -> None:
        held.append(await yieldloop.create_subprocess_exec("sleep", "1000"))
        waiting = asyncio.get_running_loop().run_in_executor(None, over.wait)
        del waiting

    over = threading.Event()
    try:
        yieldloop.run(main(), shutdown_timeout=0.05)
    finally:
        over.set()
    assert f"child process {held[0].pid}" in caplog.text and "test_subprocess.py" in caplog.text
    held[0]._transport.close()
