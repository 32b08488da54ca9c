"""Exercises of chapter 1, solved: python -m pytest guide/exercises/01_yield.py"""


def averager():
    """1. Is sent numbers, yields their average so far."""
    total, count, average = 0, 0, None
    while True:
        total += yield average
        count += 1
        average = total / count


def test_the_average_so_far_comes_out():
    average = averager()
    assert next(average) is None
    assert [average.send(number) for number in (10, 20, 60)] == [10, 15, 30]


def nested():
    """2. What does it yield, and what does it return?"""
    return (yield (yield 1))


def test_the_inner_yield_comes_first_and_the_outer_one_yields_what_it_was_sent():
    generator = nested()
    assert next(generator) == 1
    assert generator.send(2) == 2
    try:
        generator.send(3)
    except StopIteration as stop:
        assert stop.value == 3
    else:
        raise AssertionError("it did not end")


def collect(generator):
    """3. All that a generator yields, and what it returns."""
    yielded = []
    while True:
        try:
            yielded.append(next(generator))
        except StopIteration as stop:
            return yielded, stop.value


def test_what_is_yielded_and_what_is_returned_are_both_kept():
    def two():
        yield 1
        yield 2
        return 3

    assert collect(two()) == ([1, 2], 3)
    assert collect(nested()) == ([1, None], None)
