"""Exercises of chapter 5, solved: python -m pytest guide/exercises/05_yield_from.py"""


def flatten(values):
    """1. The numbers in lists of lists of any depth, in their order."""
    for value in values:
        if isinstance(value, list):
            yield from flatten(value)
        else:
            yield value


def test_any_depth_comes_out_flat():
    assert list(flatten([1, [2, [3, [], 4]], 5])) == [1, 2, 3, 4, 5]


def guarded(generator, error, default):
    """2. Goes on as `generator` does; if that ends by an error of this class, it returns `default`."""
    try:
        return (yield from generator)
    except error:
        return default


def returned(generator):
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value


def test_an_error_becomes_a_default():
    def fails():
        yield
        raise KeyError

    def works():
        yield
        return "found"

    assert returned(guarded(fails(), KeyError, "none")) == "none"
    assert returned(guarded(works(), KeyError, "none")) == "found"


def test_a_generator_may_not_yield_when_it_is_closed():
    """3. What does close() do when the inner generator answers GeneratorExit with a yield?"""

    def stubborn():
        try:
            yield 1
        except GeneratorExit:
            yield 2

    def outer():
        yield from stubborn()

    generator = outer()
    next(generator)
    try:
        generator.close()
    except RuntimeError as error:
        assert str(error) == "generator ignored GeneratorExit"
    else:
        raise AssertionError("it let itself be closed")
