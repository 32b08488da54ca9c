"""Numbers about the loops of this process, for who collects such numbers: as OpenMetrics text, and as they are for other formats.

What lives here: the list of what is told, and the text format. What may not: counting that would cost the loops anything; all is
read off what they hold. Source of the format: OpenMetrics 1.0, https://prometheus.io/docs/specs/om/open_metrics_spec/.

    from yieldloop.watch import metrics
    metrics.text()              # for a /metrics page: Content-Type metrics.CONTENT_TYPE
    metrics.numbers()           # the same as `Family` objects
"""

from __future__ import annotations

import dataclasses
import platform
from collections import Counter
from collections.abc import Iterable
from typing import Any

import yieldloop
from yieldloop.watch import snapshot, watchdog
from yieldloop.watch.answers import steadily
from yieldloop.watch.watcher import watcher

__all__ = ("CONTENT_TYPE", "Family", "numbers", "text")

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
STATES = ("running", "ready", "parked")

Sample = tuple[dict[str, str], float]


@dataclasses.dataclass(slots=True)
class Family:
    """One kind of number: what it is, and its value for each set of labels."""

    name: str  # ends with its unit, if it has one
    kind: str  # "gauge", "counter" (never falls) or "info"
    unit: str
    help: str
    samples: list[Sample] = dataclasses.field(default_factory=list)


_OF_A_LOOP = {
    "loop_lag_seconds": ("gauge", "seconds", "for how long the loop has not asked its poller; 0 while it waits there"),
    "ready_entries": ("gauge", "", "steps and callbacks that are ready to run"),
    "timers": ("gauge", "", "timers that are armed"),
    "transports": ("gauge", "", "transports that are open"),
    "armed_descriptor_sides": ("gauge", "", "sides of file descriptors that somebody waits for"),
    "children": ("gauge", "", "child processes that run"),
    "executor_threads": ("gauge", "", "threads of the loop's own pools"),
    "write_buffer_bytes": ("gauge", "bytes", "bytes that were written to transports and that the kernel has not taken yet"),
    "iterations": ("counter", "", "iterations of the loop"),
    "polls": ("counter", "", "questions to the poller"),
    "poll_events": ("counter", "", "events that the poller has answered with"),
    "received_bytes": ("counter", "bytes", "bytes that stream sockets have received"),
    "sent_bytes": ("counter", "bytes", "bytes that stream sockets have sent, but for sendfile"),
    "wakes": ("counter", "", "times that another thread has woken the loop"),
}
_HELD = {
    "ready_entries": "ready",
    "timers": "timers",
    "transports": "transports",
    "armed_descriptor_sides": "armed",
    "children": "children",
    "executor_threads": "threads",
    "polls": "polls",
    "poll_events": "events",
    "received_bytes": "received",
    "sent_bytes": "sent",
    "wakes": "wakes",
}
"""Where `loop.statistics()` has it."""


def numbers() -> list[Family]:
    """What the running loops of this process hold and have done. From any thread."""
    families = {name: Family(f"yieldloop_{name}", *about) for name, about in _OF_A_LOOP.items()}
    tasks = Family("yieldloop_tasks", "gauge", "", "tasks that are not done, by state")
    for watched in list(watcher.loops.values()):
        loop = watched.target
        if loop is None:
            continue
        labels = {"loop": f"{type(loop).__name__}-{snapshot.loop_number(loop)}"}
        for name, value in _of_loop(watched).items():
            families[name].samples.append((labels, value))
        for state, count in _states(watched).items():
            tasks.samples.append(({**labels, "state": state}, count))
    return [_info(), tasks, *families.values(), *_of_blocks()]


def _of_loop(watched: Any) -> dict[str, float]:
    loop = watched.loop
    _, _, iteration = loop._doing()
    held = steadily(loop.statistics)
    found: dict[str, float] = {"loop_lag_seconds": watched.lag_ns() / 1e9}
    found.update((name, held[key]) for name, key in _HELD.items() if key in held)
    if watched.target is loop:  # one of ours: of others it is not known
        found["iterations"] = iteration
        found["write_buffer_bytes"] = sum(map(_buffered, steadily(lambda: list(loop._transports.values()))))
    return found


def _buffered(transport: Any) -> int:
    try:
        return int(transport.get_write_buffer_size())
    except Exception:  # it has none, or is being closed by its own thread
        return 0


def _states(watched: Any) -> dict[str, int]:
    running = watched.loop._doing()[0]
    found = Counter(dict.fromkeys(STATES, 0))
    for task in snapshot.tasks_of(watched.target):
        future = getattr(task, "_fut_waiter", None)
        found["running" if task is running else "ready" if future is None or future.done() else "parked"] += 1
    return found


def _of_blocks() -> Iterable[Family]:
    count = Family("yieldloop_blocks", "counter", "", "times that something has held a loop longer than its limit, by kind")
    worst = Family("yieldloop_block_worst_seconds", "gauge", "seconds", "how long the worst of them has lasted, by kind")
    blocks = watchdog.blocks()
    for kind in watchdog.KINDS:
        count.samples.append(({"kind": kind}, sum(block.count for block in blocks if block.kind == kind)))
        worst.samples.append(({"kind": kind}, max((block.worst_ns for block in blocks if block.kind == kind), default=0) / 1e9))
    return count, worst


def _info() -> Family:
    labels = {
        "version": yieldloop.__version__,
        "python": platform.python_version(),
        "speed": "compiled" if yieldloop.compiled() else "interpreted",
    }
    return Family("yieldloop", "info", "", "which yieldloop this is", [(labels, 1)])


# --- the text ----------------------------------------------------------------------------------------------------------


def text() -> str:
    """`numbers` in the OpenMetrics text format."""
    lines = []
    for family in numbers():
        lines.append(f"# TYPE {family.name} {family.kind}")
        if family.unit:
            lines.append(f"# UNIT {family.name} {family.unit}")
        lines.append(f"# HELP {family.name} {_escaped(family.help)}")
        ending = {"counter": "_total", "info": "_info"}.get(family.kind, "")
        lines += [f"{family.name}{ending}{_labels(labels)} {value:.10g}" for labels, value in family.samples]
    return "\n".join([*lines, "# EOF", ""])


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
