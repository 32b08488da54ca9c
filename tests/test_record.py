"""The recorder and its files: what is recorded, how much is kept, and that a file is whole or not there."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
import zlib
from pathlib import Path

import pytest

import yieldloop
from yieldloop import record
from yieldloop.engine import recording
from yieldloop.engine._record import Recorder
from yieldloop.loop import watching
from yieldloop.record import decode, files

MIXED = """
import sys, socket, yieldloop
from yieldloop import record

async def child(n):
    for _ in range(n):
        await yieldloop.sleep(0)

async def fails():
    raise ValueError

def callback():
    yieldloop.get_running_loop().create_task(child(1), name="from a callback")

async def main():
    loop = yieldloop.get_running_loop()
    await yieldloop.sleep(0.001)
    async with yieldloop.TaskGroup() as group:
        for i in range(3):
            group.create_task(child(i), name="named" if i == 1 else None)
    await yieldloop.gather(fails(), child(2), return_exceptions=True)
    loop.call_soon(callback)
    await yieldloop.sleep(0)
    await yieldloop.create_task(child(1))
    future = loop.create_future()
    waiter = loop.create_task(yieldloop.wait_for(future, 10))
    await yieldloop.sleep(0)
    waiter.cancel()
    await yieldloop.wait([waiter])
    yieldloop.Task(child(1), loop=loop, eager_start=True)
    left, right = socket.socketpair()
    left.setblocking(False)
    loop.call_soon(right.send, b"x")
    await loop.sock_recv(left, 1)
    left.close(), right.close()
    await yieldloop.sleep(0.001)

yieldloop.run(main())
record.save(sys.argv[1])
"""


def run(program: str, *arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("YIELDLOOP_RECORD")}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, env=env | environ, capture_output=True, text=True, timeout=60)


def story(path: Path) -> list[str]:
    """The events of a file in words, without what differs from run to run: times, numbers of things, how often it was polled."""
    (loop,) = record.load(path).as_json()["loops"]
    first = min(int(number) for number in loop["tasks"])
    told = []
    for index, (_, kind, subject, thing) in enumerate(loop["events"]):
        if kind.startswith("task"):
            name = loop["tasks"][str(subject)]["name"]
            what = loop["things"][str(thing)]["kind"] if thing else ""
            told.append(f"{kind} {subject - first} {name} {what} {stood(loop, index)}")
        elif kind in ("callback_begun", "callback_done", "timer_fired", "handed_to_thread"):
            told.append(f"{kind} {loop['things'][str(subject)]['label']}")
        elif kind == "fd_ready":
            told.append(f"{kind} {thing}")
    return told


def stood(loop, index: int) -> list[str]:
    """Where the task stood that parked in event *index*, outermost first."""
    chain, place = [], loop["places"].get(str(loop["stood"].get(str(index), 0)))
    while place is not None:
        chain.append(f"{place['name']}:{place['line']}" if "line" in place else place["name"])
        place = loop["places"].get(str(place["under"]))
    return chain[::-1]


WAITS = """
import sys, asyncio, yieldloop
from yieldloop import record

async def db(lock):
    async with lock:
        pass

async def items(queue):
    while True:
        yield await queue.get()

async def first(queue):
    async for item in items(queue):
        return item

async def main():
    lock, queue, event = asyncio.Lock(), asyncio.Queue(), asyncio.Event()
    await lock.acquire()
    tasks = [asyncio.create_task(wait) for wait in (db(lock), first(queue), asyncio.wait_for(event.wait(), 9), db(lock))]
    await asyncio.sleep(0)
    await asyncio.sleep(0.02)
    lock.release()
    queue.put_nowait(1)
    event.set()
    await asyncio.wait(tasks)

with asyncio.Runner(loop_factory=yieldloop.new_event_loop) as runner:
    runner.run(main())
