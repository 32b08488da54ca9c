"""Exercises of chapter 3, solved: python -m pytest guide/exercises/03_generator_frames.py"""


def where(generator):
    """1. The names of the generators from this one to the one where it really stands, and the line there."""
    names = [generator.__name__]
    while generator.gi_yieldfrom is not None:
        generator = generator.gi_yieldfrom
        names.append(generator.__name__)
    return names, generator.gi_frame.f_lineno


def low():
    yield 1
    yield 2


def high():
    yield from low()


def test_the_innermost_generator_knows_the_line():
    generator = high()
    next(generator)
    next(generator)
    assert where(generator) == (["high", "low"], low.__code__.co_firstlineno + 2)


def test_a_frame_is_on_the_stack_once_only():
    """2. What happens if a generator resumes itself?"""

    def eager():
        yield next(generator)

    generator = eager()
    try:
        next(generator)
    except ValueError as error:
        assert str(error) == "generator already executing"
    else:
        raise AssertionError("it went on")


def test_finally_runs_when_nobody_holds_the_generator_any_more():
    """3. In which order are the four words noted?"""
    noted = []

    def patient():
        try:
            noted.append("begins")
            yield
        finally:
            noted.append("ends")

    generator = patient()
    noted.append("made")
    next(generator)
    noted.append("parked")
    del generator
    assert noted == ["made", "begins", "parked", "ends"]
