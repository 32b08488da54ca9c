// What a recording says, in the form that the views need: per task the spans of its states, per loop what its thread did.
import type { ChainLink, RecordedLoop, RecordedTask, SnapshotLoop, SnapshotTask, Thing } from "./documents";

export const READY = 1;
export const RUNNING = 2;
export const PARKED = 3;

export const POLL = 1;
export const STEP = 2;
export const CALLBACK = 3;

/** Spans of time in order, each with a state and what it is about; sums before each span answer "how much of it in between". */
export class Spans {
  readonly start: Float64Array;
  readonly end: Float64Array;
  readonly state: Uint8Array;
  readonly about: Float64Array;
  private readonly sums = new Map<number, Float64Array>();

  constructor(rows: SpanRow[]) {
    this.start = Float64Array.from(rows, (row) => row[0]);
    this.end = Float64Array.from(rows, (row) => row[1]);
    this.state = Uint8Array.from(rows, (row) => row[2]);
    this.about = Float64Array.from(rows, (row) => row[3]);
  }

  get length(): number {
    return this.start.length;
  }

  /** The first span that ends after *time* (length, if none does). */
  after(time: number, from = 0): number {
    let low = from;
    let high = this.end.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.end[middle]! > time) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The span at *time*, or -1. */
  at(time: number): number {
    const index = this.after(time);
    return index < this.length && this.start[index]! <= time ? index : -1;
  }

  /** How many nanoseconds of [from, to) were spent in *state*. */
  within(state: number, from: number, to: number): number {
    return this.before(state, to) - this.before(state, from);
  }

  total(state: number): number {
    return this.before(state, Infinity);
  }

  private before(state: number, time: number): number {
    let sums = this.sums.get(state);
    if (sums === undefined) {
      sums = new Float64Array(this.length + 1);
      for (let i = 0; i < this.length; i++)
        sums[i + 1] = sums[i]! + (this.state[i] === state ? this.end[i]! - this.start[i]! : 0);
      this.sums.set(state, sums);
    }
    const index = this.after(time);
    const inside = index < this.length && this.state[index] === state ? Math.max(0, time - this.start[index]!) : 0;
    return sums[index]! + inside;
  }
}

type SpanRow = [start: number, end: number, state: number, about: number];

export interface Sample {
  ns: number;
  at: number;
  subject: number; // a task's number, or 0
}

export interface Lane {
  id: number;
  facts: RecordedTask | undefined;
  spans: Spans;
  steps: number;
  worstDelay: number;
  done: boolean;
}

export interface LoopModel {
  id: number;
  name: string;
  source: RecordedLoop;
  begin: number;
  end: number;
  thread: Spans;
  lanes: Lane[];
  laneOf: Map<number, Lane>;
  placeOf: Map<number, number>; // of a task: where it stood in its last wait of which that was recorded
  readyDelays: Sample[];
  stepTimes: Sample[];
  iterations: Sample[];
}

interface Open {
  since: number;
  state: number;
  about: number;
  rows: SpanRow[];
  steps: number;
  worstDelay: number;
}

