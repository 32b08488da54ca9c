"""Draws the pictures of chapters 8 to 13: python guide/tools/pictures.py [FOLDER]

What is data in them is taken from the chapters: the heap from a real loop, the lines of the mini asyncio, the map of chapter 13.
"""

import html
import sys
import textwrap
from importlib import import_module
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[1]
FOLDER = Path(sys.argv[1]) if sys.argv[1:] else GUIDE / "pictures"
sys.path.insert(0, str(GUIDE))

STYLE = """
  text { font: 13px ui-monospace, Menlo, Consolas, monospace; fill: #1f2328 }
  .dim { fill: #59636e; font-size: 11.5px }
  .mid { text-anchor: middle } .end { text-anchor: end }
  .box { fill: #f6f8fa; stroke: #8c959f } .blue { fill: #ddf4ff; stroke: #0969da } .sand { fill: #fff8c5; stroke: #9a6700 }
  .line { fill: none; stroke: #59636e } .blueline { fill: none; stroke: #0969da; stroke-width: 1.6 }
  .redline { fill: none; stroke: #cf222e; stroke-width: 1.6 } .dash { stroke-dasharray: 3 4 }
  #t path { fill: #59636e } #tb path { fill: #0969da } #tr path { fill: #cf222e }
  .ground { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } text { fill: #e6edf3 } .dim { fill: #9198a1 }
    .box { fill: #161b22; stroke: #656c76 } .blue { fill: #0c2d6b; stroke: #4493f8 } .sand { fill: #3b2300; stroke: #d29922 }
    .line { stroke: #9198a1 } .blueline { stroke: #4493f8 } .redline { stroke: #f85149 }
    #t path { fill: #9198a1 } #tb path { fill: #4493f8 } #tr path { fill: #f85149 }
  }
"""
TIPS = "".join(
    f'<marker id="{name}" orient="auto" markerUnits="userSpaceOnUse" markerWidth="9" markerHeight="8" refX="8" refY="4">'
    '<path d="M0 0 L9 4 L0 8 z"/></marker>'
    for name in ("t", "tb", "tr")
)
TIP_OF = {"line": "t", "blueline": "tb", "redline": "tr"}


class Picture:
    def __init__(self, width, height):
        self.width, self.height = width, height
        self.parts = []

    def text(self, x, y, words, kind=""):
        self.parts.append(f'<text class="{kind}" x="{x}" y="{y}">{html.escape(words)}</text>')

    def box(self, x, y, width, height, *lines, kind="box"):
        self.parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>')
        for number, words in enumerate(lines):
            self.text(x + width / 2, y + height / 2 + 4.5 + 17 * (number - (len(lines) - 1) / 2), words, "mid")

    def arrow(self, path, kind="line", dash=False):
        self.parts.append(f'<path class="{kind}{" dash" if dash else ""}" d="{path}" marker-end="url(#{TIP_OF[kind]})"/>')

    def line(self, path, kind="line"):
        self.parts.append(f'<path class="{kind}" d="{path}"/>')

    def save(self, name):
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}">'
        ground = f'<rect class="ground" width="{self.width}" height="{self.height}"/>'
        parts = [head, f"<style>{STYLE}</style>", f"<defs>{TIPS}</defs>", ground, *self.parts, "</svg>"]
        (FOLDER / f"{name}.svg").write_text("\n".join(parts) + "\n", encoding="utf-8")


