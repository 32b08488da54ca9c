// A recording as a walk document: each recorded event is a step, and what the loop held at that moment is worked out when asked.
import type { ChainLink, RecordedEvent, SnapshotLoop, SnapshotTask } from "./documents";
import type { LoopModel } from "./model";
import { chainAt, thingOf } from "./model";
import type { WalkDocument, WalkFrame, WalkStep, WalkSteps } from "./walk";
import { duration, moment } from "./format";
import { language, say } from "./words";

const SHOWN = 200; // entries of one list in one step; more are counted

/** Where a task stands in a step. What was not recorded of this wait is borrowed from another one that ended in the event *from*, or
 * from none (-1): then only the outermost link is certain. */
interface Stand {
  links: ChainLink[];
  from?: number;
}

class Moment {
  constructor(
    readonly ready = new Set<number>(), // tasks, in order: a Set keeps the order of insertion
    readonly parked = new Map<number, number>(), // task: thing
    readonly running: number[] = [], // tasks, the innermost last: a step may run within another
    public callback = 0, // thing
    public polling = false,
  ) {}

  copy(): Moment {
    return new Moment(new Set(this.ready), new Map(this.parked), [...this.running], this.callback, this.polling);
  }

  follow([, kind, subject, object]: RecordedEvent): void {
    switch (kind) {
      case "task_created":
        this.ready.add(subject);
        break;
      case "task_woken":
        this.parked.delete(subject);
        this.ready.add(subject);
        break;
      case "task_stepped":
        this.ready.delete(subject);
        this.parked.delete(subject);
        this.running.push(subject);
        this.polling = false;
        break;
      case "task_parked":
        if (object) this.parked.set(subject, object);
        else this.ready.add(subject);
        if (this.running.at(-1) === subject) this.running.pop();
        break;
      case "task_done":
        this.ready.delete(subject);
        this.parked.delete(subject);
        if (this.running.at(-1) === subject) this.running.pop();
        break;
      case "callback_begun":
        this.callback = subject;
        break;
      case "callback_done":
        this.callback = 0;
        break;
      case "poll_begun":
        this.polling = true;
        break;
      case "poll_done":
        this.polling = false;
        break;
    }
  }
}

class RecordedSteps implements WalkSteps {
  private readonly marks: Moment[] = [];
  private readonly stride: number;
  private last: [number, Moment] | null = null;

  constructor(
    private readonly loop: LoopModel,
    private readonly snapshot: SnapshotLoop | undefined,
  ) {
    this.stride = Math.max(512, loop.lanes.length);
    const state = new Moment();
    loop.source.events.forEach((event, index) => {
      if (index % this.stride === 0) this.marks.push(state.copy());
      state.follow(event);
    });
  }

  get length(): number {
    return this.loop.source.events.length;
  }

  at(index: number): WalkStep | undefined {
    const event = this.loop.source.events[index];
    return event === undefined ? undefined : this.describe(event, index);
  }

  private momentAfter(index: number): Moment {
    const { events } = this.loop.source;
    let [from, state] = this.last ?? [Infinity, new Moment()];
    if (from > index + 1 || index - from > this.stride) {
      from = Math.floor(index / this.stride) * this.stride;
      state = this.marks[from / this.stride]!.copy();
    }
    for (; from <= index; from++) state.follow(events[from]!);
    this.last = [index + 1, state];
    return state;
  }

  private task(id: number): string {
    return this.loop.source.tasks[id]?.name ?? `${say("task")} ${id}`;
  }

  private thing(id: number): string {
    return thingOf(this.loop, id)?.label ?? (id ? `#${id}` : "");
  }

  /** A step. Who looks through many of them reads their events, or their stacks: what takes time is made when it is read. */
  private describe(event: RecordedEvent, index: number): WalkStep {
    const task = event[1].startsWith("task_") ? event[2] : undefined;
    const site = task === undefined ? null : this.loop.source.tasks[task]?.site;
    const text = (): string => this.text(event);
    const stack = (): WalkFrame[] => this.stack(this.momentAfter(index), index);
    const ready = (): string[] => shorten([...this.momentAfter(index).ready].map((id) => this.task(id)));
    const waiting = (kind: string): string[] => this.waiting(kind, index);
    const note = (): string => this.note(event, index);
    return {
      event: event[1],
      get text() {
        return text();
      },
      file: site?.file ?? "",
      line: site?.line ?? 0,
      get stack() {
        return stack();
      },
      generators: [],
      get ready() {
        return ready();
      },
      get timers() {
        return waiting("timer");
      },
      get fds() {
        return waiting("fd");
      },
      output: "",
      task,
      get note() {
        return note();
      },
    };
  }

