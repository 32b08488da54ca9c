"""The armed timers: whatever is armed and disarmed in whatever order, what is left comes out by deadline, then by age."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import yieldloop
from yieldloop.engine._heap import TimerHeap
from yieldloop.engine.handles import TimerHandle

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


# (how many are armed, how many disarmed, which, what part of the time passes): a storm is kept otherwise than a few at a time
STORMS = st.lists(
    st.tuples(st.sampled_from((0, 1, 5, 300, 900)), st.integers(0, 500), st.sampled_from(("old", "new", "any")), st.integers(0, 5)),
    max_size=12,
)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(STORMS, st.sampled_from((3, 1000, 10**12, 9 * 10**18)), st.randoms(use_true_random=False))
def test_timers_come_out_in_order_between_storms(quiet_loop: Any, storms: Any, spread: int, chance: Any) -> None:
    heap = TimerHeap()
    armed: dict[int, tuple[int, Any]] = {}  # by age: the deadline and the timer
    age = now = 0
    for arm, disarm, which, passes in [*storms, (0, 0, "any", 5)]:
        for _ in range(arm):
            when = min(now + int(chance.random() * spread), 2**63 - 1)
            armed[age] = when, TimerHandle(1.0, print, (), quiet_loop)
            heap.push(when, armed[age][1])
            age += 1
        ages = sorted(armed, key={"old": int, "new": int.__neg__, "any": lambda _: chance.random()}[which])  # type: ignore[index]
        for each in ages[:disarm]:
            timer = armed.pop(each)[1]
            timer._cancelled = True
            heap.disarm(timer)
        assert heap.first() == min((when for when, _ in armed.values()), default=-1)
        now = 2**63 - 1 if passes == 5 else min(now + spread * passes // 8, 2**63 - 1)
        due = sorted((when, each) for each, (when, _) in armed.items() if when <= now)
        for _, each in due:
            assert heap.pop_due(now) is armed.pop(each)[1]
        assert heap.pop_due(now) is None
        assert len(heap) - getattr(heap, "_dead", 0) == len(armed)


def test_disarmed_timers_are_not_kept(quiet_loop: Any) -> None:
    for _ in range(10):
        for timer in [quiet_loop.call_later(1000 + i, print) for i in range(1000)]:
            timer.cancel()
    assert len(quiet_loop._heap) <= 200