def time():
    chapter = import_module("08_time")
    loop = chapter.Loop(chapter.PretendedClock())
    for when in 50, 20, 40, 10, 30:
        loop.call_at(when, print)
    p = Picture(790, 300)
    p.text(165, 26, "timers", "mid")
    places = [(165, 50), (90, 125), (240, 125), (45, 200), (135, 200)]
    for child, (x, y) in enumerate(places):
        if child:
            px, py = places[(child - 1) // 2]
            p.line(f"M{px} {py + 34} L{x} {y}")
        p.box(x - 30, y, 60, 34, f"{loop.timers[child].when} s", kind="sand" if child == 0 else "box")
        p.text(x + 34, y + 14, f"[{child}]", "dim")
    p.text(165, 268, "no parent is later than its children:", "dim mid")
    p.text(165, 284, "[0] is the first that is due", "dim mid")

    p.text(500, 26, "one iteration", "mid")
    steps = [
        ("how_long()", "until timers[0], at most"),
        ("wait(timeout)", "sleep"),
        ("fire()", "what is due"),
        ("run_ready()", "call"),
    ]
    for number, (name, words) in enumerate(steps):
        y = 44 + number * 60
        p.box(410, y, 180, 40, name, kind="blue")
        p.text(600, y + 24, words, "dim")
        if number:
            p.arrow(f"M500 {y - 20} V{y - 2}")
    p.arrow("M500 264 V282 H380 V64 H407")
    p.arrow("M198 60 C 270 40, 320 48, 405 60", "blueline")
    p.arrow("M198 76 C 310 100, 300 178, 405 183", "blueline")
    p.save("08_time")


def sockets():
    p = Picture(720, 330)
    rows = [("anna", "reads", False), ("server", "accepts", False), ("ben", "writes", True)]
    p.text(80, 24, "task", "mid")
    p.text(235, 24, "future", "mid")
    p.text(420, 24, "selector", "mid")
    p.text(620, 24, "kernel", "mid")
    p.parts.append('<rect class="box" x="335" y="36" width="170" height="206" rx="6"/>')
    p.parts.append('<rect class="box" x="550" y="36" width="150" height="206" rx="6"/>')
    for number, (name, does, ready) in enumerate(rows):
        y = 50 + number * 64
        p.box(20, y, 120, 44, name, does, kind="blue")
        p.arrow(f"M142 {y + 22} H180")
        p.box(183, y, 104, 44, "Future", "finished" if ready else "pending", kind="sand")
        event = "EVENT_WRITE" if ready else "EVENT_READ"
        p.box(345, y, 150, 44, event, "callback", kind="box")
        p.arrow(f"M343 {y + 22} H290", "blueline" if ready else "line")
        words = {"anna": "nothing there", "ben": "room to send", "server": "nobody calls"}[name]
        p.text(625, y + 18, f"socket {number + 5}", "mid")
        p.text(625, y + 34, words, "dim mid")
        p.arrow(f"M560 {y + 22} H498", "blueline" if ready else "line", dash=not ready)
    p.text(470, 268, "select(timeout) sleeps in the kernel until one of them is ready", "dim mid")
    p.box(20, 284, 120, 34, "ready queue")
    p.arrow("M235 224 V301 H143", "blueline")
    p.text(250, 306, "wake: the step of ben goes into the queue", "dim")
    p.save("09_sockets")


def async_await():
    p = Picture(720, 300)
    columns = [
        (190, "generators", ["Task.step", "breakfast", "tea", "Future"], "yield from", "gi_yieldfrom", "__iter__"),
        (540, "coroutines", ["Task.step", "async breakfast", "async tea", "Future"], "await", "cr_await", "__await__"),
    ]
    for x, title, names, word, attribute, method in columns:
        p.text(x, 22, title, "mid")
        for number, name in enumerate(names):
            y = 36 + number * 66
            kind = "blue" if number == 0 else "sand" if number == 3 else "box"
            p.box(x - 70, y, 140, 36, name, kind=kind)
            if number:
                p.arrow(f"M{x - 34} {y - 30} V{y - 2}")
                label = "send(None)" if number == 1 else word
                p.text(x - 40, y - 11, label, "dim end")
                p.arrow(f"M{x + 34} {y} V{y - 28}", "blueline")
        p.text(x + 78, 36 + 66 + 50, attribute, "dim")
        p.text(x + 78, 36 + 66 * 3 + 22, method, "dim")
        p.text(x + 42, 36 + 66 - 11, "the future", "dim")
    p.text(365, 290, "the same frames, the same send and throw; only the words and the flags of the code differ", "dim mid")
    p.save("10_async_await")


def streams_locks():
    p = Picture(720, 420)
    p.text(180, 22, "a lock: held by one, and a line of futures", "mid")
    p.box(30, 50, 90, 40, "Lock", "held", kind="sand")
    for number, name in enumerate(("anna", "ben")):
        p.box(160 + number * 100, 50, 84, 40, "Future", name)
    p.arrow("M120 70 H157")
    p.arrow("M244 70 H257")
    p.arrow("M75 92 V124 H202 V93", "blueline")
    p.text(138, 142, "release(): it is anna's now", "dim mid")

    p.text(540, 22, "a time limit: a timer that cancels", "mid")
    p.box(390, 50, 90, 40, "timer", kind="sand")
    p.box(570, 50, 130, 40, "Task", "in its block", kind="blue")
    p.arrow("M482 70 H567", "redline")
    p.text(525, 62, "cancel()", "dim mid")
    p.arrow("M635 92 V131 H522", "redline")
    p.box(390, 114, 130, 34, "TimeoutError")
    p.text(540, 168, "CancelledError goes in, this comes out", "dim mid")

    p.text(180, 216, "a thread: only by the bell", "mid")
    p.box(30, 244, 110, 40, "thread", "function()")
    p.box(230, 244, 110, 40, "loop", "asleep", kind="blue")
    p.arrow("M142 256 H227", "line")
    p.text(185, 250, "ready", "dim mid")
    p.arrow("M142 274 H227", "blueline")
    p.text(185, 290, "ring!", "dim mid")
    p.text(185, 316, "call_soon_threadsafe: first into the queue,", "dim mid")
    p.text(185, 332, "then a byte into the socket that the loop watches", "dim mid")

    p.text(540, 216, "a stream: pieces in, lines out", "mid")
    for number, piece in enumerate(("one li", "ne⏎two", " lines⏎")):
        p.box(390 + number * 72, 244, 66, 30, piece)
    p.arrow("M500 278 V296", "blueline")
    p.box(440, 300, 130, 30, "buffer", kind="sand")
    p.arrow("M505 332 V350", "blueline")
    p.box(400, 354, 96, 30, "one line⏎", kind="blue")
    p.box(512, 354, 104, 30, "two lines⏎", kind="blue")
    p.text(620, 320, "more()", "dim")
    p.text(630, 374, "readline()", "dim")
    p.save("11_streams_locks")


def mini():
    def lines(file, begin, end):
        text = (GUIDE / file).read_text(encoding="utf-8").splitlines()
        first = next(number for number, line in enumerate(text) if line.startswith(begin))
        last = next((number for number, line in enumerate(text) if end and line.startswith(end)), len(text))
        return last - first

    p = Picture(700, 390)
    loop, programs = "# --- the loop", "# --- what programs"
    rows = [
        ("12_mini.py", "HTTP client and server", "read_head Site.serve fetch", "async def read_head", "class Stranger"),
        ("mini_streams.py", "streams", "StreamReader StreamWriter Server", "class StreamReader", ""),
        ("mini.py", "what programs use", "sleep gather timeout Lock to_thread ready_for", programs, ""),
        ("mini.py", "the loop", "ready timers selector bell run_once", loop, programs),
        ("mini.py", "who waits, and for what", "Handle Future Task", "class CancelledError", loop),
    ]
    for number, (file, title, names, begin, end) in enumerate(rows):
        y = 14 + number * 74
        kind = "blue" if number == 0 else "box" if number < 3 else "sand"
        p.parts.append(f'<rect class="{kind}" x="150" y="{y}" width="470" height="56" rx="6"/>')
        p.text(162, y + 22, title)
        p.text(162, y + 42, names, "dim")
        p.text(140, y + 32, file, "end")
        p.text(630, y + 32, f"{lines(file, begin, end)} lines", "dim")
        if number:
            p.arrow(f"M385 {y - 18} V{y - 3}")
    p.text(385, 384, "each stands on what is below it, and knows nothing of what is above", "dim mid")
    p.save("12_mini")


def to_the_real_one():
    chapter = import_module("13_to_the_real_one")
    folders = ["aio", "loop", "transports", "wire", "pollers", "engine"]
    pieces = {folder: [] for folder in folders}
    for _, name, *pointers in chapter.MAP:
        for folder in dict.fromkeys(pointer.split("/")[0] for pointer in pointers):
            if folder in pieces:
                pieces[folder].append(name.removeprefix("Loop.") if name.startswith("Loop.") and "__" not in name else name)
    does = {
        "aio": "what programs await",
        "loop": "asyncio's face: connect, serve, signals, executors",
        "transports": "sockets: tcp, udp, tls, pipes, processes",
        "wire": "bytes without sockets: buffers, flow control, TLS records",
        "pollers": "the kernel: select, poll, epoll, kqueue",
        "engine": "what runs: queue, timers, Future, Task, the iteration",
    }
    p = Picture(760, 560)
    p.text(150, 22, "yieldloop", "mid")
    p.text(540, 22, "where the mini asyncio's pieces have gone", "mid")
    y = 36
    for folder in folders:
        names = textwrap.wrap("  ".join(name.replace(" ", "") for name in pieces[folder]), 58)
        height = max(70, 20 + 16 * len(names))
        kind = "sand" if folder == "engine" else "box"
        p.parts.append(f'<rect class="{kind}" x="20" y="{y}" width="720" height="{height}" rx="6"/>')
        p.text(34, y + 26, folder + "/")
        words = does[folder]
        half = words if len(words) < 34 else words[: words.rfind(" ", 0, 34)]
        p.text(34, y + 44, half, "dim")
        p.text(34, y + 58, words[len(half) :].strip(), "dim")
        for row, line in enumerate(names):
            p.text(310, y + 22 + row * 16, line, "dim")
        y += height + 8
    p.height = y + 6
    p.save("13_to_the_real_one")


if __name__ == "__main__":
    for draw in time, sockets, async_await, streams_locks, mini, to_the_real_one:
        draw()
