"""Exercises of chapter 13, solved: python -m pytest guide/exercises/13_to_the_real_one.py"""

import collections
import contextlib
import contextvars
import gc
import io

import mini
import yieldloop


def steps_by_task(make_main):
    """1. How often each task was resumed, by name: the engine tells whoever has put himself into its one slot for a probe."""
    steps = collections.Counter()

    class Counting(yieldloop.Probe):
        def task_stepped(self, task):
            steps[task.get_name()] += 1

    async def main():
        yieldloop.get_running_loop().probe = Counting()
        await make_main()

    yieldloop.run(main())
    return steps


def test_the_probe_counts_the_steps():
    async def turns(number):
        for _ in range(number):
            await yieldloop.sleep(0)

    async def main():
        tasks = [yieldloop.create_task(turns(number), name=f"{number} turns") for number in (2, 5)]
        await yieldloop.gather(*tasks)

    steps = steps_by_task(main)
    assert steps["2 turns"] == 3 and steps["5 turns"] == 6


def test_an_error_that_nobody_asks_for_is_reported_by_the_real_one_only():
    """2. What becomes of the error of a task for which nobody waits?"""
    reports = []

    def run_on(module, watch):
        async def fail():
            raise LookupError("lost")

        async def main():
            if watch:
                module.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context["message"]))
            module.create_task(fail())
            await module.sleep(0)
            await module.sleep(0)
            gc.collect()

        module.run(main())

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        run_on(mini, watch=False)
    assert said.getvalue() == ""
    run_on(yieldloop, watch=True)
    assert reports == ["Task exception was never retrieved"]


def test_each_task_of_the_real_one_has_its_own_context():
    """3. What does the mini asyncio do to context variables?"""
    request = contextvars.ContextVar("request")

    def run_on(module):
        seen = []

        async def handle(number):
            request.set(number)
            await module.sleep(0)
            seen.append(request.get())

        async def main():
            await module.gather(*map(handle, range(3)))

        contextvars.copy_context().run(module.run, main())
        return seen

    assert run_on(yieldloop) == [0, 1, 2]
    assert run_on(mini) == [2, 2, 2]
