"""Waits that are known by the code object in which they are written: the standard library's and ours.

What lives here: a table from code objects to what a task waits for that stands in them. What may not: any other way to find out
(`ends`). So it works alike for both libraries, and costs a program that nobody asks nothing.

Rule for the editor: a name that this Python does not have is passed over (`_code`), so that the table serves all of them; a test
parks a task at every entry.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import sys
import types
from asyncio import base_events as _base_events
from asyncio import base_subprocess as _base_subprocess
from asyncio import locks as _locks
from asyncio import queues as _queues
from asyncio import selector_events as _selector_events
from asyncio import streams as _streams
from asyncio import taskgroups as _taskgroups
from asyncio import tasks as _tasks
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from yieldloop.aio import _reader, locks, queues, streams, taskgroups, timeouts, waiting
from yieldloop.engine.handles import TimerHandle
from yieldloop.loop import base, net, server
from yieldloop.transports import process
from yieldloop.watch.chains import is_future_type
from yieldloop.watch.facts import End, address, callbacks_of, ns_of, of_socket, place_of

if TYPE_CHECKING:
    from yieldloop.watch.ends import Ends

_QUEUES: Any = (_queues.Queue, queues.Queue)
TIMERS: Any = (asyncio.TimerHandle, TimerHandle)

_Role = Callable[["Ends", Any], End]
ROLES: dict[int, _Role] = {}
WIDER: dict[int, _Role] = {}
PARTS: dict[int, bool] = {}  # waits that may be a part of a wider one
THROUGH: set[int] = set()  # codes between a wait and the wider one that it is a part of
LIMITS: dict[int, Callable[[Any], float | None]] = {}  # of a suspended coroutine: when its time is up, by the loop's clock (s)
_kept: list[Any] = []  # the code objects: they are found by id


def _code(owner: Any, name: str) -> Any:
    function: Any = owner
    for part in name.split("."):
        function = getattr(function, part, None)
    return getattr(function, "__code__", None)


def _known(table: dict[int, Any], role: Any, *names: tuple[Any, str]) -> None:
    for owner, name in names:
        code = _code(owner, name)
        if code is not None:
            _kept.append(code)
            table[id(code)] = role


def locals_of(generator: Any) -> Any:
    """The local variables of a suspended coroutine of a library (up to Python 3.12, asking leaves a copy of them in its frame)."""
    frame = generator.cr_frame if type(generator) is types.CoroutineType else generator.gi_frame
    return {} if frame is None else frame.f_locals


if sys.version_info >= (3, 13):

    def one_of(generator: Any, name: str, kinds: Any) -> Any:
        """The variable *name* of a suspended coroutine of a library, which is of the classes *kinds*; None if it has ended, or not
        yet set it.
        """
        frame = generator.cr_frame if type(generator) is types.CoroutineType else generator.gi_frame
        return None if frame is None else frame.f_locals.get(name)

else:  # asking for the variables would copy them: the first object of those classes is it

    def one_of(generator: Any, name: str, kinds: Any) -> Any:
        """The variable *name* of a suspended coroutine of a library, which is of the classes *kinds*; None if it has ended, or not
        yet set it.
        """
        parts = gc.get_referents(generator)
        for part in parts:
            if issubclass(type(part), kinds):
                return part
        for cell in parts:  # it is shared with an inner function
            for part in gc.get_referents(cell) if type(cell) is types.CellType else ():
                if issubclass(type(part), kinds):
                    return part
        return None


def _primitive(kind: str, kinds: Any) -> _Role:
    return lambda ends, generator: ends.shared(kind, one_of(generator, "self", kinds))


def _queue_role(side: str) -> _Role:
    def told(queue: Any) -> str:
        kept: Any = getattr(queue, "_queue", None)
        kind, most = type(kept), getattr(queue, "_maxsize", 0)
        count = len(kept) if kind is collections.deque or kind is list else "some"
        holds = f"{count} of {most}" if type(most) is int and most > 0 else count
        left = f", {queue._unfinished_tasks} not done" if side == "join" else ""
        return f"{place_of(queue)}: {side}, holds {holds} items{left}"

    return lambda ends, generator: ends.shared("queue", one_of(generator, "self", _QUEUES), told)


_GET, _PUT, _JOIN = map(_queue_role, ("get", "put", "join"))


def _waiting_in_line(ends: Ends, generator: Any) -> End:
    """Our queues' `_wait_in`: which side it is."""
    queue = one_of(generator, "self", _QUEUES)
    return (_PUT if any(part is queue._putters for part in gc.get_referents(generator)) else _GET)(ends, generator)


