"""Every poller that this system has does the same, whatever the kernel calls it.

What lives here: the pollers alone, without a loop. What may not: callbacks and tasks (the loop's tests run on each
poller).
"""

from __future__ import annotations

import errno
import os
import resource
import selectors
import signal
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from yieldloop import pollers
from yieldloop.engine._leaf import Entry
from yieldloop.engine._ring import ReadyQueue
from yieldloop.pollers.base import FdPoller

MS = 10**6
FOREVER = -1


class Named(Entry):
    """An entry that is told from the others."""

    def __init__(self, name: str = "entry") -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


@pytest.fixture(params=pollers.available())
def poller(request: pytest.FixtureRequest) -> Iterator[FdPoller]:
    made = pollers.new_poller(request.param)
    made.bind(ReadyQueue())
    yield made
    made.close()


@pytest.fixture
def queue(poller: FdPoller) -> ReadyQueue:
    ready = ReadyQueue()
    poller.bind(ready)
    return ready


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with connected() as two:
        yield two


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


def taken(queue: ReadyQueue) -> list[Any]:
    found = []
    while len(queue):
        found.append(queue.popleft())
    return found


def polled(poller: FdPoller, queue: ReadyQueue, timeout: int = 0) -> list[Any]:
    poller.poll(timeout)
    return taken(queue)


# --- readiness -------------------------------------------------------------------------------------------------------


def test_readable_pushes_the_reader(poller, queue, pair):
    ours, theirs = pair
    entry = Named()
    assert poller.arm_reader(ours.fileno(), entry) is None
    assert polled(poller, queue) == []
    theirs.send(b"x")
    assert polled(poller, queue, FOREVER) == [entry]


def test_an_entry_stays_armed_while_its_fd_is_ready(poller, queue, pair):
    ours, theirs = pair
    entry = Named()
    poller.arm_reader(ours.fileno(), entry)
    theirs.send(b"x")
    for _ in range(3):
        assert polled(poller, queue) == [entry]
    ours.recv(1)
    assert polled(poller, queue) == []


def test_the_reader_comes_before_the_writer(poller, queue, pair):
    ours, theirs = pair
    reader, writer = Named("reader"), Named("writer")
    poller.arm_writer(ours.fileno(), writer)
    poller.arm_reader(ours.fileno(), reader)
    assert polled(poller, queue) == [writer]
    theirs.send(b"x")
    assert polled(poller, queue) == [reader, writer]


def test_arming_again_replaces_and_returns_the_previous(poller, queue, pair):
    ours, theirs = pair
    first, second = Named("first"), Named("second")
    poller.arm_reader(ours.fileno(), first)
    assert poller.arm_reader(ours.fileno(), second) is first
    assert poller.interest == 1
    theirs.send(b"x")
    assert polled(poller, queue) == [second]


def test_disarming_one_side_leaves_the_other(poller, queue, pair):
    ours, theirs = pair
    reader, writer = Named("reader"), Named("writer")
    fd = ours.fileno()
    poller.arm_reader(fd, reader)
    poller.arm_writer(fd, writer)
    theirs.send(b"x")
    assert poller.disarm_reader(fd) is reader
    assert poller.disarm_reader(fd) is None
    assert polled(poller, queue) == [writer]
    assert poller.disarm_writer(fd) is writer
    assert polled(poller, queue) == []


def test_hang_up_of_a_pipe_wakes_the_reader_and_the_writer(poller, queue):
    reading, writing = os.pipe()
    entry = Named("reader")
    poller.arm_reader(reading, entry)
    os.close(writing)
    assert polled(poller, queue, FOREVER) == [entry]
    poller.forget(reading)
    os.close(reading)

    reading, writing = os.pipe()
    entry = Named("writer")
    os.set_blocking(writing, False)
    os.write(writing, bytes(65536))  # full, so that only the hang-up can make it ready
    poller.arm_writer(writing, entry)
    assert polled(poller, queue) == []
    os.close(reading)
    assert polled(poller, queue, FOREVER) == [entry]
    poller.forget(writing)
    os.close(writing)


def test_the_probe_is_told_of_the_fd_and_its_sides(poller, queue, pair):
    ours, theirs = pair
    told = []

    class Core:
        def emit(self, *what):
            told.append(what)

    poller.probe = Core()
    poller.arm_reader(ours.fileno(), Named())
    poller.poll(0)
    theirs.send(b"x")
    poller.poll(0)
    poller.arm_writer(ours.fileno(), Named())
    poller.poll(0)
    assert told == [("fd_ready", ours.fileno(), 1), ("fd_ready", ours.fileno(), 3)]


