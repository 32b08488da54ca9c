"""Which loop an unmodified program gets under ``yieldloop run``, what it can still choose, and what the other commands say."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from yieldloop.cli.install import installed
from yieldloop.cli.main import split_command

WAYS = {
    "run": "async def main(): return type(asyncio.get_running_loop()).__module__\nprint(asyncio.run(main()))",
    "runner": "with asyncio.Runner() as r: print(type(r.get_loop()).__module__)",
    "new_event_loop": "l = asyncio.new_event_loop(); print(type(l).__module__); l.close()",
    "EventLoop": "l = getattr(asyncio, 'EventLoop', asyncio.new_event_loop)(); print(type(l).__module__); l.close()",
    "fork": (
        "import os\nasync def main(): return type(asyncio.get_running_loop()).__module__\n"
        "pid = os.fork()\nif pid: os.waitpid(pid, 0)\nelse: print(asyncio.run(main()))"
    ),
    "thread": (
        "import threading\nasync def main(): return type(asyncio.get_running_loop()).__module__\n"
        "t = threading.Thread(target=lambda: print(asyncio.run(main()))); t.start(); t.join()"
    ),
}


def yieldloop(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "yieldloop", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("way", WAYS)
def test_every_default_way_gives_our_loop_without_a_warning(way: str, tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text("import asyncio\n" + WAYS[way])
    done = yieldloop("run", "prog.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().startswith("yieldloop.")


def test_a_loop_that_the_program_names_is_respected(tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(
        "import asyncio\nwith asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as r: print(type(r.get_loop()).__module__)"
    )
    assert yieldloop("run", "prog.py", cwd=tmp_path).stdout.strip() == "asyncio.unix_events"


def test_the_poller_and_debug_mode_can_be_chosen(tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(
        "import asyncio\nasync def main():\n    l = asyncio.get_running_loop(); print(l, l.get_debug())\nasyncio.run(main())"
    )
    plain = yieldloop("run", "prog.py", cwd=tmp_path).stdout
    chosen = yieldloop("run", "--debug", "--poller", "select", "prog.py", cwd=tmp_path).stdout
    assert plain.strip().endswith("False")
    assert chosen.strip().endswith("True")
    assert "select" in chosen.lower()


def test_installing_is_undone() -> None:
    class Mark(Exception):
        pass

    def factory() -> asyncio.AbstractEventLoop:
        raise Mark

    with installed(factory), pytest.raises(Mark):
        asyncio.new_event_loop()
    loop = asyncio.new_event_loop()
    loop.close()


def test_version_and_info(tmp_path: Path) -> None:
    version = yieldloop("--version", cwd=tmp_path)
    assert version.stdout.startswith("yieldloop ")
    info = yieldloop("info", cwd=tmp_path)
    assert info.returncode == 0, info.stderr
    for word in ("python", "platform", "pollers", "modules", "yieldloop.engine.loop"):
        assert word in info.stdout


def test_no_command_prints_the_help(tmp_path: Path) -> None:
    done = yieldloop(cwd=tmp_path)
    assert done.returncode == 2
    assert "run" in done.stdout
    assert yieldloop("run", "--help", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["p.py", "--debug"], ([], False, ["p.py", "--debug"])),
        (["--debug", "--poller", "poll", "p.py"], (["--debug", "--poller", "poll"], False, ["p.py"])),
        (["--poller=poll", "-m", "mod", "-x"], (["--poller=poll"], True, ["mod", "-x"])),
        (["--", "-m", "mod"], ([], True, ["mod"])),
        (["-mmod", "a"], ([], True, ["mod", "a"])),
        (["--", "p.py", "--"], ([], False, ["p.py", "--"])),
        ([], ([], False, [])),
    ],
)
def test_the_line_is_cut_where_the_program_begins(words: list[str], expected: object) -> None:
    assert split_command(words) == expected
