"""`yieldloop learn`: the walk of a file is exact and the same each time; it is shown as text, on a terminal, in the browser.

What lives here: walks of small files, recorded by the real command in a process of its own, and the ways to show them that need no
browser. A walk is recorded by the interpreted modules, so one leg is enough.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import yieldloop
from tests.browser import browser
from tests.test_guide import CHAPTERS
from yieldloop.learn import printing
from yieldloop.learn.chapters import chapters, find, walk_through
from yieldloop.learn.walk import LearnError, record

__all__ = ["browser"]

pytestmark = pytest.mark.skipif(not yieldloop.compiled(), reason="one leg is enough: a walk is recorded by the interpreted modules")

DELEGATION = '''\
def inner():
    got = yield 1
    return got


def outer(name):
    result = yield from inner()
    print(name, result)


g = outer("a")
next(g)
try:
    g.send(5)
except StopIteration:
    print("over")
del g
'''


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(text: str, name: str = "own.py") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def delegation(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The walk of `DELEGATION`."""
    path = tmp_path_factory.mktemp("delegation") / "own.py"
    path.write_text(DELEGATION, encoding="utf-8")
    return record(path)


def short(step: dict[str, Any]) -> tuple[str, int, str]:
    return step["event"], step["line"], " ".join(frame["name"] for frame in step["stack"])


def test_the_walk_of_a_small_file_is_exact(delegation: Any) -> None:
    walk = delegation
    assert walk["sources"] == {"own.py": DELEGATION.splitlines()}
    assert [short(step) for step in walk["steps"]] == [
        ("line", 11, "<module>"),
        ("line", 12, "<module>"),
        ("call", 6, "<module> outer #1"),
        ("line", 7, "<module> outer #1"),
        ("call", 1, "<module> outer #1 inner #1"),
        ("line", 2, "<module> outer #1 inner #1"),
        ("yield", 2, "<module> outer #1 inner #1"),
        ("yield", 7, "<module> outer #1"),
        ("line", 13, "<module>"),
        ("line", 14, "<module>"),
        ("call", 7, "<module> outer #1"),
        ("call", 2, "<module> outer #1 inner #1"),
        ("line", 3, "<module> outer #1 inner #1"),
        ("return", 3, "<module> outer #1 inner #1"),
        ("line", 8, "<module> outer #1"),
        ("return", 8, "<module> outer #1"),
        ("exception", 14, "<module>"),
        ("line", 15, "<module>"),
        ("line", 16, "<module>"),
        ("line", 17, "<module>"),
        ("end", 17, ""),
    ]
    assert [step["output"] for step in walk["steps"] if step["output"]] == ["a 5\n", "over\n"]


def test_a_generator_is_shown_with_its_state_and_who_holds_it(delegation: Any) -> None:
    steps = delegation["steps"]
    assert steps[0]["generators"] == []
    assert steps[1]["generators"] == [
        {
            "id": "outer #1",
            "name": "outer #1",
            "state": "created",
            "file": "own.py",
            "line": 6,
            "waits": "",
            "holders": ["global variable g"],
        }
    ]
    stopped = steps[8]["generators"]
    assert [(generator["name"], generator["state"], generator["line"], generator["waits"]) for generator in stopped] == [
        ("outer #1", "suspended", 7, "inner #1"),
        ("inner #1", "suspended", 2, ""),
    ]
    assert stopped[1]["holders"] == ["yield from / await of outer #1"]
    assert [generator["state"] for generator in steps[13]["generators"]] == ["running", "running"]
    assert [(generator["name"], generator["state"]) for generator in steps[17]["generators"]] == [("outer #1", "closed")]
    assert steps[-1]["generators"] == []


def test_variables_of_a_frame_are_shown(delegation: Any) -> None:
    steps = delegation["steps"]
    assert steps[12]["stack"][-1]["locals"] == [["got", "5"]]
    assert steps[14]["stack"][-1]["locals"] == [["name", "'a'"], ["result", "5"]]


LOOP = '''\
from collections import deque


class Task:
    def __init__(self, coro):
        self.coro = coro


class Loop:
    def __init__(self):
        self.ready = deque()

    def run(self):
        while self.ready:
            task = self.ready.popleft()
            try:
                task.coro.send(None)
            except StopIteration:
                pass
            else:
                self.ready.append(task)


class Turn:
    def __await__(self):
        yield


async def worker(name):
    await Turn()


loop = Loop()
loop.ready += [Task(worker("a")), Task(worker("b"))]
loop.run()
'''