export function modelOf(source: RecordedLoop): LoopModel {
  const { events } = source;
  const begin = events[0]?.[0] ?? 0;
  const end = Math.max(begin + 1, events[events.length - 1]?.[0] ?? 1);
  const tasks = new Map<number, Open>();
  const thread: SpanRow[] = [];
  const readyDelays: Sample[] = [];
  const stepTimes: Sample[] = [];
  const iterations: Sample[] = [];
  let iteration = -1;
  const stack: [kind: number, subject: number][] = []; // what the thread is in: a step may run within a callback or a step
  let since = begin;

  /** The time until now was the innermost's own. */
  const spend = (time: number): void => {
    const top = stack[stack.length - 1];
    if (top !== undefined && time > since) thread.push([since, time, top[0], top[1]]);
    since = time;
  };
  const goIn = (kind: number, subject: number, time: number): void => {
    spend(time);
    stack.push([kind, subject]);
  };
  const goOut = (kind: number, time: number): void => {
    spend(time);
    if (stack[stack.length - 1]?.[0] === kind) stack.pop(); // else its begin fell out of the ring
  };

  const enter = (id: number, time: number, state: number, about: number): Open => {
    let task = tasks.get(id);
    if (task === undefined) {
      task = { since: time, state: 0, about: 0, rows: [], steps: 0, worstDelay: 0 };
      tasks.set(id, task);
    } else if (task.state !== 0 && time > task.since) {
      task.rows.push([task.since, time, task.state, task.about]);
    }
    if (task.state === RUNNING) {
      stepTimes.push({ ns: time - task.since, at: task.since, subject: id });
      goOut(STEP, time);
    } else if (task.state === READY && state === RUNNING) {
      readyDelays.push({ ns: time - task.since, at: task.since, subject: id });
      task.worstDelay = Math.max(task.worstDelay, time - task.since);
    }
    if (state === RUNNING) goIn(STEP, id, time);
    task.since = time;
    task.state = state;
    task.about = about;
    return task;
  };

  for (const [time, kind, subject, object] of events) {
    switch (kind) {
      case "task_created":
        enter(subject, time, READY, 0);
        break;
      case "task_stepped":
        enter(subject, time, RUNNING, 0).steps++;
        break;
      case "task_parked":
        enter(subject, time, object ? PARKED : READY, object);
        break;
      case "task_woken":
        if (tasks.get(subject)?.state !== RUNNING) enter(subject, time, READY, object);
        break;
      case "task_done":
        enter(subject, time, 0, 0);
        break;
      case "callback_begun":
        goIn(CALLBACK, subject, time);
        break;
      case "callback_done":
        goOut(CALLBACK, time);
        break;
      case "poll_begun":
        goIn(POLL, 0, time);
        if (iteration >= 0) iterations.push({ ns: time - iteration, at: iteration, subject: 0 });
        iteration = -1;
        break;
      case "poll_done":
        goOut(POLL, time);
        iteration = time;
        break;
    }
  }
  spend(end);

  const lanes: Lane[] = [];
  for (const [id, task] of tasks) {
    if (task.state !== 0 && end > task.since) task.rows.push([task.since, end, task.state, task.about]);
    lanes.push({
      id,
      facts: source.tasks[id],
      spans: new Spans(task.rows),
      steps: task.steps,
      worstDelay: task.worstDelay,
      done: task.state === 0,
    });
  }
  const laneOf = new Map(lanes.map((lane) => [lane.id, lane]));
  const name = source.name || `loop ${source.id}`;
  const placeOf = lastPlaces(source);
  return { id: source.id, name, source, begin, end, thread: new Spans(thread), lanes, laneOf, placeOf, readyDelays, stepTimes, iterations };
}

const SAME = 1e6; // nanoseconds that the two looks at the clock may lie apart

/** What a task is parked on now, the snapshot knows better than the recording, which learns it when the task is woken. */
export function learnFrom(snapshot: SnapshotLoop, loop: LoopModel): void {
  for (const task of snapshot.tasks) {
    const spans = loop.laneOf.get(task.id)?.spans;
    const last = (spans?.length ?? 0) - 1;
    if (!spans || !task.end || last < 0 || spans.state[last] !== PARKED) continue;
    if (Math.abs(spans.start[last]! - task.since_ns) > SAME) continue;
    loop.source.things[spans.about[last]!] = { kind: task.end.kind, label: task.end.label };
  }
}

export const thingOf = (loop: LoopModel | undefined, id: number): Thing | undefined => loop?.source.things[id];

/** The links of the await chain that ends in the place *label*, outermost first. */
export function chainAt({ places = {} }: RecordedLoop, label: number): ChainLink[] {
  const chain: ChainLink[] = [];
  for (let place = places[label]; place; place = places[place.under ?? 0])
    chain.unshift({ kind: "coroutine", name: place.name, file: place.file ?? null, line: place.line ?? null });
  return chain;
}

/** Of each task the place of its last wait of which that was recorded. */
function lastPlaces({ events, stood = {} }: RecordedLoop): Map<number, number> {
  return new Map(Object.entries(stood).map(([index, label]) => [events[Number(index)]![2], label])); // keys that are numbers come in order
}

/** The tasks as the recording's last event left them, for a recording that carries no snapshot: no frames, but states and ends. */
export function snapshotOf(loop: LoopModel): SnapshotLoop {
  const tasks: SnapshotTask[] = [];
  for (const lane of loop.lanes) {
    if (lane.done) continue;
    const last = lane.spans.length - 1;
    const state = last < 0 ? READY : lane.spans.state[last]!;
    const thing = state === PARKED ? thingOf(loop, lane.spans.about[last]!) : undefined;
    tasks.push({
      id: lane.id,
      name: lane.facts?.name ?? `task ${lane.id}`,
      state: state === RUNNING ? "running" : state === READY ? "ready" : "parked",
      since_ns: last < 0 ? loop.end : lane.spans.start[last]!,
      made_ns: lane.facts?.made_ns ?? loop.begin,
      site: lane.facts?.site ?? null,
      chain: [],
      end: thing ? { ...thing } : null,
    });
  }
  return {
    id: loop.id,
    name: loop.name,
    thread: loop.source.thread,
    doing: { kind: "idle", task: null, label: "", since_ns: loop.end, stack: [] },
    ready: tasks.filter((task) => task.state === "ready").length,
    timers: tasks.filter((task) => task.end?.kind === "timer").length,
    fds: [],
    tasks,
    cycles: [],
    lost: null,
  };
}
