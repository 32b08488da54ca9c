"""What the primitives promise: mutual exclusion, order, and that a wake-up is never lost, whoever is cancelled when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import yieldloop
from tests.conftest import Api

OWN = {
    "stock-loop": Api("own", yieldloop, asyncio.SelectorEventLoop),
    "own-loop": Api("own", yieldloop, yieldloop.new_event_loop),
}


@pytest.fixture(params=OWN)
def own(request: pytest.FixtureRequest) -> Api:
    """Our primitives, on the standard library's loop and on ours: what stock has fixed only lately, or not yet."""
    return OWN[request.param]


async def turns(api: Api, n: int = 3) -> None:
    for _ in range(n):
        await api.m.sleep(0)


async def end(api: Api, *tasks: Any) -> None:
    for task in tasks:
        task.cancel()
    await api.m.gather(*tasks, return_exceptions=True)


# --- Lock --------------------------------------------------------------------------------------------------------------


def test_one_task_at_a_time_holds_the_lock_and_all_get_it_in_order(api: Api) -> None:
    async def main() -> None:
        lock, order, inside = api.m.Lock(), [], 0

        async def rival(name: int) -> None:
            nonlocal inside
            async with lock:
                inside += 1
                await turns(api)
                assert inside == 1 and lock.locked()
                order.append(name)
                inside -= 1

        await api.m.gather(*[rival(i) for i in range(10)])
        assert order == list(range(10)) and not lock.locked()

    api.run(main())


def test_a_free_lock_is_taken_without_giving_up_the_turn(api: Api) -> None:
    lock = api.m.Lock()
    for step in (lock.acquire(), api.m.Semaphore().acquire()):
        with pytest.raises(StopIteration) as ended:
            step.send(None)
        assert ended.value.value is True
    assert lock.locked()
    lock.release()
    with pytest.raises(RuntimeError, match="not acquired"):
        lock.release()


def test_a_newcomer_does_not_overtake_one_who_was_woken(api: Api) -> None:
    async def main() -> None:
        lock, order = api.m.Lock(), []

        async def rival(name: str) -> None:
            async with lock:
                order.append(name)

        await lock.acquire()
        first = api.m.create_task(rival("first"))
        await turns(api)
        lock.release()  # the first is woken, and has not run yet
        assert not lock.locked()
        await rival("newcomer")
        await first
        assert order == ["first", "newcomer"]

    api.run(main())


def test_a_cancelled_waiter_hands_the_lock_on(api: Api) -> None:
    async def main() -> None:
        lock = api.m.Lock()
        await lock.acquire()
        tasks = [api.m.create_task(lock.acquire()) for _ in range(3)]
        await turns(api)
        lock.release()
        tasks[0].cancel()  # woken and cancelled in the same turn
        tasks[1].cancel()  # cancelled while it waits
        assert await api.m.wait_for(tasks[2], 5)
        assert tasks[0].cancelled() and tasks[1].cancelled() and lock.locked()

    api.run(main())


def test_async_with_asks_a_subclass_that_has_its_own_acquire_or_release(api: Api) -> None:
    calls: list[str] = []

    class Direct(api.m.Lock):  # type: ignore[misc,name-defined]
        async def acquire(self) -> Any:
            calls.append("direct")
            return await super().acquire()

    class Mixin:
        async def acquire(self) -> Any:
            calls.append("mixin")
            return await super().acquire()  # type: ignore[misc]

    class Mixed(Mixin, api.m.Lock):  # type: ignore[misc,name-defined]
        pass

    class Releasing(api.m.Lock):  # type: ignore[misc,name-defined]
        def release(self) -> None:
            calls.append("release")
            super().release()

    async def main() -> None:
        for lock in (Direct(), Mixed(), Releasing()):
            async with lock as nothing:
                assert lock.locked() and nothing is None
            assert not lock.locked()

    api.run(main())
    assert calls == ["direct", "mixin", "release"]


