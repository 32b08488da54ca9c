"""Exercises of chapter 2, solved: python -m pytest guide/exercises/02_frames.py"""

import sys
import weakref


def callers():
    """1. The names of the functions on the stack, the caller's first."""
    names = []
    frame = sys._getframe(1)
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names


def test_the_stack_is_read_from_the_top():
    def low():
        return high()

    def high():
        return callers()

    assert low()[:3] == ["high", "low", "test_the_stack_is_read_from_the_top"]


def parameters(function):
    """2. The names of a function's parameters, read from its code object: by position only, both ways, by name only."""
    code = function.__code__
    names = code.co_varnames
    only, both, named = code.co_posonlyargcount, code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    return names[:only], names[only:both], names[both:named]


def test_parameters_stand_first_among_the_variables():
    def order(tea, /, cups, *extras, sugar=0, **notes):
        bill = len(extras)
        return bill

    assert parameters(order) == (("tea",), ("cups",), ("sugar",))


class Big:
    pass


def fail(noted):
    big = Big()
    noted.append(weakref.ref(big))
    raise ValueError


def keep_the_error_only(noted):
    """3. Return the error that fail() raises, without what fail()'s frame holds."""
    try:
        fail(noted)
    except ValueError as error:
        return error.with_traceback(None)


def test_an_error_without_its_traceback_keeps_no_frame():
    noted = []
    error = keep_the_error_only(noted)
    assert isinstance(error, ValueError)
    assert noted[0]() is None