def test_a_probe_that_closes_the_poller_does_no_harm(poller, queue, pair):
    ours, theirs = pair

    class Core:
        def emit(self, *what):
            poller.close()

    poller.probe = Core()
    poller.arm_reader(ours.fileno(), Named())
    poller.arm_reader(theirs.fileno(), Named())
    ours.send(b"x")
    theirs.send(b"x")
    poller.poll(0)
    assert "closed" in repr(poller)


# --- what it says of itself ------------------------------------------------------------------------------------------


def test_it_can_be_asked(poller, queue, pair):
    ours, _ = pair
    reader, writer = Named("reader"), Named("writer")
    fd = ours.fileno()
    assert poller.reader(fd) is poller.writer(fd) is None
    poller.arm_reader(fd, reader)
    poller.arm_writer(fd, writer)
    assert (poller.reader(fd), poller.writer(fd)) == (reader, writer)
    assert poller.reader(-1) is None and poller.reader(10**6) is None
    assert poller.fds() == {fd: (reader, writer)}
    assert poller.interest == 2
    counts = poller.statistics()
    assert (counts["armed"], counts["registered"], counts["events"]) == (2, 1, 0)
    assert "armed=2" in repr(poller)
    poller.forget(fd)
    assert poller.fds() == {} and poller.interest == 0


def test_the_wake_up_is_no_interest(poller):
    assert poller.interest == 0
    assert poller.fds() == {}
    assert not os.get_blocking(poller.wake_fd)
    assert not os.get_inheritable(poller.wake_fd)


# --- resting ---------------------------------------------------------------------------------------------------------


def test_a_resting_side_pushes_nothing_and_can_be_armed_again(poller, queue, pair):
    ours, theirs = pair
    first, second = Named("first"), Named("second")
    fd = ours.fileno()
    poller.arm_reader(fd, first)
    assert poller.rest_reader(fd) is first
    assert poller.interest == 0
    assert poller.rearm_reader(fd, second) is None
    theirs.send(b"x")
    assert polled(poller, queue) == [second]


def test_an_event_for_a_resting_side_silences_the_kernel(poller, queue, pair):
    ours, theirs = pair
    entry = Named()
    fd = ours.fileno()
    poller.arm_reader(fd, entry)
    poller.rest_reader(fd)
    theirs.send(b"x")
    assert polled(poller, queue) == []
    assert poller.statistics()["registered"] == 0
    began = time.monotonic_ns()
    assert polled(poller, queue, 5 * MS) == []  # sleeps: the registration is gone
    assert time.monotonic_ns() - began >= 5 * MS
    poller.rearm_reader(fd, entry)
    assert polled(poller, queue) == [entry]


def test_one_side_may_rest_while_the_other_works(poller, queue, pair):
    ours, theirs = pair
    reader, writer = Named("reader"), Named("writer")
    fd = ours.fileno()
    poller.arm_reader(fd, reader)
    poller.arm_writer(fd, writer)
    poller.rest_writer(fd)
    theirs.send(b"x")
    assert polled(poller, queue) == [reader]
    poller.rearm_writer(fd, writer)
    assert polled(poller, queue) == [reader, writer]


# --- descriptors are numbers -----------------------------------------------------------------------------------------




@pytest.mark.parametrize("before", ["armed", "disarmed", "resting", "forgotten"])
def test_a_reused_number_is_watched_when_it_is_armed(poller, queue, pair, before):
    ours, theirs = pair
    old, new = os.pipe()
    poller.arm_reader(old, Named("old"))
    if before == "disarmed":
        poller.disarm_reader(old)
    elif before == "resting":
        poller.rest_reader(old)
    elif before == "forgotten":
        poller.forget(old)
    fresh = os.dup(ours.fileno())
    os.dup2(fresh, old)  # closes the pipe's end and puts the socket in its place
    os.close(fresh)
    entry = Named("new")
    poller.arm_reader(old, entry)
    assert polled(poller, queue) == []
    theirs.send(b"x")
    assert polled(poller, queue, FOREVER) == [entry]
    poller.forget(old)
    os.close(old)
    os.close(new)


