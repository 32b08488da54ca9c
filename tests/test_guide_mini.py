"""The guide's mini asyncio (guide/mini.py) in asyncio's place: a named part of the project's own tests, and what only it promises.

Then chapter 13: that its map leaves nothing out and points at what is there, and that its measurement runs.

What lives here: the list of the tests that it has to pass, by their import. They are the same functions that test asyncio and
yieldloop; the fixtures of this module are found before those of conftest.py, and give them the mini asyncio. What may not: a test
of yieldloop. (Its HTTP is tested by chapter 12, against the standard library's client and server.) Nothing here is compiled, so one
leg is enough.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import mini
import mini_streams
import yieldloop
from tests import test_streams
from tests.test_aio_locks import (  # noqa: F401
    test_a_block_that_gave_its_lock_back_itself_says_so,
    test_a_cancelled_waiter_hands_the_lock_on,
    test_a_lock_is_handed_on_when_the_first_in_line_was_cancelled_in_the_same_turn,
    test_async_with_asks_a_subclass_that_has_its_own_acquire_or_release,
    test_one_task_at_a_time_holds_the_lock_and_all_get_it_in_order,
)
from tests.test_aio_timeouts import (  # noqa: F401
    test_a_cancellation_from_outside_is_not_taken_for_a_timeout,
    test_a_limit_inside_a_task_that_was_cancelled_before_still_works,
)
from tests.test_aio_waiting import (  # noqa: F401
    test_cancelling_gather_cancels_its_children_and_is_not_turned_into_results,
    test_gather_raises_the_first_exception_and_lets_the_others_run_on,
    test_gather_returns_exceptions_as_results_if_asked,
    test_wait_for_returns_what_a_refusing_coroutine_gives,
    test_wait_for_swallows_no_cancellation_that_comes_with_the_result,
)
from tests.test_loop import (  # noqa: F401
    test_a_delay_that_is_not_positive_means_soon,
    test_a_sleeping_loop_is_woken_each_time,
    test_ctrl_c_cancels_the_main_task_and_becomes_keyboard_interrupt,
    test_timers_follow_a_clock_put_in_their_place,
    test_timers_never_fire_early_and_in_order,
    test_to_thread_and_back,
)
from tests.test_order import (  # noqa: F401
    test_a_task_first_runs_after_what_was_ready_before_it,
    test_a_wake_up_takes_its_place_among_callbacks,
    test_callbacks_run_in_the_order_of_their_scheduling,
    test_tasks_take_turns,
    test_timers_with_one_deadline_fire_in_the_order_of_arming,
    test_waiters_and_callbacks_of_one_future_are_told_oldest_first,
    test_what_becomes_ready_meanwhile_waits_for_the_next_iteration,
)
from tests.test_streams import test_writing_to_a_peer_that_is_gone_ends_in_an_error  # noqa: F401
from tests.test_tasks import (  # noqa: F401
    test_a_done_future_refuses_a_second_result,
    test_a_keyboard_interrupt_in_a_task_ends_the_run,
    test_a_pending_task_is_held_by_its_loop,
    test_a_task_cancelled_before_its_first_step_never_runs,
    test_a_task_cancelled_by_itself_in_its_last_step_is_cancelled,
    test_a_task_may_refuse_to_be_cancelled_and_uncancel,
    test_an_exception_is_raised_where_the_task_is_awaited,
    test_any_value_passes_through_a_future_unchanged,
    test_cancellation_arrives_where_the_coroutine_waits,
    test_the_result_of_the_coroutine_is_the_result_of_the_task,
)

pytestmark = pytest.mark.skipif(not yieldloop.compiled(), reason="one leg is enough: the guide needs nothing compiled")
chapter13 = import_module("13_to_the_real_one")
MINI = SimpleNamespace(**vars(mini), **{name: value for name, value in vars(mini_streams).items() if not hasattr(mini, name)})


class Mini:
    """What conftest.Api is for the others: the module `m`, and `run`."""

    name, ours, m, new_loop = "mini", True, MINI, mini.Loop

    def run(self, coro: Any) -> Any:
        return mini.run(coro)


@pytest.fixture
def api() -> Mini:
    return Mini()


own = ours = api


@pytest.fixture
def loop() -> Iterator[Any]:
    made = mini.Loop()
    yield made
    made.close()


our_loop = loop


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Mini:
    monkeypatch.setattr(test_streams, "asyncio", MINI)
    return Mini()


# --- what only it promises -----------------------------------------------------------------------------------------------


def test_much_data_to_a_slow_reader_arrives_whole_and_makes_the_writer_wait(api: Mini) -> None:
    data, written = bytes(range(256)) * 40_000, []

    async def send(reader: Any, writer: Any) -> None:
        for at in range(0, len(data), 100_000):
            writer.write(data[at : at + 100_000])
            await writer.drain()
            written.append(at)

    async def main() -> None:
        server = await MINI.start_server(send, "127.0.0.1", 0)
        reader, writer = await MINI.open_connection(*server.sockets[0].getsockname())
        got = await reader.readexactly(1000)
        await MINI.sleep(0.05)  # as slow as that: the kernel's buffers are full by now
        assert len(written) < len(data) // 100_000
        assert got + await reader.read() == data
        writer.close()
        server.close()
        await server.wait_closed()

    api.run(main())


def test_who_reads_from_a_connection_that_is_closed_meanwhile_goes_on(api: Mini) -> None:
    async def main() -> None:
        server = await MINI.start_server(lambda reader, writer: reader.read(), "127.0.0.1", 0)
        reader, writer = await MINI.open_connection(*server.sockets[0].getsockname())
        reading = MINI.create_task(reader.readline())
        await MINI.sleep(0)
        writer.close()
        assert await reading == b""
        server.close()
        await server.wait_closed()

    api.run(main())


def test_a_connection_that_is_refused_raises_and_leaves_no_socket(api: Mini) -> None:
    async def main() -> None:
        server = await MINI.start_server(print, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        server.close()  # before its task has taken its first step
        await server.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            await MINI.open_connection(*address)

    api.run(main())


# --- chapter 13, and the pictures --------------------------------------------------------------------------------------


def names_in(path: Path) -> list[str]:
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    return [node.name for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]


def test_the_map_names_every_piece_of_the_mini_asyncio() -> None:
    mapped = {name for _, name, *_ in chapter13.MAP}
    for module in mini, mini_streams:
        assert [name for name in names_in(Path(module.__file__)) if name not in mapped] == []


@pytest.mark.parametrize("pointer", [pointer for _, _, *pointers in chapter13.MAP for pointer in pointers if "::" in pointer])
def test_the_map_gives_the_line_where_the_piece_is(pointer: str) -> None:
    file, line = chapter13.place(pointer)
    name = pointer.rpartition("::")[2].rpartition(".")[2]
    assert file.read_text(encoding="utf-8").splitlines()[line - 1].split("(")[0].rstrip(":").endswith(f" {name}")


@pytest.mark.parametrize("module", ["mini", "yieldloop"])
@pytest.mark.parametrize("job", [job for job, _ in chapter13.JOBS], ids=lambda job: job.__name__)
def test_what_is_measured_runs_on_both(module: str, job: Any) -> None:
    m = import_module(module)
    m.run(job(m, mini_streams if module == "mini" else m, 10))


def test_the_pictures_that_are_drawn_from_data_are_up_to_date(tmp_path: Path) -> None:
    guide = Path(chapter13.__file__).parent
    subprocess.run([sys.executable, guide / "tools" / "pictures.py", tmp_path], check=True)
    drawn = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert len(drawn) == 6
    assert [name for name in drawn if drawn[name] != (guide / "pictures" / name).read_text(encoding="utf-8")] == []
