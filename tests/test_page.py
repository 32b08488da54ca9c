"""The page of a recording, looked at in a real Chromium: what a click shows, what keys do, how fast a large one is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import yieldloop.watch.page
from tests.browser import browser
from tests.recordings import synthetic
from yieldloop.watch.page import render

__all__ = ["browser"]

Show = Callable[..., Any]


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Show]:
    """Opens the page of a payload as the file that `yieldloop open` writes; whatever it logs as an error fails the test."""
    errors: list[str] = []
    contexts = []

    def open_page(payload: dict[str, Any], **context: Any) -> Any:
        (tmp_path / "page.html").write_text(render(payload), encoding="utf-8")
        contexts.append(browser.new_context(viewport={"width": 1400, "height": 820}, **context))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
        page.on("request", lambda request: errors.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_selector("nav")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors


def payload(**more: Any) -> dict[str, Any]:
    return {"kind": "recording", "title": "app.py", "recording": synthetic(**more)}


def chain(page: Any) -> list[str]:
    page.wait_for_selector(".details .chain .end")
    return [text.replace("\n", " ") for text in page.locator(".details .chain li").all_inner_texts()]


EXPECTED = ["serve coroutine app/main.py:23", "Store.load coroutine app/store.py:44", "rows async generator app/store.py:61"]


def test_a_click_on_a_task_shows_its_chain_down_to_what_it_waits_for(show: Show) -> None:
    page = show(payload())
    page.click("role=tab[name^=Tasks]")
    page.click('[data-task="3"]')
    assert page.inner_text(".details h2") == "serve-3"
    shown = chain(page)
    assert shown[:3] == EXPECTED
    assert shown[3].startswith("Queue 'jobs' get")


def test_a_link_without_a_frame_is_shown_by_its_name(show: Show) -> None:
    document = payload()
    [task] = [task for task in document["recording"]["snapshot"]["loops"][0]["tasks"] if task["id"] == 3]
    task["chain"][2:] = [{"kind": "awaitable", "name": "sleep", "file": None, "line": None}]
    page = show(document)
    page.keyboard.press("2")
    page.click('[data-task="3"]')
    assert chain(page)[:3] == [*EXPECTED[:2], "sleep awaitable"]


def test_of_a_task_that_is_done_the_last_recorded_wait_is_shown(show: Show) -> None:
    document = payload(events=4000)
    [loop] = document["recording"]["loops"]
    events = loop["events"]
    done = next(task for _, kind, task, _ in events if kind == "task_done")
    waits = [index for index, (_, kind, task, thing) in enumerate(events) if (kind, task) == ("task_parked", done) and thing]
    loop["places"] = {"1": {"name": "serve", "file": "/srv/app/main.py", "line": 3}, "2": {"name": "sleep", "under": 1}}
    loop["stood"] = {str(waits[0]): 1, str(waits[-1]): 2}
    page = show(document)
    page.keyboard.press("2")
    page.click(f'[data-task="{done}"]')
    page.wait_for_selector(".details .chain")
    assert "whose frames were recorded" in page.inner_text(".details")
    shown = [text.replace("\n", " ") for text in page.locator(".details .chain li").all_inner_texts()]
    assert shown == ["serve coroutine app/main.py:3", "sleep coroutine"]


def test_a_click_on_a_lane_of_the_time_line_shows_the_same_chain(show: Show) -> None:
    page = show(payload())
    lanes = page.locator(".lanes").bounding_box()
    page.mouse.click(lanes["x"] + 600, lanes["y"] + 62 + 24 * 2 + 12)  # the third lane
    assert page.inner_text(".details h2") == "serve-3"
    assert chain(page)[:3] == EXPECTED


def test_the_graph_marks_the_cycle_and_a_node_shows_the_lock_with_its_holder(show: Show) -> None:
    page = show(payload())
    page.keyboard.press("3")
    page.wait_for_selector(".node")
    assert page.locator(".node.cyclic").count() == 2
    page.locator(".node.cyclic").first.press("Enter")
    page.wait_for_selector(".details")
    assert "none of these can ever go on" in page.inner_text(".details .alarm")
    assert chain(page)[-1].startswith("Lock of")
    first = page.inner_text(".details h2")
    page.locator(".details .chain .end button").click()  # the holder
    page.wait_for_function("(first) => document.querySelector('.details h2').innerText !== first", arg=first)


def test_the_search_finds_by_name_code_and_what_is_waited_for(show: Show) -> None:
    page = show(payload())
    page.keyboard.press("2")
    page.keyboard.press("/")
    page.keyboard.type("queue jobs")
    page.wait_for_selector("nav small")  # how many were found
    assert {"Queue 'jobs'" in row for row in page.locator(".row[data-task]").all_inner_texts()} == {True}
    page.fill("input[type=search]", "no such thing")
    assert page.inner_text(".table .empty") == "No task matches."


def test_blocks_show_their_stack_and_the_longest_first(show: Show) -> None:
    page = show(payload())
    page.keyboard.press("4")
    page.wait_for_selector(".block summary")
    assert [text.split()[0] for text in page.locator(".block summary").all_inner_texts()] == ["301", "9"]
    page.locator(".block summary").first.click()
    assert page.locator(".block").first.locator(".chain li").all_inner_texts() == ["fetch app/main.py:18", "load app/store.py:31"]


def test_it_follows_the_system_into_the_dark_and_can_be_switched(show: Show) -> None:
    page = show(payload(), color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.click("text=Light")
    page.wait_for_selector("html[data-theme=light]")
    assert page.evaluate(background) != dark


def test_it_speaks_chinese(show: Show) -> None:
    page = show(payload(), locale="zh-CN")
    assert page.locator("[role=tab]").first.inner_text() == "时间线"
    page.click("text=English")
    page.wait_for_selector("[role=tab]:has-text('Time line')")


def test_a_hundred_thousand_events_scroll_and_zoom_smoothly(show: Show) -> None:
    page = show(payload(events=100_000, tasks=400))
    assert "100" in page.inner_text(".facts")
    lanes = page.locator(".lanes").bounding_box()
    page.mouse.move(lanes["x"] + 700, lanes["y"] + 300)
    for _ in range(30):
        page.mouse.wheel(0, 120)
        page.keyboard.down("Shift")
        page.mouse.wheel(0, 80)
        page.keyboard.up("Shift")
    page.focus(".lanes")
    for key in "++++++------0":
        page.keyboard.press(key)
    page.wait_for_function("performance.getEntriesByName('timeline').length >= 20")
    costs = sorted(page.evaluate("performance.getEntriesByName('timeline').map(({ duration }) => duration)"))
    # A frame of 60 a second has 16.7 ms. The median says what a frame costs; single ones may suffer from a busy machine.
    assert costs[len(costs) // 2] < 16.7, costs


def test_the_command_writes_the_page_and_says_where(tmp_path: Path, show: Show) -> None:
    import json

    recording = tmp_path / "it.json"
    recording.write_text(json.dumps(synthetic()), encoding="utf-8")
    command = [sys.executable, "-m", "yieldloop", "open", str(recording)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert said == f"{recording}.html"
    expected = {"kind": "recording", "title": "app.py --port 8080", "recording": synthetic()}
    assert Path(said).read_text(encoding="utf-8") == render(expected)


def test_the_recorded_events_are_walked_through_one_by_one(show: Show) -> None:
    page = show(payload())
    page.keyboard.press("6")
    page.wait_for_selector(".walk")
    seen = [page.inner_text(".walk-event")]
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        page.wait_for_function("(text) => document.querySelector('.walk-event').innerText !== text", arg=seen[-1])
        seen.append(page.inner_text(".walk-event"))
    assert [text.split(" ms ")[1].strip() for text in seen] == [
        "created serve-1",
        "stepped serve-1",
        "parked serve-1 → readable fd 7 from 127.0.0.1:8080 #1",
        "created fetch-2",
    ]
    assert "fetch-2" in page.inner_text(".walk")  # in the ready queue
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("(text) => document.querySelector('.walk-event').innerText === text", arg=seen[2])
    assert "serve-1: readable fd 7" in page.inner_text(".walk")


def test_the_committed_page_is_what_its_sources_build(tmp_path: Path) -> None:
    web = Path(__file__).parents[1] / "web"
    if os.environ.get("YIELDLOOP_EXPECT") == "pure" or not (web / "node_modules" / "vite").exists():
        pytest.skip("the compiled leg compares them, where web/ is set up: npm ci in web/")
    command = ["npm", "run", "--silent", "bundle", "--", "--outDir", str(tmp_path), "--logLevel", "warn"]
    subprocess.run(command, cwd=web, check=True, capture_output=True)
    committed = Path(yieldloop.watch.page.__file__).with_name("template.html")
    built = (tmp_path / "template.html").read_text(encoding="utf-8")
    assert built == committed.read_text(encoding="utf-8"), "the page is older than web/: make page"


def test_a_job_that_waits_for_a_thread_shows_what_the_threads_do(show: Show) -> None:
    shown = payload()
    loop = shown["recording"]["snapshot"]["loops"][0]
    waiting, other = loop["tasks"][:2]
    busy = {"function": "crawl()", "thread": "asyncio_0", "since_ns": shown["recording"]["snapshot"]["taken_ns"] - 3 * 10**9}
    waiting["end"] = {"kind": "thread", "label": "look_up(), waits", "threads": [busy | {"task": other["id"]}]}
    page = show(shown)
    page.click("role=tab[name^=Tasks]")
    page.click(f'[data-task="{waiting["id"]}"]')
    page.wait_for_selector(".details .work")
    assert page.inner_text(".details .work") == f"asyncio_0 runs crawl() 3 s · {other['name']}"


STEPS = """
import sys, yieldloop
from yieldloop import record

