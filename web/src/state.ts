// What the page knows and what its reader has chosen. Views read these signals; nothing else is shared between them.
import { computed, effect, signal } from "@preact/signals";
import type { Block, SnapshotLoop, SnapshotTask } from "./documents";
import { learnFrom, modelOf, READY, RUNNING, PARKED, snapshotOf, thingOf } from "./model";
import type { Lane, LoopModel } from "./model";
import type { Payload } from "./payload";
import { language } from "./words";
import type { Language } from "./words";

export const VIEWS = ["timeline", "tasks", "graph", "blocks", "histograms", "stepper"] as const;
export type View = (typeof VIEWS)[number];

export const payload = signal<Payload | null>(null);
export const live = signal<"" | "live" | "paused" | "ended">("");
export const view = signal<View>("timeline");
export const selected = signal<number | null>(null);
export const query = signal("");
export const stateFilter = signal("all");
export const loopId = signal<number | null>(null);
/** A moment that a view asks the time line to show: [from, to]. */
export const focus = signal<[number, number] | null>(null);

export const loops = computed<LoopModel[]>(() => {
  const { recording } = payload.value ?? {};
  return (recording?.loops ?? []).map((source) => {
    const model = modelOf(source);
    const snapshot = recording?.snapshot?.loops.find(({ id }) => id === source.id);
    if (snapshot) learnFrom(snapshot, model);
    return model;
  });
});

export const snapshots = computed<SnapshotLoop[]>(() => {
  const { recording, snapshot } = payload.value ?? {};
  const taken = snapshot ?? recording?.snapshot;
  return taken ? taken.loops : loops.value.map(snapshotOf);
});

export const loopNames = computed<[number, string][]>(() => {
  const names = new Map<number, string>();
  for (const { id, name } of [...loops.value, ...snapshots.value]) names.set(id, name || `loop ${id}`);
  return [...names];
});

const wanted = computed(() => loopId.value ?? busiest());
const busiest = (): number | undefined =>
  [...loops.value].sort((one, other) => other.source.events.length - one.source.events.length)[0]?.id ?? snapshots.value[0]?.id;

export const loop = computed<LoopModel | undefined>(() => loops.value.find(({ id }) => id === wanted.value));
export const snapshot = computed<SnapshotLoop | undefined>(() => snapshots.value.find(({ id }) => id === wanted.value));
export const blocks = computed<Block[]>(() =>
  (payload.value?.blocks ?? payload.value?.recording?.blocks ?? []).filter((block) => block.loop === wanted.value),
);

export interface TaskRow {
  id: number;
  name: string;
  coro: string;
  state: string;
  waited: number; // nanoseconds in this state
  waits: string;
  waitKind: string;
  ran: number;
  steps: number;
  delay: number;
  site: string;
  lane: Lane | undefined;
  task: SnapshotTask | undefined;
  text: string; // what the search looks in
}

const STATES: Record<number, string> = { 0: "done", [READY]: "ready", [RUNNING]: "running", [PARKED]: "parked" };

function rowOf(id: number, lane: Lane | undefined, task: SnapshotTask | undefined, now: number, model: LoopModel | undefined): TaskRow {
  const site = task?.site ?? lane?.facts?.site ?? null;
  const last = lane === undefined || lane.done ? -1 : lane.spans.length - 1;
  const since = task?.since_ns ?? (last >= 0 ? lane!.spans.start[last]! : now);
  const thing = last >= 0 && lane!.spans.state[last] === PARKED ? thingOf(model, lane!.spans.about[last]!) : undefined;
  const row = {
    id,
    name: task?.name ?? lane?.facts?.name ?? `task ${id}`,
    coro: lane?.facts?.coro ?? task?.chain[0]?.name ?? "",
    state: task?.state ?? (lane?.done ? "done" : (STATES[last >= 0 ? lane!.spans.state[last]! : READY] ?? "")),
    waited: Math.max(0, now - since),
    waits: task?.end?.label ?? thing?.label ?? "",
    waitKind: task?.end?.kind ?? thing?.kind ?? "",
    ran: lane?.spans.total(RUNNING) ?? 0,
    steps: lane?.steps ?? 0,
    delay: lane?.worstDelay ?? 0,
    site: site ? `${site.file.split("/").slice(-2).join("/")}:${site.line}` : "",
    lane,
    task,
    text: "",
  };
  if (row.state === "done") row.waited = 0;
  const frames = task?.chain.map(({ name, file }) => `${name} ${file}`).join(" ") ?? "";
  row.text = `${row.id} ${row.name} ${row.coro} ${row.waits} ${row.waitKind} ${row.site} ${frames}`.toLowerCase();
  return row;
}

/** The moment that the page shows. */
export const now = computed<number>(
  () => (payload.value?.snapshot ?? payload.value?.recording?.snapshot)?.taken_ns ?? loop.value?.end ?? 0,
);

export const rows = computed<TaskRow[]>(() => {
  const tasks = new Map(snapshot.value?.tasks.map((task) => [task.id, task]));
  const all = (loop.value?.lanes ?? []).map((lane) => rowOf(lane.id, lane, tasks.get(lane.id), now.value, loop.value));
  for (const task of tasks.values())
    if (!loop.value?.laneOf.has(task.id)) all.push(rowOf(task.id, undefined, task, now.value, loop.value));
  return all;
});

export const rowOfTask = computed(() => new Map(rows.value.map((row) => [row.id, row])));

export const found = computed<TaskRow[]>(() => {
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  const state = stateFilter.value;
  if (!words.length && state === "all") return rows.value;
  return rows.value.filter((row) => (state === "all" || row.state === state) && words.every((word) => row.text.includes(word)));
});

// --- choices that are kept -----------------------------------------------------------------------------------------------------

function kept(name: string): string | null {
  try {
    return localStorage.getItem(`yieldloop.${name}`);
  } catch {
    return null; // a page from a file may have no storage
  }
}

function keep(name: string, value: string): void {
  try {
    localStorage.setItem(`yieldloop.${name}`, value);
  } catch {
    // The choice is lost with the page.
  }
}

const system = matchMedia("(prefers-color-scheme: dark)");
const systemTheme = signal(system.matches ? "dark" : "light");
system.addEventListener("change", () => (systemTheme.value = system.matches ? "dark" : "light"));
const chosenTheme = signal(kept("theme"));
export const theme = computed(() => chosenTheme.value ?? systemTheme.value);

export function toggleTheme(): void {
  chosenTheme.value = theme.value === "dark" ? "light" : "dark";
  keep("theme", chosenTheme.value);
}

export function choose(next: Language): void {
  language.value = next;
  keep("language", next);
}

const before = kept("language");
if (before === "en" || before === "zh") language.value = before;

effect(() => {
  document.documentElement.dataset.theme = theme.value;
  document.documentElement.lang = language.value;
});