def test_the_ready_queue_of_a_loop_of_the_readers_own_is_shown(write: Any) -> None:
    steps = record(write(LOOP))["steps"]
    queues = [step["ready"] for step in steps]
    assert ["Task #1 (worker #1)", "Task #2 (worker #2)"] in queues
    assert ["Task #2 (worker #2)", "Task #1 (worker #1)"] in queues
    assert queues[-1] == []
    suspended = next(step for step in steps if any(generator["state"] == "suspended" for generator in step["generators"]))
    holders = {generator["name"]: generator["holders"] for generator in suspended["generators"]}
    assert holders == {
        "worker #1": ["Task #1.coro"],
        "worker #2": ["Task #2.coro"],
        "Turn.__await__ #1": ["yield from / await of worker #1"],
    }


NOISY = """
import socket, time
def f():
    here = socket.create_server(("127.0.0.1", 0))
    port = here.getsockname()[1]
    with here, socket.create_connection(("127.0.0.1", port)) as there:
        began, fast, address = time.monotonic(), 0.25, there.getsockname()
        yield {"a", "b", "c"}
print(object(), next(f()))
"""


@pytest.mark.parametrize("text", [LOOP, NOISY], ids=["loop", "addresses, times and ports"])
def test_two_runs_give_the_same_walk(write: Any, text: str) -> None:
    path = write(text)
    first = record(path)
    assert first == record(path)
    if text is NOISY:
        assert "<object object at 0x…1>" in first["steps"][-1]["output"]
        variables = dict(next(step for step in first["steps"] if step["event"] == "yield")["stack"][-1]["locals"])
        assert variables["port"] == "⟨port 1⟩"
        assert (variables["began"], variables["fast"], variables["address"]) == ("⟨time⟩", "0.25", "('127.0.0.1', ⟨port 2⟩)")


def test_an_event_loop_of_ours_is_seen_at_work(write: Any) -> None:
    text = "import asyncio\nasync def child():\n    await asyncio.sleep(0.01)\nasync def main():\n"
    steps = record(write(text + "    await asyncio.gather(child(), child())\nasyncio.run(main())\n"))["steps"]
    assert any(step["timers"] for step in steps)
    assert any(len(step["ready"]) >= 1 for step in steps)
    assert {"child #1", "child #2", "main #1"} <= {generator["name"] for step in steps for generator in step["generators"]}
    assert not any("yieldloop" in file for file in {step["file"] for step in steps})


def test_into_follows_other_modules(write: Any) -> None:
    write("def double(n):\n    return 2 * n\n", "helper.py")
    path = write("import helper\nprint(helper.double(4))\n")
    assert {step["file"] for step in record(path)["steps"]} == {"own.py"}
    walk = record(path, into=("helper",))
    assert ("return", 2, "<module> double") in [short(step) for step in walk["steps"]]
    assert set(walk["sources"]) == {"own.py", "helper.py"}


def test_an_error_ends_the_walk_with_its_traceback(write: Any) -> None:
    walk = record(write("def f():\n    yield 1 / 0\n\n\nnext(f())\n"))
    events = [(step["event"], step["line"], step["text"]) for step in walk["steps"] if step["event"] in ("exception", "end")]
    assert events == [
        ("exception", 2, "ZeroDivisionError('division by zero') is raised in f #1"),
        ("exception", 2, "ZeroDivisionError('division by zero') leaves f #1: its frame leaves the stack"),
        ("end", 2, "the program was ended by ZeroDivisionError('division by zero'); the output shows the traceback"),
    ]
    traceback = walk["steps"][-1]["output"]
    assert traceback.startswith('Traceback (most recent call last):\n  File "own.py", line 5, in <module>\n')
    assert traceback.endswith("ZeroDivisionError: division by zero\n")


def test_a_syntax_error_is_shown_as_python_shows_it(write: Any) -> None:
    walk = record(write("def f(:\n"))
    assert len(walk["steps"]) == 1
    assert "SyntaxError" in walk["steps"][0]["output"]
    assert walk["sources"] == {"own.py": ["def f(:"]}