  private text([time, kind, subject, object]: RecordedEvent): string {
    return `${moment(time - this.loop.begin)}  ${say(kind)} ${this.about(kind, subject, object)}`.trimEnd();
  }

  /** What an event's numbers mean: see the recording's documentation. */
  private about(kind: string, subject: number, object: number): string {
    if (kind === "poll_begun") return subject > 0 ? `≤ ${duration(subject)}` : "";
    if (kind === "poll_done") return `(${subject})`;
    if (kind === "fd_ready") return `${subject} ${["", "r", "w", "rw"][object] ?? object}`;
    const other = this.thing(object);
    return `${kind.startsWith("task_") ? this.task(subject) : this.thing(subject)}${other ? ` → ${other}` : ""}`;
  }

  private waiting(kind: string, index: number): string[] {
    const texts: string[] = [];
    for (const [task, thing] of this.momentAfter(index).parked)
      if (thingOf(this.loop, thing)?.kind === kind) texts.push(`${this.task(task)}: ${this.thing(thing)}`);
    return shorten(texts);
  }

  private stack(now: Moment, index: number): WalkFrame[] {
    const stack: WalkFrame[] = [{ name: this.loop.name, file: "", line: 0, kind: "loop", id: "loop" }];
    if (now.polling) stack.push({ name: "poll", file: "", line: 0, kind: "poll", id: "poll" });
    if (now.callback) stack.push({ name: this.thing(now.callback), file: "", line: 0, kind: "callback", id: `c${now.callback}` });
    for (const task of now.running) stack.push(...this.frames(task, this.standing(task, index)));
    const [, kind, task] = this.loop.source.events[index]!;
    const left = kind === "task_parked" ? this.parking(task, index) : kind === "task_done" ? this.standing(task, index) : undefined;
    if (left) stack.push(...this.frames(task, left).map((frame) => ({ ...frame, leaving: true })));
    return stack;
  }

  /** Where a task stands as its step begins: where it had parked before. */
  private standing(task: number, index: number): Stand {
    const park = this.parkBefore(task, index);
    if (park === undefined && this.created().has(task)) return { links: [this.outermost(task)] };
    const shown = index >= (this.lastStep().get(task) ?? 0) ? this.shown(task) : undefined;
    return this.recorded(park) ?? (shown?.state === "running" ? { links: shown.chain } : this.borrowed(task, index, park));
  }

  /** Where a task stands that parks. */
  private parking(task: number, park: number): Stand {
    const last = this.parks().get(task)!.at(-1) === park && park > (this.lastStep().get(task) ?? 0);
    const shown = last ? this.shown(task) : undefined;
    return this.recorded(park) ?? (shown?.state === "parked" ? { links: shown.chain } : this.borrowed(task, park, park));
  }

  private recorded(park: number | undefined): Stand | undefined {
    const links = this.links(park);
    return links.length ? { links } : undefined;
  }

  private links(park: number | undefined): ChainLink[] {
    return park === undefined ? [] : chainAt(this.loop.source, this.loop.source.stood?.[park] ?? 0);
  }

  /** The nearest recorded wait: of this task for the same kind of thing, of another one that runs the same, or of this task at all. */
  private borrowed(task: number, index: number, park: number | undefined): Stand {
    const keys = park === undefined ? [`${task}`] : this.keysOf(park);
    const from = keys.map((key) => nearest(this.waits().get(key), index)).find((found) => found !== undefined);
    return from === undefined ? { links: [{ ...this.outermost(task), line: null }], from: -1 } : { links: this.links(from), from };
  }

  private outermost(task: number): ChainLink {
    const facts = this.loop.source.tasks[task];
    return { kind: "coroutine", name: facts?.coro ?? this.task(task), file: facts?.begins?.file ?? null, line: facts?.begins?.line ?? null };
  }

