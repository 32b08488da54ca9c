"""Mirror a file tree over HTTP, inside one program, and check every byte.

An aiohttp server on loopback serves a directory tree (by default the standard library of the running Python) as index pages
and files. In the same program an aiohttp client starts at the index page of the root, follows the links it finds, fetches
everything with bounded concurrency, and compares the SHA-256 of each file that arrived with that of the file on disk. It
saves nothing. At the end stands a table; the exit status is 1 if any file was missing or different.

This is an ordinary asyncio program: it knows of no loop but asyncio's.

    python examples/mirror.py                       on the standard library's loop
    python -m yieldloop run examples/mirror.py      the same file on yieldloop
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import html
import importlib.machinery
import json
import os
import resource
import stat
import sys
import sysconfig
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import aiohttp
import yarl
from aiohttp import web

CHUNK = 64 * 1024  # files of any size pass through in pieces of this many bytes, on both sides
REQUEST_TIMEOUT = 60.0  # seconds; a loopback request that takes longer is stuck
RETRIES = 3  # a file that somebody writes to while we compare it is compared again
LEFT_OUT = {"site-packages", "dist-packages"}  # not the interpreter's own


# --- the tree on disk -------------------------------------------------------------------------------------------------


class Tree:
    """The directory tree being served: what is in it, read without ever leaving it."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)

    def resolve(self, url_path: str) -> str | None:
        """The place on disk for the path of a URL, or None if it is not inside the tree."""
        name = os.fsdecode(unquote_to_bytes(url_path)).lstrip("/")
        if "\0" in name:
            return None
        place = os.path.normpath(os.path.join(self.root, name))
        inside = place == self.root or place.startswith(self.root + os.sep)
        return place if inside else None

    def entries(self, folder: str) -> list[tuple[str, bool]]:
        """Names in ``folder`` and whether each is a directory. Links to directories, sockets and such are left out."""
        found = []
        with os.scandir(folder) as scan:
            for entry in scan:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in LEFT_OUT:
                        found.append((entry.name, True))
                elif entry.is_file():
                    found.append((entry.name, False))
        return sorted(found)

    def files(self) -> set[str]:
        """Every file that a complete crawl must have met, as a place on disk."""
        found: set[str] = set()
        folders = [self.root]
        while folders:
            folder = folders.pop()
            try:
                entries = self.entries(folder)
            except OSError:
                continue  # unreadable for the server too, which answers 403
            for name, is_folder in entries:
                place = os.path.join(folder, name)
                if is_folder:
                    folders.append(place)
                else:
                    found.add(place)
        return found


def version_on_disk(place: str) -> tuple[int, int] | None:
    """What changes when somebody writes to the file: mtime in nanoseconds and size. None if it is not there."""
    try:
        info = os.stat(place)
    except OSError:
        return None
    return info.st_mtime_ns, info.st_size


