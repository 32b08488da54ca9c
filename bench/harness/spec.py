"""What a workload is: its name, its words for the tables, its body and its limits.

A workload is one coroutine function `body(aio, meter)`. `aio` is the asyncio-like module, so that the very same program
runs on each implementation. Workloads live in `bench/workloads/`, this file holds only the record and the registry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.impls import BASE

#: CPU seconds that one measurement collects (`--quick` takes a quarter). Below about 0.2 s the garbage collector's
#: rare full passes fall into some measurements and not into others.
BUDGET_S = 0.5


@dataclass(frozen=True)
class Aim:
    """A speed that is asked: `least` times that of the implementation `against`, of the implementation `of`.

    With `than`, the name of another workload, `against` is measured there (None: `of` itself). `most` asks for a cost in its place:
    nanoseconds or bytes at the most.
    """

    least: float = 0.0
    against: str | None = BASE
    of: str = "yieldloop"
    than: str | None = None
    most: float | None = None


@dataclass(frozen=True)
class Workload:
    """One row of the tables.

    `op` says what one operation is. `target` is the speed asked of yieldloop compiled, as a multiple of uvloop's; `aims` are what
    else is asked.
    `bare` is the same work without any event loop (the C server), a plain function `bare(meter)`.
    `abandon` leaves the process without closing the loop: cancelling a million parked tasks takes longer than the
    measurement. `needs` are importable modules without which the row is skipped. `threads` counts what has to run
    beside the loop in the same process.
    """

    name: str
    group: str
    op: str
    body: Callable[..., Any]
    target: float | None = None
    aims: tuple[Aim, ...] = ()
    bare: Callable[..., Any] | None = None
    abandon: bool = False
    needs: tuple[str, ...] = ()
    timeout_s: float = 90.0
    quick: bool = True
    plain: bool = False  # the body is a plain function: it starts processes of its own and needs no loop

    @property
    def asked(self) -> tuple[Aim, ...]:
        """All aims."""
        return (*([Aim(self.target)] if self.target else []), *self.aims)


REGISTRY: dict[str, Workload] = {}


def workload(name: str, group: str, op: str, **more: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated body as the workload `name`; the body itself is returned unchanged."""

    def register(body: Callable[..., Any]) -> Callable[..., Any]:
        if name in REGISTRY:
            raise ValueError(f"two workloads are called {name!r}; rename one of them")
        REGISTRY[name] = Workload(name, group, op, body, **more)
        return body

    return register