def _stock_sleep(ends: Ends, generator: Any) -> End:
    timer = one_of(generator, "h", TIMERS)
    return End("timer", "sleep", when_ns=ns_of(timer.when()) if timer is not None else None)


def _wait_role(ends: Ends, generator: Any) -> End:
    names = locals_of(generator)
    futures = names.get("fs") if "futures" not in names else names["futures"]
    left = [f for f in list(futures) if is_future_type(type(f)) and not f.done()]
    how = names.get("return_when")
    return End("gather", f"wait, {how}, {len(left)} left", tasks=ends.numbers(left))


def _group_role(ends: Ends, generator: Any) -> End:
    names = locals_of(generator)
    group = names.get("self")
    left = list(group._tasks)
    return End("gather", f"{place_of(group)}, {len(left)} tasks left", tasks=ends.numbers(left), thing=group)


def _completed_role(ends: Ends, generator: Any) -> End:
    names = locals_of(generator)
    left = list(names["self"]._todo)
    return End("gather", f"as_completed, {len(left)} left", tasks=ends.numbers(left))


def _inner_code(function: Any, name: str) -> Any:
    """The code of the function *name* inside *function*; None if it has none."""
    consts = getattr(function, "__code__", _inner_code.__code__).co_consts
    return next((each for each in consts if isinstance(each, types.CodeType) and each.co_name == name), None)


_WAIT_FOR_ONE, _ON_COMPLETION = (_inner_code(_tasks.as_completed, name) for name in ("_wait_for_one", "_on_completion"))


def _old_completed_role(ends: Ends, generator: Any) -> End:
    """The standard library's, up to Python 3.12: the tasks that are left know its queue, by their done-callbacks."""
    cells = [cell.cell_contents for cell in gc.get_referents(generator) if type(cell) is types.CellType]
    left = []
    for task in list(getattr(ends.loop, "_tasks", None) or asyncio.all_tasks(ends.loop)):
        for callback in callbacks_of(task):
            if getattr(callback, "__code__", None) is _ON_COMPLETION:
                known = dict(zip(callback.__code__.co_freevars, callback.__closure__, strict=True))
                if any(known["done"].cell_contents is cell for cell in cells):
                    left.append(task)
    return End("gather", f"as_completed, {len(left)} left", tasks=ends.numbers(left))


def _inner_future(ends: Ends, generator: Any) -> End:
    names = locals_of(generator)
    inner = names.get("fut")
    inner = names["self"].fut if inner is None and "self" in names else inner
    end = ends.of_future(inner)
    end.label = f"{end.label}, in wait_for" if end.kind != "task" else "task, in wait_for"
    return end


def _reader_role(ends: Ends, generator: Any) -> End:
    names = locals_of(generator)
    return ends.stream(names["self"]._transport, "read", f"StreamReader.{names.get('func_name', 'read')}")


def _drain_role(ends: Ends, generator: Any) -> End:
    names = locals_of(generator)
    return ends.stream(getattr(names["self"], "_transport", None), "write", "StreamWriter.drain")


def _closed_role(ends: Ends, generator: Any) -> End:
    names = locals_of(generator)
    return ends.stream(names["self"]._transport, "close", "StreamWriter.wait_closed")


def _sock_role(direction: str, label: str) -> _Role:
    def role(ends: Ends, generator: Any) -> End:
        names = locals_of(generator)
        fd, peer, local = of_socket(names.get("sock"))
        if peer is None and direction == "connect":
            peer = address(names.get("address"))
        return End("fd", label, fd=fd, peer=peer, local=local, direction=direction)

    return role


def _made_role(ends: Ends, generator: Any) -> End:
    names = locals_of(generator)
    return ends.stream(names.get("transport"), "connect", "connection being made")


def _child_role(ends: Ends, generator: Any) -> End:
    names = locals_of(generator)
    transport = names["self"]
    pid = transport.get_pid()
    return End("child", f"child process {pid}", pid=pid, thing=transport)


def _server_role(direction: str, label: str) -> _Role:
    def role(ends: Ends, generator: Any) -> End:
        names = locals_of(generator)
        sockets = list(getattr(names["self"], "_sockets", None) or ())
        fd, _, local = of_socket(sockets[0]) if sockets else (None, None, None)
        return End("fd", label, fd=fd, local=local, direction=direction, thing=names["self"])

    return role


def _executor_role(ends: Ends, generator: Any) -> End:
    busy = [str(work.thread) for work in ends.known_jobs().running()]
    return End("thread", f"the executor's threads to end, {len(busy)} busy", thread=", ".join(busy) or None)


