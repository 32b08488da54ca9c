"""Chapter 13: from the mini asyncio to yieldloop. Each piece and its counterpart; with --measure, both of them at work.

    python guide/13_to_the_real_one.py             the map, by names
    python guide/13_to_the_real_one.py --lines     the same, by file and line, as they are in this copy of the source
    python guide/13_to_the_real_one.py --measure   the same programs on both
"""

import ast
import json
import os
import subprocess
import sys
import time
from functools import cache
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
REAL = HERE.parent if HERE.parent.name == "yieldloop" else HERE.parent / "src" / "yieldloop"

# What it is about, what it is in guide/mini.py or guide/mini_streams.py, and where yieldloop has it, under src/yieldloop/.
MAP = [
    ("what is ready", "Handle", "engine/handles.py::Handle", "engine/handles.py::TimerHandle"),
    ("", "Loop.__init__", "engine/_ring.py::ReadyQueue", "engine/_heap.py::TimerHeap"),
    ("", "Loop.call_soon", "engine/loop.py::LoopCore.call_soon"),
    ("a result to come", "Future", "engine/futures.py::Future"),
    ("", "Future.settle", "engine/futures.py::Future._settle"),
    ("", "Future.add_done_callback", "engine/futures.py::Future.add_waiter"),
    ("", "Future.__await__", "engine/_leaf.py::FutureIter"),
    ("", "CancelledError", "errors.py"),
    ("", "InvalidStateError", "errors.py"),
    ("who waits", "Task", "engine/tasks.py::Task"),
    ("", "Task.step", "engine/tasks.py::Task.step"),
    ("", "Task.park", "engine/tasks.py::Task._park_on", "engine/tasks.py::Task._refuse"),
    ("", "Task.wake_up", "engine/tasks.py::Task.woken_by"),
    ("", "Task.end", "engine/tasks.py::Task._finish"),
    ("", "Task.cancel", "engine/tasks.py::Task.cancel"),
    ("", "Task.uncancel", "engine/tasks.py::Task.uncancel"),
    ("", "let_others_run", "engine/_leaf.py::Turn"),
    ("one iteration", "Loop.run_once", "engine/loop.py::LoopCore._iterate"),
    ("", "Loop", "engine/loop.py::LoopCore", "loop/base.py::BaseLoop"),
    ("", "Loop.run_until", "loop/base.py::BaseLoop.run_forever"),
    ("", "Here", "engine/running.py::current_loop"),
    ("", "get_running_loop", "engine/running.py::current_loop"),
    ("", "current_task", "engine/_leaf.py::enter_current"),
    ("", "create_task", "engine/loop.py::LoopCore.create_task"),
    ("", "ensure_future", "aio/tasks.py::ensure_future"),
    ("", "run", "aio/runners.py::Runner"),
    ("time", "Loop.call_at", "engine/loop.py::LoopCore._arm"),
    ("", "sleep", "engine/sleeping.py::Sleep"),
    ("", "timeout", "aio/timeouts.py::Timeout"),
    ("", "wait_for", "aio/timeouts.py::wait_for"),
    ("threads", "Loop.call_soon_threadsafe", "engine/loop.py::LoopCore.call_soon_threadsafe", "pollers/wakeup.py::Wakeup"),
    ("", "Loop.run_in_executor", "loop/base.py::BaseLoop.run_in_executor", "loop/pool.py::Pool"),
    ("", "to_thread", "aio/threads.py::to_thread"),
    ("several", "gather", "aio/waiting.py::gather", "engine/gathering.py"),
    ("", "Lock", "aio/locks.py::Lock"),
    ("sockets", "Loop.watch", "pollers/base.py::FdPoller", "pollers/epoll.py::EpollPoller.poll"),
    ("", "ready_for", "transports/sockcalls.py::SockCall"),
    ("", "Loop.close_socket", "transports/tcp.py::TcpTransport.close"),
    ("", "open_connection", "aio/streams.py::open_connection", "loop/net.py::NetMixin.create_connection"),
    ("", "Server", "loop/server.py::Server", "loop/net.py::NetMixin._accept"),
    ("", "start_server", "aio/streams.py::start_server"),
    ("streams", "StreamReader", "aio/_reader.py::StreamReader", "transports/intake.py::Intake", "wire/buffer.py::StreamBuffer"),
    ("", "StreamReader.more", "transports/tcp.py::TcpTransport.run"),
    ("", "StreamWriter", "aio/streams.py::StreamWriter", "transports/tcp.py::TcpTransport"),
    ("", "StreamWriter.write", "transports/tcp.py::TcpTransport.write", "wire/writequeue.py::WriteQueue"),
    ("", "StreamWriter.drain", "wire/flow.py::Flow"),
]