def test_a_walk_is_bounded_by_steps_and_by_time(write: Any) -> None:
    endless = record(write("n = 0\nwhile True:\n    n += 1\n"), steps=50)
    assert len(endless["steps"]) == 51
    assert endless["steps"][-1]["text"] == "the walk stops here, after 50 steps; --steps 200 goes further"
    waiting = record(write("import threading\nthreading.Event().wait()\n"), seconds=0.3)
    assert waiting["steps"][-1]["text"] == "the program was still running after 0.3 s, and the walk stops here"
    assert waiting["steps"][-1]["stack"][-1]["line"] == 2


def test_exit_and_closing_are_part_of_the_walk(write: Any) -> None:
    text = "import sys\ndef f():\n    try:\n        yield\n    finally:\n        print('closed')\n"
    steps = record(write(text + "g = f()\nnext(g)\ng.close()\nsys.exit(3)\n"))["steps"]
    assert ("exception", 4, "<module> f #1") in [short(step) for step in steps]
    assert "".join(step["output"] for step in steps) == "closed\n"
    assert steps[-1]["text"] == "the program has ended by SystemExit(3)"


def test_bytes_other_encodings_and_forked_children_are_no_trouble(write: Any) -> None:
    # From Python 3.12 on, fork() warns of the threads that record.
    text = "import os, sys, warnings\nwarnings.simplefilter('ignore', DeprecationWarning)\n"
    text += "sys.stdout.buffer.write(b'bytes ')\nif os.fork() == 0:\n    raise SystemExit\n"
    path = write("")
    path.write_bytes(b"# coding: latin-1\n" + text.encode() + "os.wait()\nprint('\xe9')\n".encode("latin-1"))
    walk = record(path)
    assert "".join(step["output"] for step in walk["steps"]) == "bytes é\n"
    assert walk["sources"]["own.py"][-1] == "print('é')"
    assert walk["steps"][-1]["text"] == "the program has ended"


def test_asynchronous_generators_yield_and_are_suspended(write: Any) -> None:
    text = "import asyncio\nasync def ticks():\n    yield 7\nasync def main():\n"
    steps = record(write(text + "    async for tick in ticks():\n        print(tick)\nasyncio.run(main())\n"))["steps"]
    yielded = next(step for step in steps if step["event"] == "yield")
    assert yielded["text"].startswith("ticks #1 yields 7")
    assert yielded["stack"][-1]["kind"] == "async generator"


def test_looking_changes_nothing(write: Any) -> None:
    text = (
        "import weakref\nclass Loud:\n    def __repr__(self):\n        print('asked')\n        return 'loud'\n"
        "    def __del__(self):\n        print('gone')\n"
        "def main():\n    loud = Loud()\n    ref = weakref.ref(loud)\n    other = [loud]\n    loud = None\n"
        "    other.clear()\n    print(ref())\nmain()\n"
    )
    assert "".join(step["output"] for step in record(write(text))["steps"]) == "gone\nNone\n"


# --- the chapters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_each_chapter_can_be_walked_through_and_prints_what_it_prints(chapter: str) -> None:
    found = find(chapter, "en")
    (walk,) = walk_through(found, ("en",), steps=1200)
    output = "".join(step["output"] for step in walk["steps"])
    expected = (found.path.parent / "output" / f"{chapter}.txt").read_text(encoding="utf-8")
    assert expected.startswith(output) if walk["steps"][-1]["event"] == "limit" else output == expected


def test_a_chapter_is_found_by_number_by_name_and_by_path() -> None:
    first = chapters("en")[0]
    for word in (str(first.number), first.path.stem, first.path.stem[3:], str(first.path)):
        assert find(word, "en") == first
    with pytest.raises(LearnError, match=r"'nothing' is no chapter and no file; the chapters are 1 to \d+"):
        find("nothing", "en")
    with pytest.raises(LearnError, match=r"there is no file 'nothing\.py'"):
        find("nothing.py", "en")


def learn(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "yieldloop", "learn", *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=os.environ | {"PYTHONUTF8": "1"} | env)


def test_the_list_speaks_the_language_of_the_locale() -> None:
    assert learn(LC_ALL="zh_CN.UTF-8").stdout.startswith("指南的各章：\n   1  ")
    assert learn(LC_ALL="C").stdout.startswith("The guide's chapters:\n   1  ")
    assert learn("--lang", "zh", LC_ALL="C").stdout.startswith("指南的各章：\n")