for _module in (_locks, locks):
    _known(ROLES, _primitive("lock", _module.Lock), (_module, "Lock.acquire"), (_module, "Lock._wait"))
    _known(ROLES, _primitive("event", _module.Event), (_module, "Event.wait"))
    _known(ROLES, _primitive("condition", _module.Condition), (_module, "Condition.wait"))
    _known(ROLES, _primitive("semaphore", _module.Semaphore), (_module, "Semaphore.acquire"))
    _known(PARTS, True, (_module, "Event.wait"), (_module, "Condition.wait"))
    _barrier = [(_module, f"Barrier.{name}") for name in ("_wait", "_block", "_stay", "_enter")]
    _known(WIDER, _primitive("barrier", _module.Barrier), *_barrier)
    THROUGH.update(id(code) for code in [_code(_module, "Condition.wait_for")] if code is not None)
for _module in (_queues, queues):
    _known(ROLES, _GET, (_module, "Queue.get"))
    _known(PARTS, True, (_module, "Queue.get"))
    _known(ROLES, _PUT, (_module, "Queue.put"))
    _known(WIDER, _JOIN, (_module, "Queue.join"))
_known(ROLES, _waiting_in_line, (queues, "Queue._wait_in"))
_known(ROLES, _stock_sleep, (_tasks, "sleep"))
_known(ROLES, _wait_role, (_tasks, "_wait"), (waiting, "wait"))
_known(ROLES, _inner_future, (_tasks, "wait_for"), (_tasks, "_cancel_and_wait"), (timeouts, "_CancelAndWait.run"))
_known(ROLES, _group_role, (_taskgroups, "TaskGroup.__aexit__"), (_taskgroups, "TaskGroup._aexit"))
_known(ROLES, _group_role, (taskgroups, "TaskGroup._wait_for_all"))
_known(WIDER, _completed_role, (waiting, "_AsCompletedIterator._wait_for_one"), (_tasks, "_AsCompletedIterator._wait_for_one"))
if _WAIT_FOR_ONE is not None:
    WIDER[id(_WAIT_FOR_ONE)] = _old_completed_role
_known(ROLES, _reader_role, (_streams, "StreamReader._wait_for_data"), (_reader, "StreamReader._wait_for_data"))
_known(ROLES, _drain_role, (_streams, "FlowControlMixin._drain_helper"), (streams, "FlowControlMixin._drain_helper"))
_known(ROLES, _closed_role, (_streams, "StreamWriter.wait_closed"), (streams, "StreamWriter.wait_closed"))
for _name, _way in {
    "sock_recv": "read", "sock_recv_into": "read", "sock_recvfrom": "read", "sock_recvfrom_into": "read", "sock_sendall": "write",
    "sock_sendto": "write", "sock_accept": "accept", "sock_connect": "connect",
}.items():  # fmt: skip
    _known(ROLES, _sock_role(_way, _name), (_selector_events, f"BaseSelectorEventLoop.{_name}"))
_known(ROLES, _made_role, (net, "NetMixin._transport_for"), (net, "NetMixin.start_tls"))
_known(ROLES, _made_role, (_base_events, "BaseEventLoop._create_connection_transport"), (_base_events, "BaseEventLoop.start_tls"))
_known(ROLES, _child_role, (_base_subprocess, "BaseSubprocessTransport._wait"), (process, "ProcessTransport._wait"))
for _module in (_base_events, server):
    _known(ROLES, _server_role("accept", "Server.serve_forever"), (_module, "Server.serve_forever"))
    _known(ROLES, _server_role("close", "Server.wait_closed"), (_module, "Server.wait_closed"))
_known(ROLES, _executor_role, (base, "BaseLoop.shutdown_default_executor"))
_known(ROLES, _executor_role, (_base_events, "BaseEventLoop.shutdown_default_executor"))



def _limit(name: str, kinds: Any) -> Callable[[Any], float | None]:
    def limit(generator: Any) -> float | None:
        found = one_of(generator, name, kinds)
        return None if found is None else found.when()

    return limit


def _limit_of_wait(generator: Any) -> float | None:
    state = one_of(generator, "state", waiting._Wait)
    return None if state is None or state.timer is None else state.timer.when()


_known(LIMITS, _limit("limit", timeouts.Timeout), (timeouts, "wait_for"))
_before_312 = [(_tasks, "wait_for")] if sys.version_info < (3, 12) else []  # since then it enters a time-out like anybody
_known(LIMITS, _limit("timeout_handle", TIMERS), (_tasks, "_wait"), *_before_312)
_known(LIMITS, _limit_of_wait, (waiting, "wait"))


del _barrier, _before_312, _module, _name, _way