record.save(sys.argv[1])
"""


def test_a_long_wait_is_known_by_what_the_task_waited_for_and_where(tmp_path):
    done = run(WAITS, tmp_path / "file")
    assert (done.returncode, done.stderr) == (0, "")
    (loop,) = record.load(tmp_path / "file").as_json()["loops"]
    line = WAITS.splitlines().index("    async with lock:") + 1
    labels = {thing["label"].split(",")[0]: thing["kind"] for thing in loop["things"].values()}
    assert labels[f"Lock.acquire in <string>:{line}"] == "lock"
    assert labels[f"Queue.get in <string>:{line + 5}"] == "queue"
    assert labels["Event.wait"] == "event"  # the task itself runs it, no code of the program's
    parks = [index for index, event in enumerate(loop["events"]) if event[1] == "task_parked" and event[3]]
    chains = [stood(loop, index) for index in parks]
    assert [f"db:{line}", "_ContextManagerMixin.__aenter__", "Lock.acquire"] in [
        [name if name.startswith("db") else name.split(":")[0] for name in chain] for chain in chains
    ]
    assert any(chain[:2] == [f"first:{line + 8}", f"items:{line + 5}"] and "Queue.get" in chain[2] for chain in chains)


def test_full_says_of_every_wait_where_the_task_stood(tmp_path):
    done = run(WAITS, tmp_path / "file", YIELDLOOP_RECORD="full")
    assert (done.returncode, done.stderr) == (0, "")
    (loop,) = record.load(tmp_path / "file").as_json()["loops"]
    parks = [index for index, event in enumerate(loop["events"]) if event[1] == "task_parked"]
    assert len(parks) >= 7
    assert all(stood(loop, index) for index in parks[:-1])


def test_where_tasks_stood_is_recorded_only_so_often():
    """A thousand are allowed after a rest; ten thousand that wake at once would be held up by it."""

    async def main():
        event = yieldloop.Event()
        tasks = [asyncio.ensure_future(event.wait()) for _ in range(3000)]
        await yieldloop.sleep(0.02)
        event.set()
        await yieldloop.wait(tasks)
        return yieldloop.get_running_loop()

    recorder = Recorder(4 << 20, 0)

    async def recorded():
        yieldloop.get_running_loop().recorder = recorder
        await main()

    yieldloop.run(recorded())
    kinds = [low & 63 for number in recorder.numbers() for low, _ in decode.PAIR.iter_unpack(recorder.chunk(number)[3])]
    assert 1000 <= kinds.count(decode.WAITED) <= 1100


@pytest.mark.skipif(not yieldloop.compiled(), reason="compares both speeds, so it is enough to run it in one leg")
def test_both_speeds_record_the_same_events_in_the_same_order(tmp_path):
    told = []
    for pure in ("", "1"):
        done = run(MIXED, tmp_path / f"file{pure}", YIELDLOOP_PURE=pure, YIELDLOOP_RECORD="full")
        assert (done.returncode, done.stderr) == (0, "")
        told.append(story(tmp_path / f"file{pure}"))
    assert told[0] == told[1]
    assert {line.split()[0] for line in told[0]} == {
        "task_created", "task_stepped", "task_parked", "task_woken", "task_done",
        "callback_begun", "callback_done", "timer_fired", "fd_ready",
    }  # fmt: skip


def test_the_probe_is_told_the_same_as_the_recorder(tmp_path):
    """Order and tasks; the engine's two ways of telling must not differ."""
    seen: list[tuple[str, int]] = []

    class Probe(yieldloop.Probe):
        pass

    def note(event):
        def told(self, task, *_):
            seen.append((event, task._number))

        return told

    for event in ("task_created", "task_stepped", "task_parked", "task_woken", "task_done"):
        setattr(Probe, event, note(event))

    async def child(n):
        for _ in range(n):
            await yieldloop.sleep(0)

    async def main():
        yieldloop.get_running_loop().probe = Probe()
        await yieldloop.sleep(0.001)
        await yieldloop.gather(*[child(i) for i in range(4)])
        await yieldloop.create_task(child(2))
        yieldloop.Task(child(1), loop=yieldloop.get_running_loop(), eager_start=True)
        await yieldloop.sleep(0.001)
        yieldloop.get_running_loop().probe = None
        record.save(tmp_path / "file")

    yieldloop.run(main())
    loop = record.load(tmp_path / "file").as_json()["loops"][-1]
    told = [(kind, subject) for _, kind, subject, _ in loop["events"] if kind.startswith("task_")]
    begin = told.index(seen[0])
    assert told[begin : begin + len(seen)] == seen