def test_a_duplicate_of_a_closed_fd_does_not_spin(poller, queue, pair):
    reading, writing = os.pipe()
    entry, other = Named("gone"), Named("other")
    ours, theirs = pair
    poller.arm_reader(ours.fileno(), other)
    poller.arm_reader(reading, entry)
    duplicate = os.dup(reading)
    os.close(reading)  # epoll keeps the registration, because of the duplicate
    os.write(writing, b"x")
    polled(poller, queue)  # may push it once more: its owner then sees the error
    poller.forget(reading)
    polled(poller, queue)  # may find the stale registration
    began = time.monotonic_ns()
    assert polled(poller, queue, 5 * MS) == []
    assert time.monotonic_ns() - began >= 5 * MS
    theirs.send(b"x")
    assert polled(poller, queue, FOREVER) == [other]
    for fd in (duplicate, writing):
        os.close(fd)


def test_a_duplicate_of_a_closed_fd_is_not_taken_for_the_new_file(poller, queue, pair):
    ours, theirs = pair
    reading, writing = os.pipe()
    poller.arm_reader(reading, Named("gone"))
    poller.rest_reader(reading)
    duplicate = os.dup(reading)
    os.dup2(ours.fileno(), reading)  # the number is the socket's now, the duplicate keeps the pipe's registration alive
    entry = Named("new")
    poller.arm_reader(reading, entry)
    os.write(writing, b"x")  # readiness of the pipe, of which nobody wants to know
    assert polled(poller, queue) == []
    began = time.monotonic_ns()
    assert polled(poller, queue, 5 * MS) == []
    assert time.monotonic_ns() - began >= 5 * MS
    theirs.send(b"x")
    assert polled(poller, queue, FOREVER) == [entry]
    poller.forget(reading)
    for fd in (reading, writing, duplicate):
        os.close(fd)


def test_an_fd_closed_under_the_poller_wakes_its_owner_and_the_others_work(poller, queue, pair):
    ours, theirs = pair
    reading, writing = os.pipe()
    reader, other = Named("reader"), Named("other")
    poller.arm_reader(ours.fileno(), other)
    poller.arm_reader(reading, reader)
    poller.poll(0)
    poller.wake()  # something has run, so an idle poller looks around before it sleeps for long
    poller.poll(0)
    os.close(reading)
    assert polled(poller, queue, FOREVER) == [reader]
    assert poller.reader(reading) is None and poller.interest == 1
    assert poller.statistics()["dropped"] == 1
    theirs.send(b"x")
    assert polled(poller, queue, FOREVER) == [other]
    os.close(writing)


def test_arming_the_other_side_of_a_closed_fd_tells_both(poller, queue):
    reading, writing = os.pipe()
    entry = Named()
    poller.arm_reader(reading, entry)
    os.close(reading)
    os.close(writing)
    with pytest.raises(OSError) as caught:
        poller.arm_writer(reading, Named())
    assert caught.value.errno == errno.EBADF
    assert taken(queue) == [entry]
    assert poller.interest == 0


def test_forgetting_twice_or_the_unknown_is_no_error(poller, pair):
    fd = pair[0].fileno()
    poller.arm_reader(fd, Named())
    for number in (fd, fd, -1, 10**6):
        poller.forget(number)
    assert poller.disarm_reader(10**6) is poller.disarm_writer(-1) is None
    assert poller.interest == 0


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["arm_reader", "arm_writer", "rearm_reader"])
def test_a_closed_fd_is_refused_by_name(poller, method):
    fd = os.dup(0)
    os.close(fd)
    with pytest.raises(OSError, match=f"descriptor {fd}: it is closed") as caught:
        getattr(poller, method)(fd, Named())
    assert caught.value.errno == errno.EBADF
    assert poller.interest == 0 and poller.fds() == {}


def test_numbers_that_are_no_descriptor_are_refused(poller):
    with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
        poller.arm_reader(-1, Named())
    with pytest.raises(OSError):
        poller.arm_reader(2**30, Named())  # costs an error and no memory
    with pytest.raises(OverflowError):
        poller.arm_reader(2**70, Named())
    with pytest.raises(TypeError):
        poller.arm_reader("0", Named())
    with pytest.raises(TypeError):
        poller.arm_reader(0, None)
    assert poller.interest == 0


def test_epoll_refuses_a_regular_file(tmp_path):
    if "epoll" not in pollers.available():
        pytest.skip("no epoll")
    poller = pollers.new_poller("epoll")
    with open(tmp_path / "file", "w") as file:
        with pytest.raises(PermissionError, match="regular file"):
            poller.arm_reader(file.fileno(), Named())
    poller.close()