def test_a_walk_is_printed_as_text(write: Any, delegation: Any) -> None:
    path = write(DELEGATION)
    printed = learn("--print", "--lang", "en", str(path))
    assert printed.returncode == 0
    assert printed.stdout == "\n".join(printing.lines(delegation)) + "\n"
    assert "   inner #1: suspended :2; held by yield from / await of outer #1\n" in printed.stdout


def test_a_wrong_word_is_answered_by_the_next_step() -> None:
    answer = learn("--lang", "en", "seventeen")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "`yieldloop learn` lists them" in answer.stderr


# --- the terminal ------------------------------------------------------------------------------------------------------


def test_the_screen_goes_forward_and_back(delegation: Any) -> None:
    screen = pytest.importorskip("yieldloop.learn.screen")
    walk = delegation

    async def main() -> None:
        app = screen.Stepper(walk)

        def pane(name: str) -> str:
            return str(app.query_one(f"#{name}").content)

        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            assert "step 1 of 21" in pane("title")
            await pilot.press("right", "right", "right")
            assert app.index == 3
            assert "▶   7 " in pane("source")
            assert pane("frames").startswith("outer #1 :7 name='a'\n<module>")
            await pilot.press("left")
            assert app.index == 2
            await pilot.press("y")
            assert (app.index, walk["steps"][app.index]["event"]) == (6, "yield")
            await pilot.press("y", "u")
            assert app.index == 6
            await pilot.press("right", "right")
            assert "‖ inner #1 suspended :2\n  ← yield from / await of outer #1\n" in pane("generators")
            await pilot.press("right", "o")  # over the call that line 14 makes
            assert short(walk["steps"][app.index]) == ("exception", 14, "<module>")
            await pilot.press("end")
            assert app.index == 20
            assert pane("output") == "a 5\nover"
            await pilot.press("right")
            assert app.index == 20
            await pilot.press("home")
            assert app.index == 0
            await pilot.press("g", "1", "3", "enter")
            assert app.index == 12
            await pilot.press("q")
        assert app.return_code == 0

    asyncio.run(main())


# --- the browser -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The page of `DELEGATION`, as the command writes it, in a real Chromium."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "own.py").write_text(DELEGATION, encoding="utf-8")
    wrote = learn("--lang", "zh", "--output", str(folder / "walk.html"), str(folder / "own.py"))
    assert wrote.stdout == f"页面在 {folder / 'walk.html'}\n"
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(10_000)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("request", lambda request: page.errors.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    page.goto((folder / "walk.html").as_uri())
    page.wait_for_selector(".walk")
    yield page
    assert page.errors == []
    page.close()


def test_the_page_steps_forward_and_back(page: Any) -> None:
    def current() -> str:
        return str(page.inner_text(".walk-source li.current code"))

    page.keyboard.press("Home")
    assert current() == 'g = outer("a")'
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".walk-event") == "接下来执行第 12 行"
    assert page.inner_text(".generator.created code") == "outer #1"
    page.keyboard.press("y")
    assert page.input_value(".walk-number input") == "7"
    assert page.locator(".frame.newest.leaving code").inner_text() == "inner #1"
    assert page.locator(".frame code").all_inner_texts() == ["inner #1", "outer #1", "<module>"]
    page.keyboard.press("y")
    page.keyboard.press("ArrowRight")
    assert page.locator(".walk-source li.standing").count() == 2
    assert "outer #1 的 yield from / await" in page.inner_text(".walk-generators")
    page.keyboard.press("ArrowLeft")
    assert page.input_value(".walk-number input") == "8"
    page.keyboard.press("End")
    assert page.inner_text(".walk-output pre").strip() == "a 5\nover"
    assert page.url.endswith("#21")


def test_a_click_on_a_line_goes_to_its_next_run(page: Any) -> None:
    page.keyboard.press("Home")
    page.click(".walk-source li:nth-child(3)")
    assert page.inner_text(".frame.newest dl") == "got\n5"
    page.fill(".walk-number input", "5")
    page.keyboard.press("Enter")
    assert page.inner_text(".walk-source li.current code") == "def inner():"


def test_the_page_speaks_both_languages_at_the_same_step(page: Any) -> None:
    page.locator(".walk-bar button").first.click()
    page.keyboard.press("y")
    page.click("text=English")
    page.wait_for_selector(".walk-event:has-text('inner #1 yields 1 and stops')")
    page.click("text=中文")
    page.wait_for_selector(".walk-event:has-text('inner #1 产出 1 后停下')")
    assert page.input_value(".walk-number input") == "7"