def test_times_are_those_of_the_clock_and_never_go_back(tmp_path):
    async def main():
        began = time.monotonic_ns()
        await yieldloop.sleep(0.02)
        time.sleep(0.02)
        await yieldloop.sleep(0)
        ended = time.monotonic_ns()
        await yieldloop.sleep(0)
        record.save(tmp_path / "file")
        return began, ended, yieldloop.current_task()._number

    began, ended, number = yieldloop.run(main())
    document = record.load(tmp_path / "file").as_json()
    events = document["loops"][-1]["events"]
    times = [event[0] for event in events]
    assert times == sorted(times)
    parked, woken = [next(t for t, kind, task, thing in events if (kind, task) == (what, number) and thing) for what in PARK]
    turn = next(t for t, kind, task, thing in events if (kind, task, thing) == ("task_parked", number, 0))
    assert began - 1000 < parked and woken - parked >= 19_900_000
    assert turn - woken >= 19_900_000 and turn < ended + 1000
    assert abs(document["wall_ns"] + times[-1] - time.time_ns()) < 60e9


PARK = ("task_parked", "task_woken")


def test_what_it_takes_to_begin_a_run_is_no_part_of_the_first_step(tmp_path, monkeypatch):
    begun, over = watching.begun, []

    def slowly(loop):
        begun(loop)
        over.append(time.monotonic_ns())

    async def main():
        record.save(tmp_path / "file")

    monkeypatch.setattr(watching, "begun", slowly)
    yieldloop.run(main())
    events = record.load(tmp_path / "file").as_json()["loops"][-1]["events"]
    assert next(t for t, kind, _, _ in events if kind == "task_stepped") >= over[0] - 1000


def test_what_ran_when_it_was_saved_is_running(tmp_path):
    def callback():
        record.save(tmp_path / "callback")

    async def main():
        await yieldloop.sleep(0)
        record.save(tmp_path / "step")
        yieldloop.get_running_loop().call_soon(callback)
        await yieldloop.sleep(0.001)
        return yieldloop.current_task()._number

    number = yieldloop.run(main())
    assert record.load(tmp_path / "step").as_json()["loops"][-1]["events"][-1][1:3] == ["task_stepped", number]
    loop = record.load(tmp_path / "callback").as_json()["loops"][-1]
    _, kind, thing, _ = loop["events"][-1]
    assert kind == "callback_begun" and loop["things"][str(thing)]["label"].endswith("callback")
    assert loop["things"][str(thing)]["line"] == callback.__code__.co_firstlineno


def test_tasks_keep_name_code_and_creation_site_when_they_are_gone(tmp_path):
    async def child():
        await yieldloop.sleep(0)

    async def main():
        task = yieldloop.create_task(child(), name="first")
        task.set_name("second")
        await task
        return task._number

    number = yieldloop.run(main())
    record.save(tmp_path / "file")
    task = record.load(tmp_path / "file").as_json()["loops"][-1]["tasks"][str(number)]
    assert task["name"] == "second" and task["coro"].endswith("child") and task["outcome"] == "result"
    assert (task["site"]["file"], task["site"]["line"]) == (main.__code__.co_filename, main.__code__.co_firstlineno + 1)
    assert task["made_ns"] < time.monotonic_ns()


def test_an_address_that_is_used_again_is_another_thing(tmp_path):
    async def main():
        loop = yieldloop.get_running_loop()
        for _ in range(20):
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            await future
            del future
        return yieldloop.current_task()._number

    number = yieldloop.run(main())
    record.save(tmp_path / "file")
    events = record.load(tmp_path / "file").as_json()["loops"][-1]["events"]
    parks = [thing for _, kind, task, thing in events if kind == "task_parked" and task == number and thing]
    assert len(parks) == len(set(parks)) == 20