def test_select_says_which_fd_is_too_large():
    poller = pollers.new_poller("select")
    with open_files_limit(1100):
        null = os.open(os.devnull, os.O_RDONLY)
        large = os.dup2(null, 1050)
        with pytest.raises(ValueError, match="descriptor 1050 is out of range"):
            poller.arm_reader(large, Named())
        os.close(large)
        os.close(null)
    poller.close()


def test_closed_means_closed(poller, pair):
    fd = pair[0].fileno()
    poller.arm_reader(fd, Named())
    poller.close()
    poller.close()
    assert poller.interest == 0
    poller.wake()
    poller.forget(fd)
    assert poller.disarm_reader(fd) is None
    for call in (lambda: poller.arm_reader(fd, Named()), lambda: poller.poll(0)):
        with pytest.raises(RuntimeError, match="closed"):
            call()


def test_an_entry_that_forgets_its_fd_when_it_is_deleted_may_be_armed_at_the_close(poller, pair):
    class Owner(Named):
        def __del__(self):
            poller.forget(fd)
            seen.append(poller.reader(fd))

    seen = []
    fd = pair[0].fileno()
    poller.arm_reader(fd, Owner())
    poller.arm_writer(fd, Owner())
    poller.close()
    assert seen == [None, None] and poller.interest == 0


# --- waking ----------------------------------------------------------------------------------------------------------


def test_a_wake_ends_the_poll_and_pushes_nothing(poller, queue):
    poller.wake()
    assert polled(poller, queue, FOREVER) == []


def test_wakes_between_two_polls_cost_one_write(poller, queue):
    for _ in range(1000):
        poller.wake()
    assert poller.statistics()["wakes"] == 1
    polled(poller, queue, FOREVER)
    poller.wake()
    assert poller.statistics()["wakes"] == 2
    polled(poller, queue, FOREVER)


def test_a_wake_from_another_thread_ends_a_sleep(poller, queue):
    asleep = threading.Event()

    def wake():
        asleep.wait()
        poller.wake()

    thread = threading.Thread(target=wake)
    thread.start()
    asleep.set()
    polled(poller, queue, FOREVER)
    thread.join()


def test_a_storm_of_wakes_from_eight_threads_loses_none(poller, queue):
    """Each thread puts a number down, wakes, and waits for the answer: a wake that is lost is a hang."""
    rounds, threads = 200, 8
    asked: list[int] = []
    answers = [threading.Semaphore(0) for _ in range(threads)]

    def ask(me):
        for _ in range(rounds):
            asked.append(me)
            poller.wake()
            answers[me].acquire()

    workers = [threading.Thread(target=ask, args=(i,)) for i in range(threads)]
    for worker in workers:
        worker.start()
    answered = 0
    while answered < rounds * threads:
        if not asked:
            poller.poll(FOREVER)
        while asked:
            answers[asked.pop()].release()
            answered += 1
    for worker in workers:
        worker.join()
    assert taken(queue) == []
    assert poller.statistics()["wakes"] <= rounds * threads


def test_a_signal_ends_a_sleep_and_its_handler_runs(poller, queue):
    told = []
    before = signal.signal(signal.SIGALRM, lambda *_: told.append("handled"))
    wakeup = signal.set_wakeup_fd(poller.wake_fd, warn_on_full_buffer=False)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        polled(poller, queue, FOREVER)
        assert told == ["handled"]
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGALRM, before)


def test_an_exception_of_a_signal_handler_loses_no_event(poller, queue, pair):
    def interrupt(*_):
        raise KeyboardInterrupt

    ours, theirs = pair
    entry = Named()
    poller.arm_reader(ours.fileno(), entry)
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            theirs.send(b"x")
            signal.raise_signal(signal.SIGUSR1)
            poller.poll(FOREVER)
    finally:
        signal.signal(signal.SIGUSR1, before)
    taken(queue)
    assert polled(poller, queue, FOREVER) == [entry]
    poller.wake()
    poller.poll(FOREVER)


# --- time ------------------------------------------------------------------------------------------------------------


def test_a_poll_is_never_early(poller, queue):
    for timeout in (1, 999, 1_000, 50_001, 999_999, MS, 1_300_007, 3 * MS, 7_777_777):
        for _ in range(5):
            began = time.monotonic_ns()
            poller.poll(timeout)
            assert time.monotonic_ns() - began >= timeout


