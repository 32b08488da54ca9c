"""`yieldloop watch`: two real processes, one that is watched and one that serves its page, asked by a client of every kind."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import browser

__all__ = ["browser"]

pytest.importorskip("aiohttp", reason="aiohttp is not installed: pip install 'yieldloop[watch]'")
if os.environ.get("YIELDLOOP_EXPECT") == "pure":
    pytest.skip("the server is the same at both speeds; the compiled leg asks it", allow_module_level=True)

PROGRAM = """
import asyncio

async def wait_for_work(jobs):
    return await jobs.get()

async def main():
    jobs = asyncio.Queue()
    waiting = [asyncio.create_task(wait_for_work(jobs), name=f"waiter-{number}") for number in range(3)]
    print("ready", flush=True)
    await asyncio.sleep(600)  # without a timer the loop would be dead, and say so

asyncio.run(main())
"""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[Any, subprocess.Popen[str]]]:
    """The address that `yieldloop watch` prints for a program whose tasks wait, and that program's process."""
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="yl-", dir="/tmp") as run_time:  # a socket's name must be short
        env = {**os.environ, "XDG_RUNTIME_DIR": run_time}

        def start(*words: str) -> subprocess.Popen[str]:
            return subprocess.Popen([sys.executable, "-m", "yieldloop", *words], env=env, stdout=subprocess.PIPE, text=True)

        with start("run", str(folder / "program.py")) as watched:
            try:
                assert watched.stdout is not None and watched.stdout.readline() == "ready\n"
                with start("watch", str(watched.pid)) as server:
                    try:
                        assert server.stdout is not None
                        yield urllib.parse.urlsplit(server.stdout.readline().strip()), watched
                        server.send_signal(signal.SIGINT)
                        assert server.wait(20) == 0
                    finally:
                        server.kill()
            finally:
                watched.kill()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with serving(tmp_path_factory.mktemp("watched")) as (found, _):
        yield found


def ask(address: Any, path: str, *, method: str = "GET", host: str | None = None, **headers: str) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=20)
    try:
        connection.request(method, path, headers={"Host": host or address.netloc, **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_the_address_is_on_loopback_with_a_token_that_cannot_be_guessed(address: Any) -> None:
    assert address.hostname == "127.0.0.1"
    assert len(urllib.parse.parse_qs(address.query)["token"][0]) >= 32


def test_the_page_is_served_to_who_knows_the_token(address: Any) -> None:
    status, headers, body = ask(address, f"/?{address.query}")
    assert status == 200
    assert body.startswith(b"<!doctype html>") and b">live<" in body
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/snapshot", "/recording", "/?token=", "/blocks?token=wrong", "/nothing", "/?token=%E9"])
def test_without_the_token_nothing_is_told(address: Any, path: str) -> None:
    status, _, body = ask(address, path)
    assert status == 403
    assert b"token" in body and b"waiter" not in body


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:{port}.example"])
def test_under_another_hosts_name_nothing_is_told(address: Any, host: str) -> None:
    status, _, body = ask(address, f"/snapshot?{address.query}", host=host.format(port=address.port))
    assert status == 403
    assert b"waiter" not in body


def test_another_site_is_never_allowed_to_read(address: Any) -> None:
    for method in ("GET", "OPTIONS"):
        _, headers, _ = ask(address, f"/?{address.query}", method=method, Origin="http://evil.example")
        assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(address: Any, method: str) -> None:
    assert ask(address, f"/snapshot?{address.query}", method=method)[0] == 405


def test_the_live_page_shows_the_chain_of_a_task_and_says_when_the_process_is_gone(browser: Any, tmp_path: Path) -> None:
    with serving(tmp_path) as (address, watched):
        page = browser.new_page()
        page.goto(address.geturl())
        page.click("role=tab[name^=Tasks]")
        page.click('[data-task]:has-text("waiter-1")')
        page.wait_for_selector(".details .chain .end")
        chain = page.locator(".details .chain li").all_inner_texts()
        assert chain[0].splitlines()[0] == "wait_for_work coroutine" and "program.py:5" in chain[0]
        assert "Queue" in chain[-1]
        page.click("role=tab[name^='Time line']")
        page.wait_for_selector(".lanes canvas")  # its recording has come too
        assert "events" in page.inner_text(".facts")
        watched.kill()
        page.wait_for_selector("text=The process does not answer any more.")
        assert page.inner_text(".details h2") == "waiter-1"  # what was seen last can still be looked at
        page.close()


def test_a_process_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    from yieldloop.cli.main import main

    assert main(["watch", "999999999"]) == 1
    assert "999999999" in capsys.readouterr().err


def test_without_aiohttp_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from yieldloop.watch import webserver

    monkeypatch.setitem(sys.modules, "aiohttp.web", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'yieldloop\[watch\]'"):
        webserver.serve(lambda name: b"", started=lambda address: None)
