"""Chapter 4: two tasks by hand, then a scheduler that runs any number of them."""

from collections import deque


def call(name, steps):
    """An ordinary function: once called, it runs to its end."""
    for step in range(1, steps + 1):
        print(f"  {name} {step}")


def task(name, steps):
    """The same as a generator: after each step it lets go, and can be resumed."""
    for step in range(1, steps + 1):
        print(f"  {name} {step}")
        yield
    return f"{name} took {steps} steps"


def run(tasks):
    """Round robin: resume each task in turn until all of them are done; return what each of them returned."""
    ready = deque(tasks)
    results = {}
    while ready:
        current = ready.popleft()
        try:
            next(current)
        except StopIteration as end:
            results[current] = end.value
        else:
            ready.append(current)
    return results


def main():
    print("two calls: the first one is over before the second begins")
    call("a", 3)
    call("b", 3)

    print("two generators: we choose who goes on")
    a, b = task("a", 3), task("b", 3)
    for chosen in (a, b, b, a, a, b):
        next(chosen)

    print("any number of them, in an order that a queue makes")
    for result in run([task("a", 2), task("b", 3), task("c", 1)]).values():
        print(" ", result)


if __name__ == "__main__":
    main()
