"""The loop's own pool: a `ThreadPoolExecutor` to everybody, and a shorter way for the loop's jobs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from typing import Any

import pytest

from tests.conftest import Api


async def jobs(loop: Any, count: int, function: Any) -> list[Any]:
    return list(await asyncio.gather(*(loop.run_in_executor(None, function, i) for i in range(count))))


def test_results_come_back_to_their_callers(api: Api) -> None:
    async def main() -> None:
        loop = api.m.get_running_loop()
        assert await jobs(loop, 200, lambda i: i * i) == [i * i for i in range(200)]
        assert await api.m.to_thread(lambda: threading.current_thread() is threading.main_thread()) is False

    api.run(main())


def test_what_a_job_raises_is_raised_where_it_is_awaited(api: Api) -> None:
    async def main() -> None:
        loop = api.m.get_running_loop()
        errors: list[BaseException] = [ValueError("v"), KeyError("k"), concurrent.futures.CancelledError("c")]
        if api.ours:  # the standard library's waits for ever, up to Python 3.11
            errors.append(StopIteration(3))
        for error in errors:

            def job(error: BaseException = error) -> None:
                raise error

            with pytest.raises(BaseException) as caught:
                await loop.run_in_executor(None, job)
            if isinstance(error, concurrent.futures.CancelledError):
                assert type(caught.value) is asyncio.CancelledError
            elif isinstance(error, StopIteration):
                assert isinstance(caught.value, RuntimeError)
            else:
                assert caught.value is error

    api.run(main())


def test_a_cancelled_job_that_waits_is_never_begun(api: Api) -> None:
    async def main() -> None:
        loop = api.m.get_running_loop()
        go, began = threading.Event(), []  # type: ignore[var-annotated]
        blocked = [loop.run_in_executor(None, go.wait) for _ in range(64)]  # more than there are threads
        late = loop.run_in_executor(None, began.append, 1)
        late.cancel()
        await asyncio.sleep(0)  # the standard library tells the pool by a callback
        go.set()
        await asyncio.gather(*blocked)
        with pytest.raises(asyncio.CancelledError):
            await late
        assert await loop.run_in_executor(None, int) == 0
        assert began == []

    api.run(main())


def test_a_cancelled_job_that_runs_goes_on_and_its_result_is_dropped(api: Api) -> None:
    async def main() -> None:
        loop = api.m.get_running_loop()
        begun, go, over = threading.Event(), threading.Event(), threading.Event()

        def job() -> None:
            begun.set()
            go.wait()
            over.set()

        running = loop.run_in_executor(None, job)
        await loop.run_in_executor(None, begun.wait)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        go.set()
        await loop.run_in_executor(None, over.wait)

    api.run(main())


def test_the_default_pool_is_an_executor_as_others(ours: Api) -> None:
    async def main() -> None:
        loop = ours.m.get_running_loop()
        await loop.run_in_executor(None, int)
        pool = loop._default_executor
        assert isinstance(pool, concurrent.futures.ThreadPoolExecutor)
        assert await loop.run_in_executor(pool, pow, 2, 3) == 8
        assert await asyncio.wrap_future(pool.submit(pow, 3, base := 2)) == 9 and base == 2
        assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]
        failed = pool.submit(int, "no number")
        assert isinstance(failed.exception(), ValueError)
        assert pool.running() == [] and not pool.jobs

    ours.run(main())


def test_threads_are_started_for_jobs_that_find_none_idle_and_used_again(ours: Api) -> None:
    async def main() -> None:
        loop = ours.m.get_running_loop()
        await loop.run_in_executor(None, int)
        pool = loop._default_executor
        for _ in range(50):
            while not pool._idle:  # the job is over, its thread may not be back yet
                await asyncio.sleep(0)
            await loop.run_in_executor(None, int)
        assert len(pool._threads) == 1
        meeting = threading.Barrier(3)
        await jobs(loop, 3, lambda _: meeting.wait(20))
        assert len(pool._threads) == 3

    ours.run(main())


def test_a_pool_shut_down_by_its_owner_cancels_what_waits_and_takes_no_more(ours: Api) -> None:
    async def main() -> None:
        loop = ours.m.get_running_loop()
        go = threading.Event()
        waiting = [loop.run_in_executor(None, go.wait) for _ in range(64)]
        pool = loop._default_executor
        pool.shutdown(wait=False, cancel_futures=True)
        go.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        ran = results.count(True)
        assert 1 <= ran < 64
        assert sum(isinstance(result, asyncio.CancelledError) for result in results) == 64 - ran
        with pytest.raises(RuntimeError, match="after shutdown"):
            loop.run_in_executor(None, int)

    ours.run(main())


def test_a_job_that_ends_after_its_loop_is_dropped(ours: Api) -> None:
    go, over = threading.Event(), threading.Event()
    loop = ours.new_loop()

    def job() -> None:
        go.wait()
        over.set()

    async def begin() -> None:
        loop.run_in_executor(None, job)

    loop.run_until_complete(begin())
    loop.close()  # does not wait for the pool
    go.set()
    assert over.wait(20)


def test_context_is_the_callers_with_to_thread(api: Api) -> None:
    var: contextvars.ContextVar[int] = contextvars.ContextVar("var", default=0)

    async def main() -> None:
        var.set(7)
        assert await api.m.to_thread(var.get) == 7

    api.run(main())
