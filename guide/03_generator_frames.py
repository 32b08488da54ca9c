"""Chapter 3: why a generator can stop: it owns its frame.

Given a file name, it also draws who holds a parked frame: python guide/03_generator_frames.py held.svg
"""

import gc
import linecache
import sys
from importlib import import_module

chapter2 = import_module("02_frames")
Thing, holders, stack = chapter2.Thing, chapter2.holders, chapter2.stack


def counter(name, end):
    thing = Thing(f"{name}'s thing")
    for number in range(end):
        print(f"  {name}: on the stack: {stack()}")
        yield number
    return thing.name


def pair():
    first = yield from counter("left", 1)
    second = yield from counter("right", 1)
    return first, second


def look(generator):
    """What one sees of a generator from outside."""
    frame = generator.gi_frame
    if frame is None:
        print(f"  {generator.__name__}: no frame any more")
        return
    line = linecache.getline(__file__, frame.f_lineno).strip()
    values = {name: value for name, value in frame.f_locals.items() if not isinstance(value, Thing)}
    print(f"  {generator.__name__}: stands at `{line}`, variables {values}")
    print(f"    gi_frame held by {holders(frame)}, f_back {frame.f_back}")
    if generator.gi_yieldfrom is not None:
        print(f"    gi_yieldfrom is {generator.gi_yieldfrom.__name__}, held by {holders(generator.gi_yieldfrom)}")


def main():
    print("before the first next: the frame is there, nothing has run")
    generator = counter("one", 2)
    look(generator)

    print("next: the same frame goes onto the stack, and off it at the yield")
    frame = generator.gi_frame
    next(generator)
    look(generator)
    print("  the same frame:", generator.gi_frame is frame)
    del frame

    print("next, from somewhere else: what lies below it is whoever resumes it")

    def elsewhere():
        return next(generator)

    elsewhere()

    print("the end: the frame is given up, and its variables with it")
    next(generator, None)
    look(generator)

    print("two generators of one function: one code object, two frames")
    a, b = counter("a", 1), counter("b", 1)
    print("  code:", a.gi_code is b.gi_code, " frame:", a.gi_frame is b.gi_frame)

    print("a generator that delegates holds the one it delegates to")
    both = pair()
    look(both)
    next(both)
    look(both)
    look(both.gi_yieldfrom)
    if len(sys.argv) > 1:
        import drawing

        drawing.holders(sys.argv[1], both.gi_frame, both.gi_yieldfrom.gi_frame)
    next(both)
    look(both)
    try:
        next(both)
    except StopIteration as stop:
        print("  returned", stop.value)
    look(both)

    print("nobody holds it any more: a parked generator ends where it stands")
    lost = counter("lost", 2)
    next(lost)
    del lost
    gc.collect()
    print("  that was all")


if __name__ == "__main__":
    main()
