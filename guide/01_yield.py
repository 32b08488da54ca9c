"""Chapter 1: `yield` as a keyword and as an expression; `next`, `send`, and what `return` does."""

import ast
from inspect import getgeneratorstate


def tea():
    print("  tea: begins")
    first = yield "water"
    print("  tea: got", first)
    second = yield "leaves"
    print("  tea: got", second)
    return "a pot of tea"


def never():
    return "nothing to wait for"
    yield


def puzzle():
    a = (yield + 10) - 2
    print("  a is", a)


def main():
    print("a call runs nothing, it makes a generator")
    pot = tea()
    print(" ", type(pot).__name__, getgeneratorstate(pot))

    print("next() runs it to the first yield, and the yielded value comes out")
    print("  out:", next(pot))
    print(" ", getgeneratorstate(pot))

    print("send() goes in where it stands: what is sent is the value of the yield expression")
    print("  out:", pot.send("cold water"))

    print("return is a StopIteration that carries the value")
    try:
        pot.send("green leaves")
    except StopIteration as stop:
        print("  returned:", stop.value)
    print(" ", getgeneratorstate(pot))
    try:
        next(pot)
    except StopIteration as stop:
        print("  and from then on:", stop.value)

    print("a for loop calls next() and drops what was returned")
    for wish in tea():
        print("  out:", wish)

    print("nobody waits at a yield yet: the first send can only be None")
    try:
        tea().send("too early")
    except TypeError as error:
        print(" ", error)

    print("one yield makes a generator of it, even a yield that is never reached")
    print(" ", type(never()).__name__, list(never()))

    print("the puzzle")
    for source in "a = (yield + 10) - 2", "a = (yield) + 10 - 2", "a = yield + 10 - 2":
        print(f"  {source:24}is read as   {ast.unparse(ast.parse(source))}")
    generator = puzzle()
    print("  out:", next(generator))
    try:
        generator.send(5)
    except StopIteration:
        pass


if __name__ == "__main__":
    main()
