"""What the queues promise: order, room, shutdown, and that no item and no wake-up is lost to a cancellation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import yieldloop
from tests.conftest import Api
from yieldloop.errors import QueueShutDown

OWN = {
    "stock-loop": Api("own", yieldloop, asyncio.SelectorEventLoop),
    "own-loop": Api("own", yieldloop, yieldloop.new_event_loop),
}


@pytest.fixture(params=OWN)
def own(request: pytest.FixtureRequest) -> Api:
    """Our queues, on the standard library's loop and on ours: for `shutdown`, which stock has from 3.13 on."""
    return OWN[request.param]


async def turns(api: Api, n: int = 3) -> None:
    for _ in range(n):
        await api.m.sleep(0)


@pytest.mark.parametrize(
    ("kind", "order"), [("Queue", [3, 1, 2]), ("PriorityQueue", [1, 2, 3]), ("LifoQueue", [2, 1, 3])]
)
def test_each_kind_has_its_order(api: Api, kind: str, order: list[int]) -> None:
    queue = getattr(api.m, kind)()
    for item in (3, 1, 2):
        queue.put_nowait(item)
    assert queue.qsize() == 3 and not queue.empty() and not queue.full()
    assert [queue.get_nowait() for _ in range(3)] == order
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()


def test_putters_wait_for_room_and_getters_for_items_in_order(api: Api) -> None:
    async def main() -> None:
        queue = api.m.Queue(2)
        assert queue.maxsize == 2
        putters = [api.m.create_task(queue.put(i)) for i in range(6)]
        await turns(api)
        assert queue.full() and [task.done() for task in putters] == [True] * 2 + [False] * 4
        with pytest.raises(asyncio.QueueFull):
            queue.put_nowait("no room")
        assert [await queue.get() for _ in range(6)] == list(range(6))
        await api.m.gather(*putters)
        getters = [api.m.create_task(queue.get()) for _ in range(3)]
        await turns(api)
        for i in range(3):
            await queue.put(i)
        assert await api.m.gather(*getters) == [0, 1, 2] and queue.empty()

    api.run(main())


def test_a_queue_with_an_item_does_not_make_the_getter_give_up_its_turn(api: Api) -> None:
    queue = api.m.Queue()
    for step, value in ((queue.put("item"), None), (queue.get(), "item")):
        with pytest.raises(StopIteration) as ended:
            step.send(None)
        assert ended.value.value == value


def test_many_producers_and_consumers_lose_and_double_nothing(api: Api) -> None:
    async def main() -> None:
        queue, got = api.m.Queue(3), []

        async def produce(start: int) -> None:
            for i in range(start, start + 100):
                await queue.put(i)

        async def consume() -> None:
            while True:
                got.append(await queue.get())
                queue.task_done()

        consumers = [api.m.create_task(consume()) for _ in range(3)]
        await api.m.gather(*[produce(i * 100) for i in range(4)])
        await queue.join()
        for task in consumers:
            task.cancel()
        await api.m.gather(*consumers, return_exceptions=True)
        assert sorted(got) == list(range(400))
        assert [i for i in got if i < 100] == list(range(100))

    api.run(main())


def test_a_getter_woken_and_cancelled_takes_no_item_with_it(api: Api) -> None:
    async def main() -> None:
        queue = api.m.Queue()
        first, second = (api.m.create_task(queue.get()) for _ in range(2))
        await turns(api)
        queue.put_nowait("item")
        first.cancel()
        assert await api.m.wait_for(second, 5) == "item"
        assert first.cancelled() and not queue._getters

    api.run(main())


def test_a_putter_woken_and_cancelled_leaves_the_room_to_the_next(api: Api) -> None:
    async def main() -> None:
        queue = api.m.Queue(1)
        queue.put_nowait("first")
        gone, stays = (api.m.create_task(queue.put(name)) for name in ("gone", "stays"))
        await turns(api)
        assert queue.get_nowait() == "first"
        gone.cancel()
        await api.m.wait_for(stays, 5)
        assert queue.get_nowait() == "stays" and not queue._putters

    api.run(main())


def test_those_cancelled_while_they_wait_do_not_stay_in_line(api: Api) -> None:
    async def main() -> None:
        queue = api.m.Queue(1)
        getters = [api.m.create_task(queue.get()) for _ in range(3)]
        await turns(api)
        for task in getters:
            task.cancel()
        await api.m.gather(*getters, return_exceptions=True)
        assert not queue._getters
        queue.put_nowait(1)
        putter = api.m.create_task(queue.put(2))
        await turns(api)
        assert len(queue._putters) == 1
        putter.cancel()
        await api.m.gather(putter, return_exceptions=True)
        assert not queue._putters

    api.run(main())


def test_join_waits_until_each_item_is_reported_as_done(api: Api) -> None:
    async def main() -> None:
        queue = api.m.Queue()
        await queue.join()
        queue.put_nowait(1)
        queue.put_nowait(2)
        joined = api.m.create_task(queue.join())
        await turns(api)
        queue.task_done()
        await turns(api)
        assert not joined.done()
        queue.task_done()
        await joined
        with pytest.raises(ValueError, match="called too many times"):
            queue.task_done()
        queue.put_nowait(3)
        assert not queue._finished.is_set() and queue._unfinished_tasks == 1

    api.run(main())


# --- shutdown ----------------------------------------------------------------------------------------------------------


