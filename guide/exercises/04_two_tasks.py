"""Exercises of chapter 4, solved: python -m pytest guide/exercises/04_two_tasks.py"""

from collections import deque
from inspect import isgenerator


def run_on(tasks):
    """1. As run(), but a task that fails does not end the others: its error is its result."""
    ready = deque(tasks)
    results = {}
    while ready:
        current = ready.popleft()
        try:
            next(current)
        except StopIteration as end:
            results[current] = end.value
        except Exception as error:
            results[current] = error
        else:
            ready.append(current)
    return results


def test_the_others_go_on():
    def good():
        yield
        yield
        return "done"

    def bad():
        yield
        raise ValueError("no")

    tasks = [bad(), good()]
    results = run_on(tasks)
    assert isinstance(results[tasks[0]], ValueError)
    assert results[tasks[1]] == "done"


def run_family(first):
    """2. Starts with one task. A task that yields a generator starts it as a further task."""
    ready = deque([first])
    while ready:
        current = ready.popleft()
        try:
            yielded = next(current)
        except StopIteration:
            continue
        ready.append(current)
        if isgenerator(yielded):
            ready.append(yielded)


def test_a_task_starts_tasks():
    noted = []

    def child(name):
        noted.append(name)
        yield
        noted.append(name)

    def parent():
        yield child("a")
        yield child("b")
        noted.append("parent")

    run_family(parent())
    assert noted == ["a", "parent", "b", "a", "b"]