  private frames(task: number, { links, from }: Stand): WalkFrame[] {
    const borrowed = from !== undefined && from >= 0;
    return links.map(({ name, file, line, kind }, depth) => ({
      name, file: file ?? "", line: line ?? 0, kind, id: `${task}.${depth}.${name}`, borrowed,
    }));
  }

  private shown(task: number): SnapshotTask | undefined {
    this.seen ??= new Map(this.snapshot?.tasks.filter(({ chain }) => chain.length > 0).map((shown) => [shown.id, shown]));
    return this.seen.get(task);
  }

  /** What the frames of a step leave open. */
  private note([time, kind, subject]: RecordedEvent, index: number): string {
    const ends = kind === "task_parked" || kind === "task_done";
    const task = ends ? subject : this.momentAfter(index).running.at(-1);
    if (task === undefined) return "";
    const { from } = kind === "task_parked" ? this.parking(task, index) : this.standing(task, index);
    if (from === undefined) return "";
    if (from < 0) return say("noplace");
    const [then, , whose] = this.loop.source.events[from]!;
    const whence = whose === task ? say("ownplace") : `${say("likeplace")} ${this.task(whose)}`;
    return `${say("noplace")} ${whence} (${duration(Math.abs(time - then))} ${say(then < time ? "earlier" : "later")})`;
  }

  private parkBefore(task: number, index: number): number | undefined {
    return lastBefore(this.parks().get(task) ?? [], index);
  }

  private steps: Map<number, number> | null = null;
  private parked: Map<number, number[]> | null = null;
  private made: Set<number> | null = null;
  private seen: Map<number, SnapshotTask> | null = null;
  private known: Map<string, number[]> | null = null;

  private lastStep(): Map<number, number> {
    if (this.steps === null) {
      this.steps = new Map();
      for (const [index, [, kind, subject]] of this.loop.source.events.entries())
        if (kind === "task_stepped") this.steps.set(subject, index);
    }
    return this.steps;
  }

  private parks(): Map<number, number[]> {
    if (this.parked === null) {
      this.parked = new Map();
      for (const [index, [, kind, subject]] of this.loop.source.events.entries())
        if (kind === "task_parked") {
          const known = this.parked.get(subject);
          if (known) known.push(index);
          else this.parked.set(subject, [index]);
        }
    }
    return this.parked;
  }

  /** The events in which tasks parked whose place was recorded, under each of their keys. */
  private waits(): Map<string, number[]> {
    if (this.known === null) {
      this.known = new Map();
      for (const park of Object.keys(this.loop.source.stood ?? {}).map(Number)) // keys that are numbers come in order
        for (const key of this.keysOf(park)) {
          const parks = this.known.get(key);
          if (parks) parks.push(park);
          else this.known.set(key, [park]);
        }
    }
    return this.known;
  }

  /** What the wait that begins in *park* has in common with others, the closest first. */
  private keysOf(park: number): string[] {
    const [, , task, thing] = this.loop.source.events[park]!;
    const { coro, begins } = this.loop.source.tasks[task] ?? {};
    const kind = thingOf(this.loop, thing)?.kind;
    return [`${task} ${kind}`, `${coro ?? task} ${begins?.file} ${begins?.line} ${kind}`, `${task}`];
  }

  private created(): Set<number> {
    this.made ??= new Set(this.loop.source.events.filter(([, kind]) => kind === "task_created").map(([, , subject]) => subject));
    return this.made;
  }
}

/** The last of *sorted* below *index*. */
function lastBefore(sorted: number[], index: number): number | undefined {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < index) low = middle + 1;
    else high = middle;
  }
  return sorted[low - 1];
}

const nearest = (sorted: number[] = [], index: number): number | undefined => lastBefore(sorted, index) ?? sorted[0];

function shorten(texts: string[]): string[] {
  return texts.length <= SHOWN ? texts : [...texts.slice(0, SHOWN), `… +${texts.length - SHOWN}`];
}

export function walkOf(loop: LoopModel, snapshot: SnapshotLoop | undefined): WalkDocument {
  return { format: 1, title: loop.name, language: language.value, sources: {}, steps: new RecordedSteps(loop, snapshot) };
}