def digest_on_disk(place: str) -> tuple[str, tuple[int, int] | None]:
    """SHA-256 of a file, and its version after it was read. OSError if it cannot be read."""
    with open(place, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return digest, version_on_disk(place)


# --- the server -------------------------------------------------------------------------------------------------------


def index_page(title: str, entries: list[tuple[str, bool]]) -> str:
    rows = []
    for name, is_folder in entries:
        slash = "/" if is_folder else ""
        link = "./" + quote_from_bytes(os.fsencode(name)) + slash  # "./": a name with a colon is not a scheme
        rows.append(f'<li><a href="{html.escape(link)}">{html.escape(ascii(name))}{slash}</a></li>')
    return f"<!doctype html><title>{html.escape(ascii(title))}</title><ul>\n" + "\n".join(rows) + "\n</ul>\n"


class Server:
    """Serves a Tree on a loopback port. File system calls run in threads: a disk can block."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.connections = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        place = self.tree.resolve(request.rel_url.raw_path)
        if place is None:
            raise web.HTTPNotFound()
        try:
            if request.rel_url.raw_path.endswith("/"):
                entries = await asyncio.to_thread(self.tree.entries, place)
                return web.Response(text=index_page(place, entries), content_type="text/html")
            return await self.send_file(request, place)
        except PermissionError:
            raise web.HTTPForbidden() from None
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise web.HTTPNotFound() from None

    async def send_file(self, request: web.Request, place: str) -> web.StreamResponse:
        file = await asyncio.to_thread(open, place, "rb")
        try:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise web.HTTPNotFound()
            first = await asyncio.to_thread(file.read, CHUNK)
            if len(first) == info.st_size:
                return web.Response(body=first, content_type="application/octet-stream")
            response = web.StreamResponse()
            response.content_type = "application/octet-stream"
            await response.prepare(request)
            piece = first
            while piece:
                await response.write(piece)
                piece = await asyncio.to_thread(file.read, CHUNK)
            await response.write_eof()
            return response
        finally:
            file.close()

    async def start(self) -> tuple[web.AppRunner, int]:
        app = web.Application()
        app.router.add_get(r"/{path:[\s\S]*}", self.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        return runner, runner.addresses[0][1]


# --- the crawler ------------------------------------------------------------------------------------------------------


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


class Crawler:
    """Follows links from a start page, one task a link, at most ``width`` requests under way."""

    def __init__(self, tree: Tree, session: aiohttp.ClientSession, width: int) -> None:
        self.tree = tree
        self.session = session
        self.gate = asyncio.Semaphore(width)
        self.group = asyncio.TaskGroup()
        self.met: set[str] = set()
        self.requests = self.pages = self.files = self.bytes = 0
        self.unreadable: list[str] = []
        self.wrong: list[str] = []
        self.tasks_created = self.tasks_alive = self.tasks_peak = 0

    async def crawl(self, start: yarl.URL) -> None:
        async with self.group:
            self.spawn(self.page(start))
        missing = await asyncio.to_thread(self.tree.files) - self.met
        for place in missing:
            if os.path.exists(place):
                self.wrong.append(f"{place}: no index page led to it")

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks_created += 1
        self.tasks_alive += 1
        self.tasks_peak = max(self.tasks_peak, self.tasks_alive)
        self.group.create_task(work).add_done_callback(self.ended)

    def ended(self, task: asyncio.Task[None]) -> None:
        self.tasks_alive -= 1

    async def page(self, url: yarl.URL) -> None:
        """Fetch an index page and start a task for each link on it."""
        async with self.gate, self.session.get(url) as response:
            self.requests += 1
            if response.status == 403:
                self.unreadable.append(str(url))
                return
            response.raise_for_status()
            links = Links()
            links.feed(await response.text())
        self.pages += 1
        for link in links.found:
            target = url.join(yarl.URL(link, encoded=True))
            if target.raw_path.startswith(url.raw_path):  # down the tree only, so that a crawl always ends
                self.spawn(self.page(target) if target.raw_path.endswith("/") else self.file(target))

    async def file(self, url: yarl.URL) -> None:
        """Fetch a file and compare it with the one on disk."""
        place = self.tree.resolve(url.raw_path)
        if place is None:
            self.wrong.append(f"{url}: a link out of the tree")
            return
        self.met.add(place)
        problem = ""
        for _ in range(RETRIES):
            before = version_on_disk(place)
            status, received, size = await self.fetch(url)
            try:
                expected, after = await asyncio.to_thread(digest_on_disk, place)
            except OSError as error:
                # Nobody can read it: the server must have said so.
                if status in (403, 404):
                    self.unreadable.append(place)
                else:
                    self.wrong.append(f"{place}: answered with {status}, but {error}")
                return
            if status == 200 and received == expected:
                self.files += 1
                self.bytes += size
                return
            problem = f"{place}: answered with {status}, {size} bytes, SHA-256 {received}; on disk {expected}"
            if before == after:
                break  # nobody wrote to it: the difference is real, and trying again would only hide it
        self.wrong.append(problem)

    async def fetch(self, url: yarl.URL) -> tuple[int, str, int]:
        """Status, SHA-256 and length of what the server sends."""
        digest = hashlib.sha256()
        size = 0
        async with self.gate, self.session.get(url) as response:
            self.requests += 1
            async for piece in pieces(response):
                digest.update(piece)
                size += len(piece)
            return response.status, digest.hexdigest(), size


async def pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for piece in response.content.iter_chunked(CHUNK):
        yield piece


# --- what one sees ----------------------------------------------------------------------------------------------------


async def show_progress(crawler: Crawler, label: str) -> None:
    """A line that renews itself on a terminal, a line every two seconds elsewhere. Runs until it is cancelled."""
    began = time.monotonic()
    on_terminal = sys.stderr.isatty()
    while True:
        await asyncio.sleep(0.2 if on_terminal else 2.0)
        line = (
            f"{label}: {time.monotonic() - began:5.1f} s  {crawler.pages} pages, {crawler.files} files, "
            f"{crawler.bytes / 1e6:.1f} MB, {crawler.tasks_alive} tasks alive"
        )
        print(f"\r{line:<100}" if on_terminal else line, end="" if on_terminal else "\n", file=sys.stderr, flush=True)


def describe_loop(loop: asyncio.AbstractEventLoop) -> tuple[str, bool]:
    """The loop's class, and whether any class that it is made of comes from an extension module."""
    kind = type(loop)
    endings = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    files = [getattr(sys.modules.get(base.__module__), "__file__", None) or "" for base in kind.__mro__]
    return f"{kind.__module__}.{kind.__qualname__}", any(file.endswith(endings) for file in files)


async def mirror(options: argparse.Namespace) -> dict[str, Any]:
    """Serve, crawl, compare; returns the figures."""
    loop_class, compiled = describe_loop(asyncio.get_running_loop())
    label = options.label or loop_class
    tree = Tree(options.root)
    runner, port = await Server(tree).start()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT)
        connector = aiohttp.TCPConnector(limit=options.width)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            crawler = Crawler(tree, session, options.width)
            progress = None if options.quiet else asyncio.create_task(show_progress(crawler, label))
            try:
                await crawler.crawl(yarl.URL(f"http://127.0.0.1:{port}/"))
            finally:
                if progress is not None:
                    progress.cancel()
                    if sys.stderr.isatty():
                        print(f"\r{'':<100}\r", end="", file=sys.stderr, flush=True)
    finally:
        await runner.cleanup()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "label": label,
        "loop": loop_class,
        "compiled": compiled,
        "task": f"{type(asyncio.current_task()).__module__}.{type(asyncio.current_task()).__qualname__}",
        "python": sys.version.split()[0],
        "root": tree.root,
        "requests": crawler.requests,
        "pages": crawler.pages,
        "files": crawler.files,
        "bytes": crawler.bytes,
        "unreadable": len(crawler.unreadable),
        "mismatches": len(crawler.wrong),
        "wrong": crawler.wrong[:20],
        "seconds": wall,
        "cpu_seconds": cpu,
        "tasks_created": crawler.tasks_created,
        "tasks_peak": crawler.tasks_peak,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3),
    }


