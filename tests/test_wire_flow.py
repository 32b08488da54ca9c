"""Flow: its decisions follow the table, alternate, and begin with a pause."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yieldloop.wire.flow import FLOWING, HIGH_WATER, PAUSE, PAUSED, RESUME, TRANSITIONS, Flow, water_marks


@given(st.integers(0, 100), st.integers(0, 100), st.lists(st.integers(-60, 60)))
def test_decisions_are_those_of_the_table(one, other, changes):
    high, low = max(one, other), min(one, other)
    flow, size, state = Flow(high, low), 0, FLOWING
    for change in changes:
        size = max(0, size + change)
        told = flow.grown(size) if change > 0 else flow.shrunk(size)
        event = "over" if change > 0 and size > high else "under" if change <= 0 and size <= low else None
        state, decision = TRANSITIONS.get((state, event), (state, None))
        assert told is (decision is not None)
        assert flow.state == state


def test_hovering_at_a_mark_does_not_flap():
    flow = Flow(10, 4)
    assert flow.grown(11) and not flow.grown(12)
    assert not flow.shrunk(5) and not flow.grown(11)
    assert flow.shrunk(4) and not flow.shrunk(3)
    assert flow.state == FLOWING


@pytest.mark.parametrize(
    ("given_marks", "expected"),
    [
        ((None, None), (HIGH_WATER, HIGH_WATER // 4)),
        ((100, None), (100, 25)),
        ((None, 100), (400, 100)),
        ((0, None), (0, 0)),
        ((7, 7), (7, 7)),
    ],
)
def test_marks_that_were_left_out_follow_from_the_others(given_marks, expected):
    assert water_marks(*given_marks) == expected


@pytest.mark.parametrize(("high", "low"), [(1, 2), (-1, None), (5, -1), (None, -1)])
def test_marks_in_the_wrong_order_are_refused_and_change_nothing(high, low):
    with pytest.raises(ValueError, match="must be >= low"):
        Flow(high, low)
    flow = Flow(10, 5)
    with pytest.raises(ValueError, match="must be >= 0"):
        flow.set_marks(high, low)
    assert flow.statistics() == {"high": 10, "low": 5, "state": FLOWING}


def test_new_marks_take_effect_at_once():
    flow = Flow(100, 50)
    assert flow.set_marks(10, 5, size=20) == PAUSE
    assert flow.set_marks(10, 5, size=20) is None
    assert flow.state == PAUSED
    assert flow.set_marks(100, 50, size=20) == RESUME
    assert repr(flow) == "<Flow flowing high=100 low=50>"
