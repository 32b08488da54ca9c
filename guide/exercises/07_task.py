"""Exercises of chapter 7, solved: python -m pytest guide/exercises/07_task.py"""

from importlib import import_module

chapter7 = import_module("07_task")
Future, Loop, CancelledError = chapter7.Future, chapter7.Loop, chapter7.CancelledError


def test_an_except_for_errors_does_not_catch_a_cancellation():
    """1. Why is CancelledError no Exception? What would become of this task if it were one?"""
    loop = Loop()

    def stubborn():
        while True:
            try:
                yield
            except Exception:
                pass

    task = loop.create_task(stubborn())
    loop.run_once()
    task.cancel()
    loop.run_once()
    assert task.cancelled()


def first_of(loop, tasks):
    """2. The future of the first result; the other tasks are cancelled. Nobody fails."""
    winner = Future(loop)

    def one_is_done(done):
        if not winner.done():
            winner.set_result(done.result())
            for task in tasks:
                task.cancel()

    for task in tasks:
        task.add_done_callback(one_is_done)
    return winner


def test_the_first_result_counts_and_the_others_are_cancelled():
    loop = Loop()

    def turns(number):
        for _ in range(number):
            yield
        return number

    tasks = [loop.create_task(turns(number)) for number in (5, 2, 9)]
    assert loop.run_until_complete(first_of(loop, tasks)) == 2
    loop.run_once()
    assert [task.state for task in tasks] == ["cancelled", "finished", "cancelled"]


def shield(task):
    """3. A future with the task's result. To cancel it leaves the task alone."""
    outside = Future(task.loop)

    def pass_on(done):
        if outside.done():
            return
        if done.cancelled():
            outside.cancel()
        elif done.error is not None:
            outside.set_exception(done.error)
        else:
            outside.set_result(done.value)

    task.add_done_callback(pass_on)
    return outside


def test_a_shielded_task_goes_on_though_who_waits_for_it_is_cancelled():
    loop = Loop()
    job = Future(loop)

    def work():
        return (yield from job)

    def impatient():
        yield from shield(task)

    task = loop.create_task(work())
    waiter = loop.create_task(impatient())
    loop.run_once()
    waiter.cancel()
    loop.run_once()
    assert waiter.cancelled() and not task.done()
    job.set_result("done")
    assert loop.run_until_complete(task) == "done"


def test_a_shield_passes_on_a_result():
    loop = Loop()

    def work():
        yield
        return 1

    assert loop.run_until_complete(shield(loop.create_task(work()))) == 1
