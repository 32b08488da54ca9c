"""The same numbers for OpenTelemetry: observable instruments, which ask when somebody collects.

What lives here: `instrument`. What may not: numbers of its own (`watch.metrics`), and an SDK; the program chooses where its
metrics go. Needs ``pip install 'yieldloop[otel]'``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from yieldloop.watch import metrics

ONE_COLLECTION = 0.5  # s; instruments that are asked within it are asked by the same collection

__all__ = ("instrument",)


def instrument(meter: Any = None) -> None:
    """Register the numbers of `watch.metrics` with *meter* (default: OpenTelemetry's global one, by the name ``yieldloop``), once.

    They are named ``yieldloop.tasks`` and so on, without the unit, which OpenTelemetry has apart. ModuleNotFoundError, which says
    what to install, without opentelemetry-api.
    """
    try:
        from opentelemetry.metrics import Observation, get_meter
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "OpenTelemetry's API is not installed: pip install 'yieldloop[otel]'", name="opentelemetry"
        ) from None
    if meter is None:
        meter = get_meter("yieldloop", metrics.yieldloop.__version__)

    known: list[metrics.Family] = []
    read_at = 0.0

    def observe(name: str) -> Iterable[Any]:
        nonlocal known, read_at
        if time.monotonic() - read_at > ONE_COLLECTION:
            known, read_at = metrics.numbers(), time.monotonic()
        return [Observation(value, labels) for family in known if family.name == name for labels, value in family.samples]

    for family in metrics.numbers():
        if family.kind == "info":
            continue
        create = meter.create_observable_counter if family.kind == "counter" else meter.create_observable_gauge
        create(
            family.name.removesuffix(f"_{family.unit}" if family.unit else "").replace("_", ".", 1),
            callbacks=[lambda options, name=family.name: observe(name)],
            unit={"seconds": "s", "bytes": "By"}.get(family.unit, "1"),
            description=family.help,
        )
