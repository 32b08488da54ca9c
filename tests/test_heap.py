"""The armed timers: whatever is armed and disarmed in whatever order, what is left comes out by deadline, then by age."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import yieldloop

# (0, deadline): arm; (1, n): disarm the n-th of those armed
STEPS = st.lists(st.tuples(st.sampled_from((0, 0, 1)), st.integers(0, 40)), max_size=300)


@pytest.fixture(scope="module")
def quiet_loop() -> Iterator[Any]:
    loop = yieldloop.EventLoop()
    yield loop
    loop.close()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_timers_come_out_in_order_whatever_was_disarmed(quiet_loop: Any, steps: list[tuple[int, int]]) -> None:
    armed: list[tuple[int, int, Any]] = []
    for age, (disarm, number) in enumerate(steps):
        if disarm and armed:
            armed.pop(number % len(armed))[2].cancel()
        else:
            armed.append((number, age, quiet_loop.call_at(1e8 + number, print)))
        assert quiet_loop.statistics()["timers"] == len(armed)
    heap = quiet_loop._heap
    out = []
    while (timer := heap.pop_due(int(2e17))) is not None:
        out.append(timer)
    expected = [timer for _, _, timer in sorted(armed, key=lambda each: each[:2])]
    assert len(out) == len(expected) and all(a is b for a, b in zip(out, expected, strict=True))


def test_disarmed_timers_are_not_kept(quiet_loop: Any) -> None:
    for _ in range(10):
        for timer in [quiet_loop.call_later(1000 + i, print) for i in range(1000)]:
            timer.cancel()
    assert len(quiet_loop._heap) <= 200