async def inner():
    await yieldloop.sleep(0)

async def outer():
    await inner()
    await yieldloop.sleep(0)

async def main():
    await yieldloop.create_task(outer(), name="worker")

yieldloop.run(main())
record.save(sys.argv[1])
"""


def steps_of_worker(page: Any) -> list[tuple[str, list[str], str]]:
    """Of each step of the task: the event, the frames outermost first (``-`` before those that leave), and the note below them."""
    page.keyboard.press("6")
    page.wait_for_selector(".walk")
    found = []
    for number in range(1, int(page.inner_text(".walk-number small").strip("/ ")) + 1):
        page.fill(".walk-number input", str(number))
        page.keyboard.press("Tab")
        text = page.inner_text(".walk-event").split(" ms ")[1].strip()
        if text not in ("stepped worker", "parked worker", "done worker"):
            continue
        frames = page.locator(".frame")
        shown = [
            ("-" if "leaving" in frame.get_attribute("class") else "") + " ".join(frame.locator("> *").all_inner_texts())
            for frame in frames.all()
        ][-2::-1]
        note = page.locator(".walk-note")
        found.append((text.split()[0], shown, note.inner_text() if note.count() else ""))
    return found


def recorded_steps(tmp_path: Path, mode: str) -> dict[str, Any]:
    import yieldloop.record

    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    command = [sys.executable, "steps.py", "file"]
    subprocess.run(command, cwd=tmp_path, check=True, env={**os.environ, "YIELDLOOP_RECORD": mode})
    return {"kind": "recording", "title": "steps.py", "recording": yieldloop.record.load(tmp_path / "file").as_json()}


def test_a_full_recording_shows_frames_going_on_and_off_the_stack(show: Show, tmp_path: Path) -> None:
    outer, inner, turn = f"outer {tmp_path.name}/steps.py", f"inner {tmp_path.name}/steps.py:6", "sleep"
    assert steps_of_worker(show(recorded_steps(tmp_path, "full"))) == [
        ("stepped", [f"{outer}:8"], ""),
        ("parked", [f"-{outer}:9", f"-{inner}", f"-{turn}"], ""),
        ("stepped", [f"{outer}:9", inner, turn], ""),
        ("parked", [f"-{outer}:10", f"-{turn}"], ""),
        ("stepped", [f"{outer}:10", turn], ""),
        ("done", [f"-{outer}:10", f"-{turn}"], ""),
    ]


def test_a_recording_says_which_frames_it_does_not_know(show: Show, tmp_path: Path) -> None:
    steps = steps_of_worker(show(recorded_steps(tmp_path, "ring")))
    assert [(event, len(frames)) for event, frames, _ in steps] == [
        (event, 1) for event in ("stepped", "parked", "stepped", "parked", "stepped", "done")
    ]
    assert steps[0][1] == [f"outer {tmp_path.name}/steps.py:8"]
    assert {frames[0].lstrip("-") for _, frames, _ in steps[1:]} == {f"outer {tmp_path.name}/steps.py"}  # at no line
    assert [note.startswith("Only the outermost frame is certain") for _, _, note in steps] == [False, True, True, True, True, True]


def event_of(page: Any, number: int) -> str:
    page.fill(".walk-number input", str(number))
    page.keyboard.press("Tab")
    return page.inner_text(".walk-event").split(" ms ")[1].strip()  # type: ignore[no-any-return]


def test_what_was_not_recorded_of_a_wait_is_borrowed_from_another_and_marked(show: Show) -> None:
    document = payload()
    [loop] = document["recording"]["loops"]
    ms, fd, lock = 10**6, 1, 2
    loop["things"] = {str(fd): {"kind": "fd", "label": "fd 7"}, str(lock): {"kind": "lock", "label": "a lock"}}
    loop["tasks"] = {
        str(number): {"name": f"{coro}-{number}", "coro": coro, "site": None, "begins": {"file": "/a/app.py", "line": 1}}
        for number, coro in ((1, "serve"), (2, "serve"), (3, "other"))
    }
    loop["events"] = []
    for i, (task, thing) in enumerate([(1, lock), (1, fd), (2, fd), (2, lock), (1, fd), (3, fd)]):
        loop["events"] += [[10 * i * ms, "task_stepped", task, 0], [(10 * i + 5) * ms, "task_parked", task, thing]]
    loop["places"] = {"1": {"name": "serve", "file": "/a/app.py", "line": 8}, "2": {"name": "Lock.acquire", "under": 1},
                      "3": {"name": "serve", "file": "/a/app.py", "line": 9}}  # fmt: skip
    loop["stood"] = {"1": 2, "3": 3}  # of the first two waits
    document["recording"]["snapshot"] = None
    page = show(document)
    page.keyboard.press("6")
    page.wait_for_selector(".walk")

    def stands(number: int) -> tuple[list[str], str]:
        event_of(page, number)
        frames = [" ".join(frame.locator("> *").all_inner_texts()) for frame in page.locator(".frame.borrowed").all()]
        note = page.locator(".walk-note")
        return frames[::-1], note.inner_text() if note.count() else ""

    assert stands(2) == ([], "")
    assert stands(4) == ([], "")
    frames, note = stands(6)  # the first wait of the second task, for a descriptor
    assert frames == ["serve a/app.py:9"]
    assert note.endswith("waited for the same kind of thing: serve-1 (10 ms earlier)")
    frames, note = stands(8)  # its second, for a lock
    assert frames == ["serve a/app.py:8", "Lock.acquire"]
    frames, note = stands(10)  # the third of the first task
    assert frames == ["serve a/app.py:9"]
    assert note.endswith("its nearest recorded wait (30 ms earlier)")
    assert stands(12)[0] == []
    assert "dotted" not in stands(12)[1]


def test_the_stepper_follows_one_task_and_stays_where_it_was_left(show: Show) -> None:
    document = payload()
    [loop] = document["recording"]["loops"]
    steps = [number for number, (_, kind, task, _) in enumerate(loop["events"], 1) if kind.startswith("task_") and task == 2]
    page = show(document)
    page.keyboard.press("2")
    page.click('[data-task="2"]')
    page.keyboard.press("6")
    number = page.locator(".walk-number input")
    seen = [int(number.input_value())]
    for expected in steps[1:4]:
        page.keyboard.press("t")
        page.wait_for_function("(n) => document.querySelector('.walk-number input').value === n", arg=str(expected))
        seen.append(expected)
    assert seen == steps[:4]
    page.keyboard.press("r")
    page.wait_for_function("(n) => document.querySelector('.walk-number input').value === n", arg=str(steps[2]))
    page.keyboard.press("1")
    page.keyboard.press("6")
    page.wait_for_selector(".walk")
    assert int(number.input_value()) == steps[2]
