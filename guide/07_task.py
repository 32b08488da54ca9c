"""Chapter 7: Task, which drives a generator, and cancellation, which is an exception."""

from importlib import import_module

chapter6 = import_module("06_future")
Future, CancelledError = chapter6.Future, chapter6.CancelledError


class Task(Future):
    """Drives a generator from step to step. It is itself the future of what the generator returns."""

    def __init__(self, loop, generator):
        super().__init__(loop)
        self.generator = generator
        self.parked_on = None  # the future that the generator waits for
        self.must_cancel = False  # cancel() was called and the generator has not heard of it yet
        loop.call_soon(self.step)

    def step(self, error=None):
        """Resume the generator, or throw `error` into it, and look at what it did."""
        self.parked_on = None
        if self.must_cancel:
            self.must_cancel, error = False, CancelledError()
        try:
            yielded = self.generator.send(None) if error is None else self.generator.throw(error)
        except StopIteration as end:
            self.set_result(end.value)
        except CancelledError:
            super().cancel()
        except Exception as error:
            self.set_exception(error)
        else:
            self.park(yielded)

    def park(self, yielded):
        if yielded is None:  # a bare yield: only let the others have a turn
            self.loop.call_soon(self.step)
        elif isinstance(yielded, Future):
            self.parked_on = yielded
            yielded.add_done_callback(self.wake)
            if self.must_cancel and yielded.cancel():
                self.must_cancel = False
        else:
            self.loop.call_soon(self.step, TypeError(f"a task must yield a future or nothing, not {yielded!r}"))

    def wake(self, future):
        self.step()

    def cancel(self):
        """Have CancelledError raised where the generator is parked. False if it is over already."""
        if self.done():
            return False
        if self.parked_on is None or not self.parked_on.cancel():
            self.must_cancel = True
        return True


class Loop(chapter6.Loop):
    def create_task(self, generator):
        return Task(self, generator)


def worker(name, job):
    print(f"  {name}: begins")
    try:
        result = yield from job
        print(f"  {name}: got {result}")
        return result
    except CancelledError:
        print(f"  {name}: cancelled")
        raise
    finally:
        print(f"  {name}: cleans up")


def manager(loop, job):
    """Starts a worker and waits for it: a task is a future."""
    task = loop.create_task(worker("worker", job))
    result = yield from task
    return result * 2


def main():
    loop = Loop()

    print("a task waits for a task")
    job = Future(loop)
    task = loop.create_task(manager(loop, job))
    loop.run_once()
    loop.run_once()
    print(" ", task, "parked on", task.parked_on, "parked on", task.parked_on.parked_on)
    job.set_result(21)
    print("  the result is", loop.run_until_complete(task))

    print("an error is raised where somebody waits for it")
    job = Future(loop)
    task = loop.create_task(manager(loop, job))
    loop.call_soon(job.set_exception, ValueError("no paper left"))
    try:
        loop.run_until_complete(task)
    except ValueError as error:
        print("  main:", error)

    print("cancel() goes down to where the task is parked, the error comes up from there")
    job = Future(loop)
    task = loop.create_task(manager(loop, job))
    loop.run_once()
    loop.run_once()
    task.cancel()
    print("  right after cancel():", task, job)
    try:
        loop.run_until_complete(task)
    except CancelledError:
        print("  main:", task)

    print("cancelled before its first step, a task never begins")
    task = loop.create_task(worker("worker", job))
    task.cancel()
    loop.run_once()
    print(" ", task)

    print("a wrong yield is answered where it stands")

    def wrong():
        try:
            yield 42
        except TypeError as error:
            print("  wrong:", error)

    loop.run_until_complete(loop.create_task(wrong()))


if __name__ == "__main__":
    main()