ROWS: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
    ("loop", lambda r: r["loop"]),
    ("compiled", lambda r: "yes" if r["compiled"] else "no"),
    ("files", lambda r: f"{r['files']:,}"),
    ("index pages", lambda r: f"{r['pages']:,}"),
    ("bytes", lambda r: f"{r['bytes']:,}"),
    ("unreadable", lambda r: f"{r['unreadable']:,}"),
    ("mismatches", lambda r: f"{r['mismatches']:,}"),
    ("requests/s", lambda r: f"{r['requests'] / r['seconds']:,.0f}"),
    ("tasks created", lambda r: f"{r['tasks_created']:,}"),
    ("most tasks alive", lambda r: f"{r['tasks_peak']:,}"),
    ("wall time", lambda r: f"{r['seconds']:.2f} s"),
    ("CPU time", lambda r: f"{r['cpu_seconds']:.2f} s"),
    ("CPU per request", lambda r: f"{r['cpu_seconds'] / max(1, r['requests']) * 1e6:,.0f} µs"),
    ("peak memory", lambda r: f"{r['peak_rss_mb']:,.0f} MB"),
]


def table(reports: list[dict[str, Any]]) -> str:
    """The reports side by side, a column each."""
    columns = [[""] + [name for name, _ in ROWS]]
    columns += [[report["label"]] + [cell(report) for _, cell in ROWS] for report in reports]
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row in zip(*columns, strict=True):
        first = f"{row[0]:<{widths[0]}}"
        lines.append("  ".join([first, *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))]))
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Mirror a file tree over loopback HTTP and check every byte.")
    parser.add_argument("--root", default=sysconfig.get_path("stdlib"), help="the tree (default: the standard library)")
    parser.add_argument("--width", type=int, default=64, help="most requests under way at a time (default: 64)")
    parser.add_argument("--label", help="a name for this run in the progress line and in the table")
    parser.add_argument("--report", metavar="FILE", help="write the figures to FILE as JSON, and print no table")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    options = parser.parse_args()
    if not os.path.isdir(options.root):
        parser.error(f"--root {options.root!r} is not a directory; name the tree that shall be served")
    if options.width < 1:
        parser.error(f"--width {options.width} lets no request through; use 1 or more")
    report = asyncio.run(mirror(options))
    if options.report:
        with open(options.report, "w", encoding="utf-8") as file:
            json.dump(report, file)
    else:
        print(table([report]))
    for line in report["wrong"]:
        print(f"mismatch: {line!a}", file=sys.stderr)
    return 1 if report["mismatches"] or not report["files"] else 0


if __name__ == "__main__":
    sys.exit(main())