def test_a_block_that_gave_its_lock_back_itself_says_so(api: Api) -> None:
    async def main() -> None:
        lock = api.m.Lock()
        with pytest.raises(RuntimeError, match="not acquired"):
            async with lock:
                lock.release()
        async with lock:
            assert lock.locked()

    api.run(main())


def test_a_lock_is_handed_on_when_the_first_in_line_was_cancelled_in_the_same_turn(api: Api) -> None:
    async def main() -> None:
        lock = api.m.Lock()
        async with lock:
            first, second = (api.m.create_task(lock.acquire()) for _ in range(2))
            await turns(api)
            first.cancel()  # its future is done, and it stands in line until its step
        assert await api.m.wait_for(second, 5) and first.cancelled() and lock.locked()

    api.run(main())


# --- belonging to a loop -----------------------------------------------------------------------------------------------


def waits(m: Any) -> list[tuple[Callable[[], Any], Callable[[Any], Any]]]:
    return [
        (m.Lock, lambda lock: lock.acquire()),
        (m.Event, lambda event: event.wait()),
        (lambda: m.Semaphore(0), lambda semaphore: semaphore.acquire()),
        (m.Queue, lambda queue: queue.get()),
    ]


@pytest.mark.parametrize("which", range(4))
def test_who_has_to_wait_binds_the_primitive_to_the_loop(api: Api, which: int) -> None:
    make, wait = waits(api.m)[which]
    primitive = make()
    assert primitive._loop is None

    async def main() -> None:
        if which == 0:
            primitive._locked = True
        task = api.m.create_task(wait(primitive))
        await turns(api)
        assert primitive._loop is api.m.get_running_loop()
        await end(api, task)

    async def elsewhere() -> None:
        with pytest.raises(RuntimeError, match="is bound to a different event loop"):
            await wait(primitive)

    api.run(main())
    api.run(elsewhere())
# --- Event and Condition -----------------------------------------------------------------------------------------------


def test_an_event_wakes_all_who_wait_and_those_who_come_later_do_not_wait(api: Api) -> None:
    async def main() -> None:
        event = api.m.Event()
        tasks = [api.m.create_task(event.wait()) for _ in range(4)]
        await turns(api)
        tasks.pop().cancel()
        event.set()
        event.clear()  # too late for those who were woken
        assert await api.m.gather(*tasks) == [True] * 3 and not event.is_set()
        event.set()
        assert await event.wait() is True and event.is_set() and not event._waiters

    api.run(main())


def test_a_condition_gives_the_lock_back_while_it_waits(api: Api) -> None:
    async def main() -> None:
        condition, seen = api.m.Condition(), []

        async def waiter(name: int) -> None:
            async with condition:
                assert await condition.wait() is True
                assert condition.locked()
                seen.append(name)

        tasks = [api.m.create_task(waiter(i)) for i in range(4)]
        await turns(api)
        assert not condition.locked()
        async with condition:
            condition.notify(2)
            await turns(api)
            assert seen == []  # the lock is ours still
        await turns(api, 5)
        assert seen == [0, 1]
        async with condition:
            condition.notify_all()
        await api.m.gather(*tasks)
        assert seen == [0, 1, 2, 3]

    api.run(main())


def test_wait_for_asks_again_after_each_notification(api: Api) -> None:
    async def main() -> None:
        condition, value = api.m.Condition(), 0  # `value` is guarded by the lock

        async def waiter() -> Any:
            async with condition:
                return await condition.wait_for(lambda: value if value > 2 else 0)

        task = api.m.create_task(waiter())
        for _ in range(3):
            await turns(api, 5)
            async with condition:
                value += 1
                condition.notify()
        assert await task == 3

    api.run(main())


def test_a_condition_without_its_lock_says_so(api: Api) -> None:
    async def main() -> None:
        condition = api.m.Condition()
        with pytest.raises(RuntimeError, match="cannot wait on un-acquired lock"):
            await condition.wait()
        with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
            condition.notify()
        assert condition._lock is not None and not condition._waiters

    api.run(main())


