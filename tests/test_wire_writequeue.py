"""WriteQueue: what goes in comes out in order, once, however it is sent; big pieces are not copied, changed ones do not leak."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yieldloop.wire import writequeue as module
from yieldloop.wire._bytes import glue
from yieldloop.wire.writequeue import IOV_MAX, WriteQueue

BIG = module.SMALL + 1

data = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 255).map(lambda n: bytes([n]) * (BIG + n)),
    st.integers(0, 255).map(lambda n: bytes([n]) * (module.SMALL - n)),
)
shape = st.sampled_from([bytes, bytearray, memoryview, lambda d: memoryview(bytearray(d)).toreadonly()])


def flat(pieces):
    return b"".join(pieces)


@settings(max_examples=200)
@given(st.lists(st.one_of(st.tuples(data, shape), st.integers(0, 9000)), max_size=40), st.integers(1, 5))
def test_any_sequence_of_appends_and_sends_keeps_the_bytes(steps, most):
    queue, model, shown_before = WriteQueue(), b"", []
    for step in steps:
        if isinstance(step, tuple):
            content, form = step
            given_data = form(content)
            assert queue.append(given_data) == len(model) + len(content)
            if isinstance(given_data, bytearray):
                given_data[:] = b"!" * len(given_data)  # the caller reuses it
                given_data.clear()
            model += content
        else:
            lone = queue.lone() if step % 2 else None
            assert lone is None or lone == model
            shown = queue.peek(most) if lone is None else [lone]
            front = flat(shown)
            assert model.startswith(front) and bool(front) == bool(model) and len(shown) <= most
            shown_before.append((shown, front))
            sent = min(step, len(front))
            queue.consume(sent)
            model = model[sent:]
        assert queue.size == len(queue) == len(model)
        assert flat(queue.peek(10**6, 10**9)) == model if len(steps) % 2 else True
    for shown, front in shown_before:  # what was shown has not moved since
        assert flat(shown) == front


def test_head_and_body_leave_as_one_piece():
    queue = WriteQueue()
    queue.append(b"head")
    queue.append(b"body")
    assert queue.lone() == b"headbody" and queue.peek() == [b"headbody"]


def test_what_is_one_piece_or_small_is_for_a_plain_send():
    queue = WriteQueue()
    assert queue.lone() is None
    big = b"x" * 100_000
    queue.append(big)
    assert queue.lone() is big
    queue.append(b"tail")
    assert queue.lone() is None and queue.peek() == [big, b"tail"]
    queue.consume(100_002)
    assert queue.lone() == b"il"
    for _ in range(1000):
        queue.append(b"t")
    assert queue.lone() == b"il" + b"t" * 1000


def test_a_lone_small_piece_is_not_copied():
    queue, message = WriteQueue(), b"message"
    queue.append(message)
    assert queue.peek()[0] is message


def test_a_big_piece_is_never_copied():
    queue, big = WriteQueue(), b"x" * 1_000_000
    queue.append(b"head")
    queue.append(big)
    assert queue.peek()[1] is big
    queue.consume(10)
    (rest,) = queue.peek()
    assert rest.obj is big and len(rest) == 999_994
    queue.clear()
    queue.append(memoryview(big))
    assert queue.peek()[0] is big
    queue.clear()
    queue.append(memoryview(big)[5:])
    assert queue.peek()[0].obj is big


def test_a_view_of_larger_items_counts_bytes():
    import array

    queue = WriteQueue()
    assert queue.append(array.array("I", range(5000))) == 20_000
    queue.append(memoryview(b"y" * 40_000).cast("I")[5:])
    queue.consume(20_000)
    assert queue.size == 39_980 and len(queue.peek()[0]) == 39_980


def test_what_was_shown_stays_as_it_was():
    queue = WriteQueue()
    queue.extend([b"a", b"b"])
    shown = queue.peek()
    queue.append(b"c")
    queue.consume(1)
    assert shown == [b"ab"] and queue.peek() == [b"bc"]


def test_joined_pieces_stay_of_a_moderate_size():
    queue = WriteQueue()
    for _ in range(1000):
        queue.append(b"x" * module.SMALL)
    assert len(queue.peek()[0]) == module.JOINED
    assert queue.statistics() == {"waiting": 1000 * module.SMALL, "pieces": 1 + 1000 - module.JOINED // module.SMALL}


def test_peek_lists_no_more_than_one_system_call_takes():
    queue = WriteQueue()
    for _ in range(IOV_MAX + 10):
        queue.append(b"x" * BIG)
    assert len(queue.peek(enough=10**9)) == IOV_MAX >= 16
    assert len(flat(queue.peek())) < module.PEEK_BYTES + BIG


@pytest.mark.parametrize("nonsense", [5, "text", None, [1, 2]])
def test_what_is_not_bytes_is_refused_and_adds_nothing(nonsense):
    queue = WriteQueue()
    with pytest.raises(TypeError, match="must be a bytes-like object"):
        queue.append(nonsense)
    with pytest.raises(TypeError, match="must be a bytes-like object"):
        queue.extend([b"good", nonsense])
    assert queue.size == 0 and queue.peek() == []


@pytest.mark.parametrize("n", [-1, 4])
def test_consuming_what_is_not_there_is_refused(n):
    queue = WriteQueue()
    queue.append(b"abc")
    with pytest.raises(ValueError, match=f"cannot consume {n} bytes of a queue of 3"):
        queue.consume(n)
    assert repr(queue) == "<WriteQueue 3 bytes in 1 pieces>" and queue


def test_what_was_put_together_stays_as_it_is() -> None:
    """The memory of bytes that nobody has any more may be used again; that of bytes which somebody has never is."""
    kept: list[tuple[bytes, bytes]] = []
    for number in range(300):
        head, body = bytes([number % 251]) * 300, bytes([number % 249]) * 400
        made = glue(head, body)
        assert hash(made) == hash(head + body)
        if number % 3:
            kept.append((made, head + body))
        del made
    assert all(made == copy for made, copy in kept)