@cache
def lines_of(path):
    """The line of each class and function in a file, by its name; methods as Class.method."""
    found = {"": 1}

    def collect(nodes, prefix):
        for node in nodes:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.setdefault(prefix + node.name, node.lineno)
            if isinstance(node, ast.ClassDef):
                collect(node.body, f"{node.name}.")
            if isinstance(node, ast.If):
                collect(node.body + node.orelse, prefix)

    collect(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


def place(pointer):
    """The file and the line of `file.py::name`; KeyError if it is not there."""
    file, _, name = pointer.partition("::")
    return REAL / file, lines_of(REAL / file)[name]


def mini_place(name):
    """The same of a piece of the mini asyncio."""
    files = HERE / "mini.py", HERE / "mini_streams.py"
    return next((file, lines_of(file)[name]) for file in files if name in lines_of(file))


def show_map(with_lines):
    for about, mini, *pointers in MAP:
        if about:
            print(about)
        if with_lines:
            places = [mini_place(mini), *map(place, pointers)]
            print(f"  {mini}", *[f"{os.path.relpath(file)}:{line}" for file, line in places], sep="\n      ")
        else:
            print(f"  {mini:<26} {pointers[0]}", *[f"{'':<28} {pointer}" for pointer in pointers[1:]], sep="\n")
    named = {pointer.split("::")[0] for _, _, *pointers in MAP for pointer in pointers}
    print(f"{len(MAP)} pieces of the mini asyncio, in {len(named)} files of yieldloop")


# --- the measurement ---------------------------------------------------------------------------------------------------


async def switches(m, streams, count):
    """Two tasks give each other the turn."""

    async def turns():
        for _ in range(count // 2):
            await m.sleep(0)

    await m.gather(turns(), turns())


async def tasks(m, streams, count):
    """A task is made, runs and is awaited."""

    async def nothing():
        pass

    for _ in range(count):
        await m.create_task(nothing())


async def limits(m, streams, count):
    """A time limit is set and is not needed: a timer is armed and disarmed."""
    for _ in range(count):
        async with m.timeout(60):
            await m.sleep(0)


async def echoes(m, streams, count):
    """A line of 100 bytes goes over loopback and comes back."""

    async def echo(reader, writer):
        while (line := await reader.readline()) != b"enough\n":
            writer.write(line)
            await writer.drain()
        writer.close()

    server = await streams.start_server(echo, "127.0.0.1", 0)
    reader, writer = await streams.open_connection(*server.sockets[0].getsockname())
    for _ in range(count):
        writer.write(b"x" * 99 + b"\n")
        await writer.drain()
        await reader.readline()
    writer.write(b"enough\n")
    await reader.read()  # until the other side has closed
    writer.close()
    server.close()
    await server.wait_closed()


JOBS = [(switches, 50_000), (tasks, 25_000), (limits, 25_000), (echoes, 3_000)]
RUNNERS = [
    ("mini", "mini", {}),
    ("asyncio", "asyncio", {}),
    ("yieldloop interpreted", "yieldloop", {"YIELDLOOP_PURE": "1"}),
    ("yieldloop compiled", "yieldloop", {"YIELDLOOP_PURE": "0"}),
]


def measure_here(module):
    """Microseconds for one of each job, the best of three runs: printed for the process that asked."""
    m = import_module(module)
    streams = import_module("mini_streams") if module == "mini" else m
    results = []
    for job, count in JOBS:
        best = float("inf")
        for _ in range(3):
            begin = time.perf_counter()
            m.run(job(m, streams, count))
            best = min(best, time.perf_counter() - begin)
        results.append(best / count * 1e6)
    compiled = m.compiled() if module == "yieldloop" else None
    print(json.dumps({"results": results, "compiled": compiled}))


def measure():
    """Each in a process of its own, since which speed yieldloop has is decided when it is imported."""
    print("microseconds for one" + " " * 9, *[f"{job.__name__:>9}" for job, _ in JOBS])
    for title, module, settings in RUNNERS:
        command = [sys.executable, __file__, "--one", module]
        env = os.environ | settings | {"YIELDLOOP_WATCHDOG": "off"}  # it would say, rightly, that these loops do nothing but spin
        answer = json.loads(subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True).stdout)
        if title.endswith(" compiled") and not answer["compiled"]:
            print("yieldloop is not compiled here: `make build` says why")
            continue
        print(f"{title:<29}", *[f"{result:9.2f}" for result in answer["results"]])


def main(arguments):
    match arguments:
        case []:
            show_map(with_lines=False)
        case ["--lines"]:
            show_map(with_lines=True)
        case ["--measure"]:
            measure()
        case ["--one", module]:
            measure_here(module)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