# --- the races ---------------------------------------------------------------------------------------------------------


def test_90155_a_semaphore_serves_in_order_and_loses_no_wake_up(own: Api) -> None:
    """A release between the wake-up and the step of one waiter must not let the others stand."""

    async def main() -> None:
        semaphore, got = own.m.Semaphore(0), []

        async def taker(name: str) -> None:
            await semaphore.acquire()
            got.append(name)

        tasks = [own.m.create_task(taker(name)) for name in "abc"]
        await turns(own)
        semaphore.release()
        tasks[0].cancel()  # woken, then cancelled: its permit goes to b
        semaphore.release()
        await turns(own, 5)
        assert got == ["b", "c"] and tasks[0].cancelled() and semaphore._value == 0
        await end(own, *tasks)

    own.run(main())


def test_90155_a_newcomer_takes_no_permit_that_a_waiter_was_woken_for(own: Api) -> None:
    async def main() -> None:
        semaphore, got = own.m.Semaphore(1), []

        async def taker(name: str) -> None:
            async with semaphore:
                got.append(name)

        await semaphore.acquire()
        waiting = own.m.create_task(taker("waiting"))
        await turns(own)
        semaphore.release()
        assert semaphore.locked()
        await taker("newcomer")
        assert got == ["waiting", "newcomer"] and await waiting is None and semaphore._value == 1

    own.run(main())


def test_111693_permits_released_while_waiters_are_cancelled_reach_the_others(own: Api) -> None:
    async def main() -> None:
        semaphore = own.m.Semaphore(0)
        tasks = [own.m.create_task(semaphore.acquire()) for _ in range(6)]
        await turns(own)
        for task in tasks[:3]:
            semaphore.release()
            task.cancel()
        await turns(own, 6)
        assert [task.cancelled() for task in tasks[:3]] == [True] * 3
        assert [task.done() and task.result() for task in tasks[3:]] == [True] * 3 and semaphore._value == 0

    own.run(main())


def test_111693_a_condition_raises_the_very_cancellation_that_it_got(own: Api) -> None:
    """The lock is fought for again after a cancellation; what comes out is the last CancelledError, message and all."""

    async def main() -> None:
        caught = []

        class Spying(own.m.Lock):  # type: ignore[misc,name-defined]
            async def acquire(self) -> Any:
                try:
                    return await super().acquire()
                except own.m.CancelledError as exc:
                    caught.append(exc)
                    raise

        condition = own.m.Condition(Spying())

        async def waiter() -> None:
            async with condition:
                try:
                    await condition.wait()
                except own.m.CancelledError as exc:
                    assert condition.locked()
                    caught.append(exc)
                    raise

        task = own.m.create_task(waiter())
        await turns(own)
        async with condition:
            task.cancel("first")
            await turns(own)  # it waits for the lock now
            task.cancel("second")
            await turns(own)
        with pytest.raises(own.m.CancelledError):
            await task
        assert len(caught) == 2 and caught[0] is caught[1] and caught[1].args == ("second",)
        assert not condition.locked()

    own.run(main())


@pytest.mark.parametrize("when", ["notified", "waiting for the lock"])
def test_112202_a_notification_whose_task_is_cancelled_goes_to_another(own: Api, when: str) -> None:
    async def main() -> None:
        condition, woken = own.m.Condition(), []

        async def waiter(name: str) -> None:
            async with condition:
                await condition.wait()
                woken.append(name)

        first, second = (own.m.create_task(waiter(name)) for name in ("first", "second"))
        await turns(own)
        async with condition:
            condition.notify()
            if when == "waiting for the lock":
                await turns(own)
            first.cancel()
        await own.m.wait_for(second, 5)
        assert woken == ["second"] and first.cancelled() and not condition.locked()

    own.run(main())


# --- Semaphore and Barrier ---------------------------------------------------------------------------------------------


