"""Chapter 2: what a function is made of: its code object, and a frame for each call.

Given a file name, it also draws who refers to a kept frame: python guide/02_frames.py frames.svg
"""

import dis
import gc
import sys
from pathlib import Path
from types import CodeType

# Every attribute that a code object has on Python 3.11 to 3.15, by what it is about.
ATTRIBUTES = {
    "who": ("co_name", "co_qualname", "co_filename", "co_firstlineno"),
    "arguments": ("co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_flags"),
    "variables": ("co_varnames", "co_nlocals", "co_cellvars", "co_freevars"),
    "what the bytecode refers to": ("co_consts", "co_names"),
    "the bytecode": ("co_code", "co_stacksize"),
    "maps from bytecode to source": ("co_lines", "co_positions", "co_linetable", "co_lnotab", "co_branches"),
    "where an exception goes": ("co_exceptiontable",),
}


def bill(hours, /, rate=20, *extras, tip=0, **notes):
    total = hours * rate + sum(extras) + tip

    def line():
        return f"{total} yuan"

    return line()


def careful(number):
    try:
        return 1 / number
    except ZeroDivisionError:
        return 0


def readable(name, value):
    """What a person wants to read of an attribute."""
    if name == "co_filename":
        return Path(value).name
    if name == "co_flags":
        return [word for flag, word in dis.COMPILER_FLAG_NAMES.items() if value & flag]
    if name == "co_consts":
        return [getattr(constant, "co_qualname", constant) for constant in value if constant is not None]
    return value


def show(code, *names):
    for name in names:
        print(f"  {name:20}{readable(name, getattr(code, name))}")


def source_pieces(code):
    """The pieces of source that single instructions come from."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return {lines[line - 1][start:end] for line, last, start, end in code.co_positions() if line == last and end}


def show_code():
    print("who it is, what it takes, what it names")
    code = bill.__code__
    show(code, *ATTRIBUTES["who"])
    show(code, *ATTRIBUTES["arguments"])
    show(code, *ATTRIBUTES["variables"])
    show(code, *ATTRIBUTES["what the bytecode refers to"])
    print("its inner function is a code object among its constants")
    line = next(constant for constant in code.co_consts if isinstance(constant, CodeType))
    show(line, "co_qualname", "co_freevars", "co_flags")

    print("where its bytecode comes from")
    print("  lines, counted from the first:", sorted({number - code.co_firstlineno for *_, number in code.co_lines() if number}))
    print("  a piece of a line:", "hours * rate" in source_pieces(code))

    print("only a function that can catch has an exception table")
    print("  bill:", bool(code.co_exceptiontable), " careful:", bool(careful.__code__.co_exceptiontable))

    print("what runs adapts to what it meets, co_code does not")
    written = code.co_code
    for _ in range(20):
        bill(3)
    adapted = [op.opname for op in dis.get_instructions(bill, adaptive=True)]
    print("  co_code is as it was:", code.co_code == written)
    print("  what runs is as it was:", adapted == [op.opname for op in dis.get_instructions(bill)])

    known = {name for names in ATTRIBUTES.values() for name in names}
    print("attributes that ATTRIBUTES does not know:", [name for name in dir(code) if name[:3] == "co_" and name not in known])


class Thing:
    """Says when it is gone."""

    def __init__(self, name):
        self.name = name

    def __del__(self):
        print(f"  {self.name} is gone")


def holders(thing):
    """The types of the objects that refer to it. Variables of running functions are not objects and do not appear."""
    return sorted(type(holder).__name__ for holder in gc.get_referrers(thing))


def stack():
    """The names of the functions on the stack, from the caller down to the module."""
    names = []
    frame = sys._getframe(1)
    while frame.f_code.co_name != "<module>":
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return " -> ".join([*names, "<module>"])


def outer(kept):
    thing = Thing("outer's thing")
    return inner(kept, thing.name)


def inner(kept, word):
    thing = Thing("inner's thing")
    print("  the stack, from here down:", stack())
    print("  held by:", holders(sys._getframe()))
    print("  its variables:", list(sys._getframe().f_locals))
    if kept is not None:
        kept.append(sys._getframe())
    return word + thing.name


def fail():
    thing = Thing("fail's thing")
    raise ValueError(thing.name)


def show_frames():
    print("while a function runs, its frame is on the stack and in nobody's hands")
    outer(None)

    print("whoever keeps the frame keeps its variables, and the frames below it")
    kept = []
    outer(kept)
    frame = kept[0]
    print("  back in show_frames; held by:", holders(frame))
    print("  it is", frame.f_code.co_name, "and was called by", frame.f_back.f_code.co_name)
    if len(sys.argv) > 1:
        import drawing

        drawing.holders(sys.argv[1], frame, inner.__code__)
    frame = None
    kept.clear()

    print("a traceback keeps frames too")
    try:
        fail()
    except ValueError as error:
        print("  held by:", holders(error.__traceback__.tb_next.tb_frame))
    print("  the except block is over")


def main():
    show_code()
    show_frames()


if __name__ == "__main__":
    main()