def test_a_poll_is_precise_where_the_kernel_can(poller, queue):
    """Far less than the millisecond that a poller of whole milliseconds would be late."""
    if type(poller).__name__ == "PollPoller":
        pytest.skip("poll(2) counts milliseconds")
    late = []
    for _ in range(41):
        began = time.monotonic_ns()
        poller.poll(300_000)
        late.append(time.monotonic_ns() - began - 300_000)
    assert statistics.median(late) < 600_000, late


def test_the_longest_time_out_does_not_overflow(poller, queue):
    poller.wake()
    poller.poll(2**62)
    poller.wake()
    poller.poll(10**18)


def test_no_time_out_does_not_wait(poller, queue):
    for _ in range(1000):
        poller.poll(0)
    assert poller.statistics()["polls"] == 1000


# --- many ------------------------------------------------------------------------------------------------------------


@contextmanager
def open_files_limit(wanted: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"only {hard} open files are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("poller", [n for n in pollers.available() if n != "select"], indirect=True)
def test_two_thousand_descriptors(poller, queue):
    with open_files_limit(4200):
        pairs = [socket.socketpair() for _ in range(2000)]
        entries = {}
        for ours, _ in pairs:
            entries[ours.fileno()] = Named(f"fd {ours.fileno()}")
            poller.arm_reader(ours.fileno(), entries[ours.fileno()])
        assert polled(poller, queue) == []
        pairs[1234][1].send(b"x")
        assert polled(poller, queue, FOREVER) == [entries[pairs[1234][0].fileno()]]
        for _, theirs in pairs:
            theirs.send(b"x")
        found = set()
        for _ in range(4):  # an epoll set hands out a thousand at a time, and goes round
            found.update(polled(poller, queue))
        assert found == set(entries.values())
        for ours, theirs in pairs:
            poller.forget(ours.fileno())
            ours.close()
            theirs.close()
        assert polled(poller, queue) == [] and poller.statistics()["registered"] == 0


# --- forks -----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # the thread that watches loops is there
def test_a_forked_child_does_not_disturb_its_parent(poller, queue, pair):
    ours, theirs = pair
    entry = Named()
    fd = ours.fileno()
    poller.arm_reader(fd, entry)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # no assert here: only the status comes back
        status = 1
        try:
            try:
                poller.poll(0)
            except RuntimeError as exc:
                status = 0 if "fork" in str(exc) else 2
            poller.wake()
            poller.disarm_reader(fd)
            poller.arm_writer(fd, entry) if status else None
            poller.forget(fd)
            poller.close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert polled(poller, queue) == []
    theirs.send(b"x")
    assert polled(poller, queue, FOREVER) == [entry]
    os.close(reading)
    os.close(writing)


# --- choosing --------------------------------------------------------------------------------------------------------


def test_the_environment_chooses(monkeypatch):
    for name in pollers.available():
        monkeypatch.setenv("YIELDLOOP_POLLER", name)
        poller = pollers.new_poller()
        assert poller.name == name
        poller.close()
    monkeypatch.setenv("YIELDLOOP_POLLER", "wishful")
    with pytest.raises(ValueError, match=r"YIELDLOOP_POLLER='wishful': there is no such poller; .*select"):
        pollers.new_poller()


def test_the_default_is_the_best_of_the_system(monkeypatch):
    monkeypatch.delenv("YIELDLOOP_POLLER", raising=False)
    poller = pollers.new_poller()
    if sys.platform == "linux":
        assert poller.name == "epoll"
    poller.close()


def test_a_poller_that_this_system_lacks_is_named():
    lacking = {"epoll", "kqueue"} - set(pollers.available())
    for name in lacking:
        with pytest.raises(ValueError, match=f"{name}.*this system has none"):
            pollers.new_poller(name)


def test_a_selector_becomes_the_poller_of_its_interface():
    for name in pollers.available():
        selector = getattr(selectors, name.capitalize() + "Selector")()
        poller = pollers.from_selector(selector)
        assert poller.name == name
        assert selector.get_map() is None  # closed
        assert pollers.from_selector(poller) is poller
        poller.close()
    with pytest.raises(TypeError, match="no selector"):
        pollers.from_selector(42)


def test_a_selector_with_files_is_not_taken_over(pair):
    with selectors.DefaultSelector() as selector:
        selector.register(pair[0], selectors.EVENT_READ)
        with pytest.raises(ValueError, match="1 files registered"):
            pollers.from_selector(selector)