def test_a_semaphore_lets_so_many_in_and_no_more(api: Api) -> None:
    async def main() -> None:
        semaphore, inside, most = api.m.Semaphore(3), 0, 0

        async def guest() -> None:
            nonlocal inside, most
            async with semaphore:
                inside += 1
                most = max(most, inside)
                await turns(api)
                inside -= 1

        await api.m.gather(*[guest() for _ in range(10)])
        assert most == 3 and semaphore._value == 3 and not semaphore.locked()

    api.run(main())


def test_semaphores_refuse_nonsense(api: Api) -> None:
    with pytest.raises(ValueError, match=">= 0"):
        api.m.Semaphore(-1)
    bounded = api.m.BoundedSemaphore(2)
    with pytest.raises(ValueError, match="released too many times"):
        bounded.release()
    with pytest.raises(ValueError, match="parties must be"):
        api.m.Barrier(0)


def test_a_barrier_lets_all_go_on_together_round_after_round(api: Api) -> None:
    async def main() -> None:
        barrier = api.m.Barrier(3)

        async def party() -> list[int]:
            return [await barrier.wait() for _ in range(4)]

        places = await api.m.gather(*[party() for _ in range(3)])
        for together in zip(*places, strict=True):
            assert sorted(together) == [0, 1, 2]
        assert barrier.n_waiting == 0 and barrier.parties == 3 and not barrier.broken

    api.run(main())


def test_a_cancelled_party_leaves_its_place_free(api: Api) -> None:
    async def main() -> None:
        barrier = api.m.Barrier(2)
        gone = api.m.create_task(barrier.wait())
        await turns(api)
        assert barrier.n_waiting == 1
        gone.cancel()
        await turns(api, 5)
        assert barrier.n_waiting == 0 and gone.cancelled()
        assert sorted(await api.m.gather(barrier.wait(), barrier.wait())) == [0, 1]

    api.run(main())


@pytest.mark.parametrize("how", ["abort", "reset"])
def test_who_waits_at_a_barrier_that_is_broken_or_reset_gets_an_error(api: Api, how: str) -> None:
    async def main() -> None:
        barrier = api.m.Barrier(3)
        tasks = [api.m.create_task(barrier.wait()) for _ in range(2)]
        await turns(api)
        await getattr(barrier, how)()
        results = await api.m.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.BrokenBarrierError] * 2
        assert barrier.broken == (how == "abort")
        if how == "abort":
            with pytest.raises(asyncio.BrokenBarrierError):
                await barrier.wait()
            await barrier.reset()
        assert sorted(await api.m.gather(*[barrier.wait() for _ in range(3)])) == [0, 1, 2]

    api.run(main())


# --- what can be asked -------------------------------------------------------------------------------------------------


def test_the_repr_shows_state_and_waiters(api: Api) -> None:
    async def main() -> None:
        lock, event, semaphore = api.m.Lock(), api.m.Event(), api.m.Semaphore(2)
        assert repr(lock).endswith(" [unlocked]>") and repr(event).endswith(" [unset]>")
        assert repr(semaphore).endswith(" [unlocked, value:2]>")
        assert repr(api.m.Condition(lock)).endswith(" [unlocked]>")
        assert repr(api.m.Barrier(2)).endswith(" [filling, waiters:0/2]>")
        await lock.acquire()
        await semaphore.acquire()
        await semaphore.acquire()
        waiting = [lock.acquire(), lock.acquire(), event.wait(), semaphore.acquire()]
        tasks = [api.m.create_task(coro) for coro in waiting]
        await turns(api)
        assert repr(lock).endswith(" [locked, waiters:2]>") and len(lock._waiters) == 2
        assert repr(event).endswith(" [unset, waiters:1]>")
        assert repr(semaphore).endswith(" [locked, waiters:1]>")
        await end(api, *tasks)
        assert repr(lock).endswith(" [locked]>")

    api.run(main())
