"""`yieldloop top`: a process's loops on a terminal, live: tasks, what blocked the loop, file descriptors.

What lives here: the screen, in Textual (``yieldloop[top]``). What may not: what its numbers mean (`watch.usage`), and anything that
changes the process that it shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Static, TabbedContent, TabPane

from yieldloop.cli.asking import block_line
from yieldloop.watch import usage
from yieldloop.watch.outside import OutsideError
from yieldloop.watch.tree import count_of, duration, short

__all__ = ["Seen", "Top", "show"]

MOST_ROWS = 300  # a terminal shows fewer, and each costs
LONGEST_SHARE = 10  # looking may take a tenth of the time
COLUMNS = {
    "tasks": ("task", "name", "state", "for", "CPU", "steps", "delay", "waits for", "at"),
    "blocks": ("kind", "count", "worst", "now", "who", "at"),
    "descriptors": ("loop", "fd", "side", "peer", "local"),
}
STATE_COLOURS = {"running": "green", "ready": "yellow", "parked": "", "new": "cyan"}

Seen = dict[str, Any]
"""One look: ``snapshot``, ``blocks`` and ``recording`` (no loop is in it if the process keeps none), as the process answered."""


def show(pid: int, look: Callable[[], Seen], interval: float) -> None:
    """Show what *look* gives, every *interval* s or more rarely if looking takes long, until the user quits."""
    Top(pid, look, interval).run()


class Top(App[None]):
    """The whole screen."""

    CSS = """
    #head { height: auto; padding: 0 1; background: $primary-darken-2; color: $text; }
    #detail { height: 10; border-top: solid $primary; padding: 0 1; overflow-y: auto; }
    TabbedContent, DataTable { height: 1fr; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("s", "order", "order"),
        Binding("p", "pause", "pause"),
    ]

    def __init__(self, pid: int, look: Callable[[], Seen], interval: float) -> None:
        super().__init__()
        self._pid = pid
        self._look = look
        self._interval = interval
        self._order = "cpu"
        self._paused = False
        self._seen: Seen | None = None
        self._rows: dict[str, usage.Row] = {}
        # Held, not looked up: at the end messages still come when the screen is already empty.
        self._told = Static("asking …", id="head")
        self._detail = Static("", id="detail")
        self._tables: dict[str, DataTable[Any]] = {
            name: DataTable(id=f"{name}-table", cursor_type="row", zebra_stripes=True) for name in COLUMNS
        }

    def compose(self) -> ComposeResult:
        """Head, three tables, and the task that the cursor is on."""
        yield self._told
        with TabbedContent(initial="tasks"):
            for name, columns in COLUMNS.items():
                with TabPane(name, id=name):
                    self._tables[name].add_columns(*columns)
                    yield self._tables[name]
        yield self._detail
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        self.title = f"yieldloop top {self._pid}"
        self._tables["tasks"].focus()
        self._look_again()

    @work(thread=True, exclusive=True)
    def _look_again(self) -> None:
        began = time.monotonic()
        seen: Seen | None = None
        problem = ""
        try:
            seen = self._look()
        except (OutsideError, OSError) as exc:
            problem = str(exc)
        took = time.monotonic() - began
        self.call_from_thread(self._show, seen, problem, max(self._interval, took * LONGEST_SHARE))

    def _show(self, seen: Seen | None, problem: str, pause: float) -> None:
        if seen is None:
            self._told.update(Text(problem, style="bold red"))
        elif not self._paused:
            self._seen = seen
            self._draw()
        self.set_timer(pause, self._look_again)

    def action_order(self) -> None:
        """Order the tasks by the next of the ways."""
        names = list(usage.KEYS)
        self._order = names[(names.index(self._order) + 1) % len(names)]
        self._draw()

    def action_pause(self) -> None:
        """Keep what is shown, or go on."""
        self._paused = not self._paused
        self._draw()

    def _draw(self) -> None:
        if self._seen is None:
            return
        snapshot, blocks = self._seen["snapshot"], self._seen["blocks"]
        rows = usage.rows(snapshot, self._seen["recording"], int(max(self._interval, 1) * 1e9))
        rows.sort(key=usage.KEYS[self._order])
        self._told.update(self._head(snapshot, blocks, len(rows)))
        self._rows = {str(row.id): row for row in rows[:MOST_ROWS]}
        _fill(self._tables["tasks"], {key: _cells(row) for key, row in self._rows.items()})
        _fill(
            self._tables["blocks"],
            {
                f"{block['kind']} {block['file']}:{block['line']}": (
                    block["kind"],
                    str(block["count"]),
                    duration(block["worst_ns"]),
                    duration(block["ns"]) if block["going_on"] else "",
                    block["label"],
                    f"{short(block['file'])}:{block['line']}",
                )
                for block in blocks
            },
        )
        _fill(
            self._tables["descriptors"],
            {
                f"{loop['id']} {fd['fd']} {fd['direction']}": (
                    loop["name"], str(fd["fd"]), fd["direction"], fd["peer"] or "", fd["local"] or ""
                )
                for loop in snapshot["loops"]
                for fd in loop["fds"]
            },
        )  # fmt: skip
        self._tell_detail()

    def _head(self, snapshot: dict[str, Any], blocks: list[dict[str, Any]], tasks: int) -> Text:
        process = snapshot["process"]
        lines = [f"{self._pid}  {' '.join(process['argv'])}  Python {process['python']}, yieldloop {process['yieldloop']}"]
        for loop in snapshot["loops"]:
            doing = loop["doing"]
            since = "" if doing["since_ns"] is None else f" for {duration(snapshot['taken_ns'] - doing['since_ns'])}"
            states = [task["state"] for task in loop["tasks"]]
            counts = ", ".join(f"{states.count(state)} {state}" for state in STATE_COLOURS if state in states)
            line = f"{loop['name']}: {doing['label']}{since}; {count_of(len(states), 'task')} ({counts})"
            if loop["ready"] is not None and loop["timers"] is not None:
                sides = count_of(len(loop["fds"]), "descriptor side")
                line += f", {loop['ready']} ready to run, {count_of(loop['timers'], 'timer')}, {sides}"
            lines.append(line)
        for cycle in (cycle for loop in snapshot["loops"] for cycle in loop["cycles"]):
            lines.append(f"tasks {', '.join(map(str, cycle))} wait for each other in a circle")
        lines += [block_line(block) for block in blocks if block["going_on"]]
        recorded = "" if self._seen and self._seen["recording"]["loops"] else "; no recording, so no CPU and delay"
        shown = f"{MOST_ROWS} of {tasks} tasks are shown, " if tasks > MOST_ROWS else ""
        lines.append(f"{shown}by {self._order}{recorded}{'  PAUSED' if self._paused else ''}")
        return Text("\n".join(lines))

    def on_data_table_row_highlighted(self) -> None:
        """The cursor has moved."""
        self._tell_detail()

    def _tell_detail(self) -> None:
        table = self._tables["tasks"]
        if not table.row_count:
            return
        key = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
        row = self._rows.get(key or "")
        if row is None:
            return
        site = row.task["site"]
        made = f", made at {short(site['file'])}:{site['line']} in {site['function']}" if site else ""
        lines = [f"task {row.id} {row.name!r}{made}"]
        for frame in row.task["chain"]:
            where = "" if frame["file"] is None else f"  {short(frame['file'])}:{frame['line']}"
            lines.append(f"  {frame['kind']} {frame['name']}(){where}")
        if row.waits_for:
            lines.append(f"  waits for {row.waits_for}")
        self._detail.update(Text("\n".join(lines)))


def _cells(row: usage.Row) -> tuple[str | Text, ...]:
    return (
        str(row.id),
        row.name,
        Text(row.state, style=STATE_COLOURS.get(row.state, "")),
        "" if row.since_ns is None else duration(row.since_ns),
        "" if row.cpu is None else f"{row.cpu:.1%}",
        str(row.steps or ""),
        "" if not row.delay_ns else duration(row.delay_ns),
        row.waits_for,
        row.at,
    )


def _fill(table: DataTable[Any], wanted: dict[str, tuple[str | Text, ...]]) -> None:
    """Let *table* show *wanted*, in its order, with the cursor on the row that it was on."""
    key = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value if table.row_count else None
    table.clear()
    for name, cells in wanted.items():
        table.add_row(*[Text(cell) if isinstance(cell, str) else cell for cell in cells], key=name)
    if key in wanted:
        table.move_cursor(row=list(wanted).index(key))
