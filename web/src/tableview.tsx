// The task table: only the rows in sight are in the page, so that 100,000 tasks scroll as ten do.
import { computed, signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { Virtualizer, elementScroll, observeElementOffset, observeElementRect } from "@tanstack/virtual-core";
import { count, duration, percent } from "./format";
import { found, loop, rows, selected, stateFilter } from "./state";
import type { TaskRow } from "./state";
import { groupOf } from "./timeline";
import { say } from "./words";
import type { Word } from "./words";

const ROW = 30;

interface Column {
  word: Word | "#";
  key: (row: TaskRow) => number | string;
  show: (row: TaskRow) => preact.ComponentChildren;
  number?: boolean;
}

const COLUMNS: Column[] = [
  { word: "#", key: (row) => row.id, show: (row) => row.id, number: true },
  { word: "name", key: (row) => row.name, show: (row) => <><b>{row.name}</b> <small>{row.coro}</small></> },
  { word: "state", key: (row) => row.state, show: (row) => <span class={`state ${row.state}`}>{say(row.state)}</span> },
  { word: "since", key: (row) => row.waited, show: (row) => (row.state === "done" ? "" : duration(row.waited)), number: true },
  {
    word: "waits",
    key: (row) => row.waits,
    show: (row) => row.waits && <><i class={`ink ${groupOf(row.waitKind)}`} />{row.waits}</>,
  },
  { word: "ran", key: (row) => row.ran, show: (row) => (row.ran ? `${duration(row.ran)} · ${percent(row.ran / span())}` : ""), number: true },
  { word: "steps", key: (row) => row.steps, show: (row) => (row.steps ? count(row.steps) : ""), number: true },
  { word: "delay", key: (row) => row.delay, show: (row) => (row.delay ? duration(row.delay) : ""), number: true },
  { word: "site", key: (row) => row.site, show: (row) => <code>{row.site}</code> },
];

const span = (): number => (loop.value ? loop.value.end - loop.value.begin : 1);

const order = signal({ column: 0, down: false });

const sorted = computed(() => {
  const { column, down } = order.value;
  const { key } = COLUMNS[column]!;
  const sign = down ? -1 : 1;
  return [...found.value].sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    return sign * (typeof a === "number" ? a - (b as number) : a.localeCompare(b as string)) || one.id - other.id;
  });
});

const sortBy = (column: number): void => {
  const { column: before, down } = order.value;
  order.value = { column, down: before === column ? !down : COLUMNS[column]!.number === true && column > 0 };
};

/** The rows of a scrolling element that are in sight. */
function useVirtual(total: number) {
  const box = useRef<HTMLDivElement>(null);
  const [, redraw] = useState(0);
  const [virtual] = useState(
    () =>
      new Virtualizer<HTMLDivElement, HTMLDivElement>({
        count: total,
        getScrollElement: () => box.current,
        estimateSize: () => ROW,
        overscan: 8,
        observeElementRect,
        observeElementOffset,
        scrollToFn: elementScroll,
        onChange: () => redraw((turn) => turn + 1),
      }),
  );
  virtual.setOptions({ ...virtual.options, count: total });
  useEffect(() => virtual._didMount(), []);
  useEffect(() => virtual._willUpdate());
  return { box, virtual };
}

const STATES = ["all", "running", "ready", "parked", "new", "done"] as const;

function Filters() {
  const counts = new Map<string, number>([["all", rows.value.length]]);
  for (const { state } of rows.value) counts.set(state, (counts.get(state) ?? 0) + 1);
  return (
    <div class="bar" role="group" aria-label={say("state")}>
      {STATES.filter((state) => counts.has(state)).map((state) => (
        <button key={state} aria-pressed={stateFilter.value === state} onClick={() => (stateFilter.value = state)}>
          {say(state)} <small>{count(counts.get(state)!)}</small>
        </button>
      ))}
    </div>
  );
}

export function Table() {
  const list = sorted.value;
  const { box, virtual } = useVirtual(list.length);
  const move = (event: KeyboardEvent): void => {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    const index = list.findIndex(({ id }) => id === selected.value);
    const next = Math.min(list.length - 1, Math.max(0, index + by));
    if (list[next]) selected.value = list[next].id;
    virtual.scrollToIndex(next);
  };
  const { column, down } = order.value;
  return (
    <section class="tasks">
      <Filters />
      <div class="table" role="table" aria-rowcount={list.length} ref={box} tabIndex={0} onKeyDown={move}>
        <div class="row head" role="row">
          {COLUMNS.map(({ word, number }, index) => (
            <div
              key={word}
              role="columnheader"
              class={number ? "number" : ""}
              aria-sort={index === column ? (down ? "descending" : "ascending") : "none"}
            >
              <button onClick={() => sortBy(index)}>{say(word)}{index === column ? (down ? " ↓" : " ↑") : ""}</button>
            </div>
          ))}
        </div>
        <div style={{ height: `${virtual.getTotalSize()}px`, position: "relative" }}>
          {virtual.getVirtualItems().map(({ index, start }) => {
            const row = list[index];
            return row && (
              <div
                key={row.id}
                class="row"
                role="row"
                data-task={row.id}
                aria-selected={row.id === selected.value}
                aria-rowindex={index + 1}
                style={{ transform: `translateY(${start}px)` }}
                onClick={() => (selected.value = row.id)}
              >
                {COLUMNS.map(({ word, show, number }) => (
                  <div key={word} role="cell" class={number ? "number" : ""}>{show(row)}</div>
                ))}
              </div>
            );
          })}
        </div>
        {list.length === 0 && <p class="empty">{say("notasks")}</p>}
      </div>
    </section>
  );
}
