"""Chapter 5: `yield from`, first written out by hand, then used."""

import linecache


def by_keyword(iterable):
    return (yield from iterable)


def by_hand(iterable):
    """What `yield from iterable` does, in words that Python had before it."""
    inner = iter(iterable)
    resume, arguments = inner.__next__, ()
    while True:
        try:
            value = resume(*arguments)
        except StopIteration as end:
            return end.value
        try:
            sent = yield value
        except GeneratorExit:
            if hasattr(inner, "close"):
                inner.close()
            raise
        except BaseException as error:
            if not hasattr(inner, "throw"):
                raise
            resume, arguments = inner.throw, (error,)
        else:
            resume, arguments = (inner.__next__, ()) if sent is None else (inner.send, (sent,))


def adder():
    """Adds up what it is sent. A ValueError resets the sum, None ends it, and the sum is what it returns."""
    total = 0
    try:
        while True:
            try:
                number = yield total
            except ValueError:
                print("    adder: reset")
                total = 0
            else:
                if number is None:
                    return total
                total += number
    finally:
        print("    adder: over")


def drive(generator, *orders):
    """Send each order into the generator, or throw it if it is an exception; report what comes back."""
    try:
        print("    start ->", next(generator))
        for order in orders:
            if isinstance(order, BaseException):
                print(f"    throw {order!r} ->", generator.throw(order))
            else:
                print(f"    send {order!r} ->", generator.send(order))
    except StopIteration as end:
        print("    it returned", end.value)
    except Exception as error:
        print("    it raised", type(error).__name__)
    else:
        generator.close()
        print("    closed")


def inner():
    got = yield "inner waits"
    return got * 2


def middle():
    doubled = yield from inner()
    return doubled + 1


def outer():
    result = yield from middle()
    print("  outer: the result is", result)


def main():
    for delegate in by_keyword, by_hand:
        print(delegate.__name__)
        print("  send, throw and return")
        drive(delegate(adder()), 2, 3, ValueError(), 10, None)
        print("  an error that the adder does not catch")
        drive(delegate(adder()), 2, KeyError("stop"))
        print("  close")
        drive(delegate(adder()), 5)
        print("  a list can neither be sent to nor thrown into")
        drive(delegate([1, 2]), 7)
        drive(delegate([1, 2]), KeyError("stop"))

    print("three deep: one value goes in, one comes out, and who is in between sleeps")
    chain = outer()
    print("  it yielded:", chain.send(None))
    generator = chain
    while generator is not None:
        line = linecache.getline(__file__, generator.gi_frame.f_lineno).strip()
        print(f"  {generator.__name__} is parked at: {line}")
        generator = generator.gi_yieldfrom
    try:
        chain.send(20)
    except StopIteration:
        print("  outer is over")


if __name__ == "__main__":
    main()
