"""StreamBuffer: any split of any bytes gives what one piece gives, and nothing is searched or copied twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yieldloop.wire import buffer as module
from yieldloop.wire._bytes import cut, index_of
from yieldloop.wire.buffer import LINE, StreamBuffer

# Few letters, so that separators meet often; sizes on both sides of SMALL, so that both kinds of pieces occur.
text = st.text("ab\n", max_size=60).map(str.encode)
piece = st.one_of(text, st.integers(0, 3).map(lambda n: b"a" * (module.SMALL * n + 7)))
separators = st.lists(st.text("ab\n", min_size=1, max_size=4).map(str.encode), min_size=1, max_size=3).map(
    lambda found: tuple(sorted(found, key=len))
)


def filled(pieces):
    buffer = StreamBuffer()
    for data in pieces:
        buffer.feed(data)
    return buffer


def earliest(data, seps):
    """The plain meaning of find(): (end, length) of the separator that ends first, the shorter of two; or None."""
    ends = [(data.find(sep) + len(sep), len(sep)) for sep in seps if sep in data]
    return min(ends) if ends else None


@given(st.lists(piece, max_size=8), separators)
def test_find_sees_through_any_split(pieces, seps):
    buffer = filled(pieces)
    expected = earliest(b"".join(pieces), seps)
    for _ in range(2):  # asking again, from the mark, gives the same answer
        assert buffer.find(seps) == (expected[0] if expected else -1)
        if expected:
            assert buffer.matched == expected[1]


@given(st.lists(piece, max_size=8), separators)
def test_find_between_feeds_meets_the_first_end(pieces, seps):
    buffer = StreamBuffer()
    seen = b""
    for data in pieces:
        buffer.feed(data)
        seen += data
        expected = earliest(seen, seps)
        assert buffer.find(seps) == (expected[0] if expected else -1)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), piece),
        st.tuples(st.just("read"), st.integers(0, 3000)),
        st.tuples(st.just("exactly"), st.integers(0, 3000)),
        st.tuples(st.just("line"), st.integers(0, 40)),
        st.tuples(st.just("until"), separators),
        st.tuples(st.just("trim"), st.none()),
        st.tuples(st.just("delete"), st.integers(0, 10)),
    ),
    max_size=30,
)


@settings(max_examples=300)
@given(steps)
def test_any_history_equals_a_plain_bytearray(history):
    buffer, model = StreamBuffer(), b""
    for act, value in history:
        got = expected = None
        if act == "feed":
            buffer.feed(value)
            model += value
            continue
        if act == "read":
            got, expected = buffer.read(value), model[:value]
        elif act == "exactly":
            got, expected = buffer.read_exactly(value), model[:value] if len(model) >= value else None
        elif act == "line":
            at = model.find(b"\n")
            got, expected = buffer.read_line(value), model[: at + 1] if 0 <= at <= value else None
        elif act == "until":
            found = earliest(model, value)
            got, expected = buffer.read_until(value, 10**9), model[: found[0]] if found else None
        elif act == "trim":
            buffer.trim()
        else:
            del buffer[:value]
            model = model[value:]
        assert got == expected
        model = model[len(expected or b"") :]
        assert buffer == model
        assert len(buffer) == buffer.size == len(model)
        assert bool(buffer) is bool(model)


def test_whole_piece_is_handed_on_without_a_copy():
    data = b"x" * 65536
    buffer = filled([data])
    assert buffer.read_exactly(65536) is data
    buffer.feed(data)
    assert buffer.read(10**6) is data


def test_empty_buffer_keeps_no_memory():
    buffer = filled([b"x" * 100_000, b"y" * 100_000])
    buffer.read(200_000)
    assert buffer.statistics() == {"unread": 0, "pieces": 0, "kept": 0}


def test_trim_gives_back_what_was_taken():
    buffer = filled([b"x" * 100_000])
    buffer.read(99_990)
    assert buffer.statistics()["kept"] == 100_000
    buffer.trim()
    assert buffer.statistics()["kept"] == 10
    assert buffer == b"x" * 10


def test_trim_keeps_the_mark_of_a_failed_search():
    buffer = filled([b"x" * 10_000])
    buffer.read(9_000)
    assert buffer.find((b"yz",)) == -1
    buffer.trim()
    buffer.feed(b"y")
    assert buffer.find((b"yz",)) == -1
    buffer.feed(b"zz")
    assert buffer.find((b"yz",)) == 1002


def test_single_bytes_are_gathered():
    buffer = StreamBuffer()
    for _ in range(5000):
        buffer.feed(b"x")
    assert buffer.statistics()["pieces"] == 2
    assert buffer.read_exactly(5000) == b"x" * 5000


@pytest.mark.parametrize("seps", [LINE, (b"\r\n",), (b"\r\n", b"\n\n\n")])
def test_long_record_in_many_pieces_is_searched_once(seps):
    """10,000 searches in a record that grows to 10 MB: searching it anew each time would look at 50 GB."""
    buffer = StreamBuffer()
    part = b"x" * 1024
    for _ in range(10_000):
        buffer.feed(part)
        assert buffer.read_until(seps, 10**9) is None
    buffer.feed(seps[-1])
    assert buffer.read_until(seps, 10**9) == part * 10_000 + seps[-1]


def test_record_longer_than_the_limit_stays():
    buffer = filled([b"abc", b"d\n", b"e"])
    assert buffer.read_line(3) is None and buffer.read_until((b"d\n",), 2) is None
    assert buffer.find(LINE) == 5 and buffer.matched == 1
    assert buffer.read_line(4) == b"abcd\n"
    assert buffer.read_line(float("inf")) is None
    assert buffer == b"e"


@pytest.mark.parametrize("separators", [(), (5,), ("x",), (None,), None, "x"])
def test_nonsense_separators_are_refused(separators):
    buffer = filled([b"ab"])
    with pytest.raises((TypeError, ValueError)):
        buffer.find(separators)
    assert buffer == b"ab"


def test_what_the_caller_changes_later_does_not_change_us():
    data = bytearray(b"x" * 5000)
    buffer = filled([data, memoryview(data)[:2000]])
    data[:] = b"y" * 5000
    data.clear()
    assert buffer == b"x" * 7000


@pytest.mark.parametrize("nonsense", [5, "text", None, 1.5])
def test_what_is_not_bytes_is_refused(nonsense):
    buffer = filled([b"ab"])
    with pytest.raises(TypeError):
        buffer.feed(nonsense)
    assert buffer == b"ab"


@pytest.mark.parametrize(("act", "n"), [("take", -1), ("take", 3), ("read", -1), ("read_exactly", -1)])
def test_taking_what_is_not_there_is_refused(act, n):
    buffer = filled([b"ab"])
    with pytest.raises(ValueError, match=f"cannot take {n} bytes from a buffer of 2"):
        getattr(buffer, act)(n)
    assert buffer.take(2) == b"ab"


def test_the_two_acts_on_bytes_are_those_of_bytes():
    data = b"abcabc"
    for start in range(-1, 9):
        for end in range(-1, 9):
            assert cut(data, start, end) == data[max(start, 0) : max(end, 0)]
        for sought in (b"a", b"bc", b"abcabc", b"abcabca", b"x", b"ca"):
            for kind in (bytes, bytearray):
                assert index_of(kind(data), sought, start) == data.find(sought, max(start, 0))
    assert cut(data, 0, 6) is data


def test_it_can_be_looked_at_as_a_bytearray():
    buffer = filled([b"ab", b"c" * 2000, b"d"])
    buffer.read(1)
    assert buffer.startswith(b"bc") and buffer.startswith(b"d", 2001) and not buffer.startswith(b"c")
    assert bytes(buffer) == b"b" + b"c" * 2000 + b"d"
    assert bytes(buffer) == buffer == filled([bytes(buffer)])
    assert buffer != b"b" and buffer != 5
    assert buffer[0] == ord("b") and buffer[-2:] == b"cd" and b"cd" in buffer and next(iter(buffer)) == ord("b")
    buffer.extend(b"e")
    assert repr(buffer) == "<StreamBuffer 2003 bytes in 3 pieces>"
    buffer.clear()
    assert not buffer and buffer == b"" and buffer.find(LINE) == -1
    with pytest.raises(TypeError):
        hash(buffer)