# --- bounds --------------------------------------------------------------------------------------------------------------


def on_recorder(limit: int, age: int, body) -> tuple[Recorder, dict]:
    """Run *body* on a loop with that recorder; returns the recorder and its part of a recording."""

    async def main():
        yieldloop.get_running_loop().recorder = recorder
        await body()

    recorder = Recorder(limit, age)
    yieldloop.run(main())
    return recorder, recording.past()[-1]


async def turns(n: int) -> None:
    for _ in range(n):
        await yieldloop.sleep(0)


def test_the_ring_is_bounded_by_bytes_and_says_what_fell_out(tmp_path):
    recorder, _ = on_recorder(2 * recording.CHUNK, 0, lambda: turns(20_000))
    assert len(recorder.numbers()) == 2 and recorder.lost == 3 * 4096
    record.save(tmp_path / "file")
    loop = record.load(tmp_path / "file").as_json()["loops"][-1]
    assert loop["lost"] == 3 * 4096
    assert 4096 < len([event for event in loop["events"] if event[1] == "task_stepped"]) <= 2 * 4096
    (facts,) = [task for task in loop["tasks"].values() if (task["coro"] or "").endswith("main")]  # said again at its end
    assert facts["site"] is not None and facts["name"].startswith("Task-")


def test_the_ring_is_bounded_by_age(tmp_path):
    async def body():
        await turns(5000)
        await yieldloop.sleep(0.3)
        await turns(4096)

    recorder, _ = on_recorder(1 << 20, 200_000_000, body)
    record.save(tmp_path / "file")
    loop = record.load(tmp_path / "file").as_json()["loops"][-1]
    assert recorder.lost in (4096, 8192) and len(recorder.numbers()) <= 2  # the old chunk was given back
    assert loop["events"][-1][0] - loop["events"][0][0] <= 250_000_000


def test_an_idle_loop_needs_one_chunk_and_many_loops_do_not_add_up():
    for _ in range(20):
        yieldloop.run(turns(1))
    assert len(recording.past()) == recording.MOST_PAST
    assert all(len(past.recorder.numbers()) == 1 for past in recording.past())


@pytest.mark.parametrize("limit, age", [(1000, 0), (1 << 20, -1)])
def test_a_recorder_refuses_bounds_that_are_none(limit, age):
    with pytest.raises(ValueError, match="at least"):
        Recorder(limit, age)


# --- modes ---------------------------------------------------------------------------------------------------------------


KEPT = {None: (4 << 20, 60), "ring": (4 << 20, 60), "full": (256 << 20, 0), "off": None}


