"""Chapter 6: waiting for something. A Future, and the loop that wakes who waits for it."""

from collections import deque


class CancelledError(BaseException):
    """Nobody wants the result any more (chapter 7)."""


class Loop:
    """Calls what is ready to be called, first in, first out."""

    def __init__(self):
        self.ready = deque()

    def call_soon(self, callback, *args):
        self.ready.append((callback, args))

    def run_ready(self):
        """Call what is ready now. What becomes ready meanwhile has its turn in the next iteration."""
        for _ in range(len(self.ready)):
            callback, args = self.ready.popleft()
            callback(*args)

    def run_once(self):
        """One iteration."""
        if not self.ready:
            raise RuntimeError("nothing is ready, and nothing is left that could make something ready")
        self.run_ready()

    def run_until_complete(self, future):
        while not future.done():
            self.run_once()
        return future.result()


class Future:
    """A result that is not there yet, and who is to be told when it is."""

    def __init__(self, loop):
        self.loop = loop
        self.state = "pending"  # then, once and for all, "finished" or "cancelled"
        self.value = None
        self.error = None
        self.callbacks = []

    def __repr__(self):
        return f"<{type(self).__name__} {self.state}>"

    def done(self):
        return self.state != "pending"

    def cancelled(self):
        return self.state == "cancelled"

    def result(self):
        if not self.done():
            raise RuntimeError(f"{self!r} has no result yet")
        if self.error is not None:
            raise self.error
        return self.value

    def set_result(self, value):
        self.settle("finished", value, None)

    def set_exception(self, error):
        self.settle("finished", None, error)

    def cancel(self):
        """Give up the result. False if it is too late for that."""
        if self.done():
            return False
        self.settle("cancelled", None, CancelledError())
        return True

    def settle(self, state, value, error):
        if self.done():
            raise RuntimeError(f"{self!r} cannot be settled twice")
        self.state, self.value, self.error = state, value, error
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            self.loop.call_soon(callback, self)

    def add_done_callback(self, callback):
        """Have `callback(self)` called by the loop once this future is done."""
        if self.done():
            self.loop.call_soon(callback, self)
        else:
            self.callbacks.append(callback)

    def __iter__(self):
        """`yield from future`: park until it is done, then go on with its result or its error."""
        if not self.done():
            yield self
        return self.result()


def step(generator):
    """Resume a generator; when the future that it yields is done, resume it again."""
    try:
        future = next(generator)
    except StopIteration:
        return
    future.add_done_callback(lambda done: step(generator))


def reader(name, letter):
    print(f"  {name}: waits")
    try:
        text = yield from letter
    except OSError as error:
        print(f"  {name}: {error}")
    else:
        print(f"  {name}: {text}")


def main():
    loop = Loop()

    print("a future is told, and the loop tells the others")
    future = Future(loop)
    future.add_done_callback(lambda done: print("  callback:", done.result()))
    print(" ", future)
    future.set_result(42)
    print(" ", future, "with", len(loop.ready), "call ready")
    loop.run_once()

    print("what a parked generator yields: the future that it waits for")
    letter = Future(loop)
    anna = reader("anna", letter)
    print("  it is the same object:", next(anna) is letter)
    letter.set_result("by hand")
    next(anna, None)

    print("two readers and one letter")
    letter = Future(loop)
    loop.call_soon(step, reader("anna", letter))
    loop.call_soon(step, reader("ben", letter))
    loop.call_soon(letter.set_result, "good news")
    loop.run_until_complete(letter)
    print("  the letter is there, the readers are not yet resumed")
    loop.run_once()

    print("an error takes the same way")
    letter = Future(loop)
    loop.call_soon(step, reader("anna", letter))
    loop.call_soon(letter.set_exception, OSError("lost in the post"))
    loop.run_once()
    loop.run_once()

    print("and a letter that nobody sends")
    try:
        loop.run_until_complete(Future(loop))
    except RuntimeError as error:
        print(" ", error)


if __name__ == "__main__":
    main()
