"""Exercises of chapter 2, solved: python -m pytest guide/exercises/02_frames.py"""

import sys
import weakref
from pathlib import Path


def here():
    """1. The file and the line from which it is called: `name.py:12`."""
    frame = sys._getframe(1)
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def test_the_line_of_the_call_is_named():
    def low():
        return here()

    assert low() == f"02_frames.py:{low.__code__.co_firstlineno + 1}"


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