@pytest.mark.parametrize("asked", KEPT)
def test_the_environment_says_how_much_is_kept(monkeypatch, asked):
    monkeypatch.delenv("YIELDLOOP_RECORD", raising=False)
    if asked is not None:
        monkeypatch.setenv("YIELDLOOP_RECORD", asked)
    assert record.mode() == (asked or "ring")
    loop = yieldloop.new_event_loop()
    recorder = loop.recorder
    loop.close()
    assert (recorder and (recorder.limit, recorder.age // 10**9)) == KEPT[asked]


def test_a_mode_that_does_not_exist_is_an_error_that_names_those_that_do(monkeypatch):
    monkeypatch.setenv("YIELDLOOP_RECORD", "on")
    with pytest.raises(ValueError, match=r"'on'.*ring, full, off"):
        record.mode()


def test_without_a_recorder_tasks_still_know_since_when_and_a_recording_has_no_loops(tmp_path, monkeypatch):
    monkeypatch.setenv("YIELDLOOP_RECORD", "off")
    before = len(recording.past())

    async def main():
        task = yieldloop.create_task(yieldloop.sleep(60))
        await yieldloop.sleep(0.02)
        parked = time.monotonic_ns() - task._since()
        task.cancel()
        return parked

    assert yieldloop.run(main()) > 10_000_000
    record.save(tmp_path / "file")
    assert len(record.load(tmp_path / "file").as_json()["loops"]) == before


# --- nothing is kept alive ------------------------------------------------------------------------------------------------


def test_what_is_recorded_is_not_kept_alive():
    class Thing:
        def method(self):
            pass

        def __call__(self):
            pass

    def closure_over(thing):
        return lambda: thing

    async def child(thing):
        await yieldloop.sleep(0)

    async def main():
        loop = yieldloop.get_running_loop()
        things = [Thing() for _ in range(4)]
        future = loop.create_future()
        tasks = [loop.create_task(child(things[3]))]
        refs = [weakref.ref(each) for each in (*things, future, *tasks)]
        loop.call_soon(things[0])
        loop.call_soon(things[1].method)
        loop.call_soon(closure_over(things[2]))
        loop.call_soon(future.set_result, None)
        await future
        await tasks[0]
        return refs

    refs = yieldloop.run(main())
    gc.collect()
    assert [ref() for ref in refs] == [None] * len(refs)
    assert recording.past()[-1].core is None


# --- saving ----------------------------------------------------------------------------------------------------------------


def test_another_thread_saves_while_the_loop_runs(tmp_path):
    saved = []
    over = threading.Event()

    def saver():
        for i in range(5):
            saved.append(record.save(tmp_path / str(i)))
        over.set()

    async def main():
        yieldloop.get_running_loop().recorder = Recorder(2 * recording.CHUNK, 0)
        thread = threading.Thread(target=saver)
        thread.start()
        while not over.is_set():
            await turns(500)
        thread.join()

    yieldloop.run(main())
    for path in saved:
        events = record.load(path).as_json()["loops"][-1]["events"]
        times = [event[0] for event in events]
        assert times == sorted(times)
        steps = [kind for _, kind, _, _ in events if kind in ("task_stepped", "task_parked")]
        assert all(kind == ("task_stepped", "task_parked")[i % 2] for i, kind in enumerate(steps))


KILLED = """
import os, signal, sys, yieldloop
from yieldloop import record
from yieldloop.record import decode, files
path, when = sys.argv[1:]

async def main():
    await yieldloop.sleep(0)

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

yieldloop.run(main())
record.save(path)
print("saved", flush=True)
setattr(files.os, when, kill)
record.save(path)
"""


@pytest.mark.parametrize("when", ["fsync", "replace"])
def test_a_process_that_is_killed_while_it_saves_leaves_the_recording_before(tmp_path, when):
    path = tmp_path / "file"
    done = run(KILLED, path, when)
    assert (done.stdout, done.returncode) == ("saved\n", -signal.SIGKILL)
    assert record.load(path).as_json()["loops"][0]["events"]


def test_a_recording_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        record.save(tmp_path / "file")
    assert os.listdir(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        record.save(tmp_path / "no folder" / "file")


@pytest.fixture
def recorded(tmp_path) -> Path:
    yieldloop.run(turns(100))
    return Path(record.save(tmp_path / "file"))


def test_a_file_that_is_no_recording_is_an_error_that_says_so(tmp_path):
    for content in (b"", b"PK\3\4", b"yieldloop"):
        (tmp_path / "other").write_bytes(content)
        with pytest.raises(record.RecordingError, match="other' is no recording"):
            record.load(tmp_path / "other")


def test_a_recording_of_another_version_is_an_error_that_names_it(recorded):
    recorded.write_bytes(recorded.read_bytes().replace(b"recording 1\n", b"recording 7\n", 1))
    with pytest.raises(record.RecordingError, match=r"format 7.*reads format 1"):
        record.load(recorded)


def test_every_damage_is_an_error_that_says_so(recorded):
    whole = recorded.read_bytes()
    damaged = [whole[:size] for size in range(len(files.MAGIC) + 2, len(whole), 97)]
    for place in range(len(files.MAGIC) + 2, len(whole), 41):
        damaged.append(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
    for content in (b"\2\0\0\0{}", b"\xff\xff\xff\xff{}"):
        packed = files.MAGIC + files.VERSION + zlib.compress(content)
        damaged.append(packed + files.NUMBER.pack(zlib.crc32(packed)))  # whole, but it makes no sense
    for content in damaged:
        recorded.write_bytes(content)
        with pytest.raises(record.RecordingError, match="damaged"):
            record.load(recorded)


def test_a_document_is_plain_data(recorded):
    document = record.load(recorded).as_json()
    assert json.loads(json.dumps(document)) == document
    assert document["format"] == 1 and document["process"]["pid"] == os.getpid()
    assert document["process"]["speed"] == ("compiled" if yieldloop.compiled() else "interpreted")


# --- by itself -------------------------------------------------------------------------------------------------------------

SIGNALLED = """
import os, signal, sys, time, yieldloop

async def main():
    await yieldloop.sleep(0.001)
    os.kill(os.getpid(), signal.SIGUSR2)
    while not os.path.exists(sys.argv[1]):
        await yieldloop.sleep(0.001)

yieldloop.run(main())
os._exit(0)
"""


def test_a_signal_writes_a_recording(tmp_path):
    path = tmp_path / "file"
    done = run(SIGNALLED, path, YIELDLOOP_RECORD_FILE=str(path), YIELDLOOP_RECORD_ON="USR2")
    assert (done.returncode, done.stderr) == (0, "")
    assert any(kind == "task_parked" for _, kind, _, _ in record.load(path).as_json()["loops"][0]["events"])


TROUBLE = {
    "dead": "async def main():\n    await yieldloop.Event().wait()",
    "stall": "async def main():\n    time.sleep(0.7)\n    await yieldloop.sleep(0.1)",
}


@pytest.mark.parametrize("occasion", TROUBLE)
def test_trouble_writes_a_recording(tmp_path, occasion):
    path = tmp_path / "file"
    program = f"import time, yieldloop\n{TROUBLE[occasion]}\nyieldloop.run(main())"
    done = run(program, YIELDLOOP_RECORD_FILE=str(path), YIELDLOOP_RECORD_ON=occasion)
    assert (done.returncode == 0) == (occasion == "stall"), done.stderr
    document = record.load(path).as_json()
    (loop,) = document["loops"]
    assert document["snapshot"]["loops"][0]["id"] == loop["id"]
    if occasion == "stall":
        assert loop["events"][-1][1] == "task_stepped"  # which goes on: it was written during the block
        assert [block["loop"] for block in document["blocks"]] == [loop["id"]]


def test_the_exit_writes_a_recording_but_that_of_a_forked_child_does_not(tmp_path):
    program = """
import os, sys, warnings, yieldloop
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside the watching thread, from Python 3.12 on
async def main():
    await yieldloop.sleep(0)
yieldloop.run(main())
pid = os.fork()
if pid == 0:
    yieldloop.run(main())
    yieldloop.record.save(sys.argv[1] + ".child")
    sys.exit()
os.waitpid(pid, 0)
assert not os.path.exists(sys.argv[1])
print(os.getpid(), pid)
"""
    path = tmp_path / "file"
    done = run(program, path, YIELDLOOP_RECORD_FILE=str(path))
    assert (done.returncode, done.stderr) == (0, "")
    parent, child = map(int, done.stdout.split())
    for name, pid in (("file", parent), ("file.child", child)):
        document = record.load(tmp_path / name).as_json()
        assert document["process"]["pid"] == pid and len(document["loops"]) == 1
    names = run("import yieldloop; yieldloop.run(yieldloop.sleep(0))", YIELDLOOP_RECORD_FILE=str(tmp_path / "p{pid}"))
    assert (names.returncode, names.stderr) == (0, "")
    assert len([name for name in os.listdir(tmp_path) if name.startswith("p") and name[1:].isdigit()]) == 1


@pytest.mark.parametrize("occasion", ["now", "SIGNOTHING", "INT"])
def test_an_occasion_that_cannot_be_had_is_an_error(occasion):
    with pytest.raises(ValueError, match="cannot be saved on"):
        record.save_on(occasion, "file")