def test_after_shutdown_nothing_goes_in_and_what_is_inside_comes_out(own: Api) -> None:
    async def main() -> None:
        queue = own.m.Queue(2)
        queue.put_nowait(1)
        queue.shutdown()
        assert "shutdown" in repr(queue) and queue._is_shutdown
        with pytest.raises(QueueShutDown):
            queue.put_nowait(2)
        with pytest.raises(QueueShutDown):
            await queue.put(2)
        assert await queue.get() == 1
        with pytest.raises(QueueShutDown):
            await queue.get()
        with pytest.raises(QueueShutDown):
            queue.get_nowait()
        queue.task_done()
        await queue.join()

    own.run(main())


def test_shutdown_at_once_throws_away_what_is_inside_and_counts_it_as_done(own: Api) -> None:
    async def main() -> None:
        queue = own.m.Queue()
        for i in range(3):
            queue.put_nowait(i)
        assert await queue.get() == 0
        joined = own.m.create_task(queue.join())
        await turns(own)
        queue.shutdown(immediate=True)
        assert queue.empty() and queue._unfinished_tasks == 1
        await turns(own)
        assert not joined.done()  # item 0 is still in work
        queue.task_done()
        await joined

    own.run(main())


@pytest.mark.parametrize("immediate", [False, True])
@pytest.mark.parametrize("side", ["get", "put"])
def test_shutdown_wakes_all_who_wait(own: Api, side: str, immediate: bool) -> None:
    async def main() -> None:
        queue = own.m.Queue(1)
        if side == "put":
            queue.put_nowait(0)
        calls = [queue.put(i) if side == "put" else queue.get() for i in range(3)]
        tasks = [own.m.create_task(call) for call in calls]
        await turns(own)
        queue.shutdown(immediate)
        results = await own.m.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [QueueShutDown] * 3

    own.run(main())


def test_the_shutdown_error_is_one_class_for_everybody(own: Api) -> None:
    assert own.m.QueueShutDown is QueueShutDown
    assert QueueShutDown is getattr(asyncio, "QueueShutDown", QueueShutDown)
    assert own.m.QueueEmpty is asyncio.QueueEmpty and own.m.QueueFull is asyncio.QueueFull


# --- subclasses and repr -----------------------------------------------------------------------------------------------


def test_a_subclass_decides_how_items_are_kept(api: Api) -> None:
    class Once(api.m.Queue):  # type: ignore[misc,name-defined]
        def _init(self, maxsize: int) -> None:
            self._queue = {}

        def _put(self, item: Any) -> None:
            self._queue[item] = None

        def _get(self) -> Any:
            return self._queue.popitem()[0]

    class Elsewhere(api.m.Queue):  # type: ignore[misc,name-defined]
        def _init(self, maxsize: int) -> None:
            self.shelf: list[Any] = []

        def qsize(self) -> int:
            return len(self.shelf)

        def empty(self) -> bool:
            return not self.shelf

        def _put(self, item: Any) -> None:
            self.shelf.insert(0, item)

        def _get(self) -> Any:
            return self.shelf.pop(0)

    async def main() -> None:
        once = Once()
        for item in (1, 2, 2):
            await once.put(item)
        assert once.qsize() == 2 and await once.get() == 2
        elsewhere = Elsewhere(2)
        for item in (1, 2):
            await elsewhere.put(item)
        waiting = api.m.create_task(elsewhere.put(3))
        await turns(api)
        assert elsewhere.full() and not waiting.done()
        assert await elsewhere.get() == 2
        await waiting
        assert [await elsewhere.get(), await elsewhere.get()] == [3, 1] and elsewhere.empty()

    api.run(main())


def test_put_and_get_ask_a_subclass_that_counts(api: Api) -> None:
    class Counting(api.m.Queue):  # type: ignore[misc,name-defined]
        puts = gets = 0

        def put_nowait(self, item: Any) -> None:
            super().put_nowait(item)
            self.puts += 1

        def get_nowait(self) -> Any:
            self.gets += 1
            return super().get_nowait()

    async def main() -> None:
        queue = Counting(1)
        putters = [api.m.create_task(queue.put(i)) for i in range(3)]
        assert [await queue.get() for _ in range(3)] == [0, 1, 2]
        await api.m.gather(*putters)
        assert queue.puts == queue.gets == 3

    api.run(main())


def test_the_repr_shows_items_and_who_waits(api: Api) -> None:
    async def main() -> None:
        queue = api.m.Queue(1)
        assert queue._format() == "maxsize=1" and str(queue) == "<Queue maxsize=1>"
        assert repr(queue) == f"<Queue at {id(queue):#x} maxsize=1>"
        getter = api.m.create_task(queue.get())
        await turns(api)
        assert queue._format() == "maxsize=1 _getters[1]"
        queue.put_nowait(1)
        await getter
        queue.put_nowait(2)
        putter = api.m.create_task(queue.put(3))
        await turns(api)
        assert queue._format() == "maxsize=1 _queue=[2] _putters[1] tasks=2"
        assert queue.get_nowait() == 2
        await putter

    api.run(main())


def test_a_queue_can_be_given_its_type(api: Api) -> None:
    alias = api.m.Queue[int]
    assert alias.__origin__ is api.m.Queue and alias.__args__ == (int,)
    assert type(alias(3)) is api.m.Queue
