// A recording as a walk document: each recorded event is a step, and what the loop held at that moment is worked out when asked.
import type { ChainLink, RecordedEvent, SnapshotLoop, SnapshotTask } from "./documents";
import type { LoopModel } from "./model";
import { chainAt, thingOf } from "./model";
import type { WalkDocument, WalkFrame, WalkStep, WalkSteps } from "./walk";
import { duration, moment } from "./format";
import { language, say } from "./words";

const SHOWN = 200; // entries of one list in one step; more are counted

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

  /** A step. Who wants all of them at a glance looks at their stacks alone: what takes time is made when it is read. */
  private describe(event: RecordedEvent, index: number): WalkStep {
    const site = event[1].startsWith("task_") ? this.loop.source.tasks[event[2]]?.site : null;
    const text = (): string => this.text(event);
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
      stack: this.stack(this.momentAfter(index), index),
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
    for (const task of now.running) stack.push(...this.frames(task, index));
    const [, kind, subject] = this.loop.source.events[index]!;
    if (kind === "task_parked") stack.push(...this.leaving(subject, index));
    if (kind === "task_done") stack.push(...this.frames(subject, index).map((frame) => ({ ...frame, leaving: true })));
    return stack;
  }

  /** A task's frames as its step began: where it had parked before. */
  private frames(task: number, index: number): WalkFrame[] {
    const before = this.parkBefore(task, index);
    if (before === undefined) return this.outermost(task);
    const running = index >= (this.lastStep().get(task) ?? 0) ? this.shown(task) : undefined;
    return this.chain(task, before) ?? (running?.state === "running" ? this.links(task, running.chain) : this.outermost(task));
  }

  /** The frames that a task takes off the stack as it parks. */
  private leaving(task: number, index: number): WalkFrame[] {
    const last = this.parks().get(task)!.at(-1) === index && index > (this.lastStep().get(task) ?? 0);
    const shown = last ? this.shown(task) : undefined;
    const frames = this.chain(task, index) ?? (shown?.state === "parked" ? this.links(task, shown.chain) : this.outermost(task));
    return frames.map((frame) => ({ ...frame, leaving: true }));
  }

  /** The frames of the place where a task parked, if that was recorded. */
  private chain(task: number, park: number): WalkFrame[] | undefined {
    const chain = chainAt(this.loop.source, this.loop.source.stood?.[park] ?? 0);
    return chain.length ? this.links(task, chain) : undefined;
  }

  private outermost(task: number): WalkFrame[] {
    const facts = this.loop.source.tasks[task];
    const { file = "", line = 0 } = facts?.begins ?? {};
    return this.links(task, [{ kind: "coroutine", name: facts?.coro ?? this.task(task), file, line }]);
  }

  private links(task: number, chain: ChainLink[]): WalkFrame[] {
    return chain.map(({ name, file, line, kind }, depth) => ({ name, file: file ?? "", line: line ?? 0, kind, id: `${task}.${depth}.${name}` }));
  }

  private shown(task: number): SnapshotTask | undefined {
    this.standing ??= new Map(this.snapshot?.tasks.filter(({ chain }) => chain.length > 0).map((shown) => [shown.id, shown]));
    return this.standing.get(task);
  }

  /** What the frames of a step leave open. */
  private note([, kind, subject]: RecordedEvent, index: number): string {
    const parks = kind === "task_parked";
    const task = parks ? subject : this.momentAfter(index).running.at(-1);
    if (task === undefined) return "";
    const frames = parks ? this.leaving(task, index) : this.frames(task, index);
    const first = !parks && this.parkBefore(task, index) === undefined && this.created().has(task);
    const only = frames.length === 1 && frames[0]!.line === (this.loop.source.tasks[task]?.begins?.line ?? 0);
    return only && !first ? say("noplace") : "";
  }

  private parkBefore(task: number, index: number): number | undefined {
    const parks = this.parks().get(task) ?? [];
    let [low, high] = [0, parks.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (parks[middle]! < index) low = middle + 1;
      else high = middle;
    }
    return parks[low - 1];
  }

  private steps: Map<number, number> | null = null;
  private parked: Map<number, number[]> | null = null;
  private made: Set<number> | null = null;
  private standing: Map<number, SnapshotTask> | null = null;

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

  private created(): Set<number> {
    this.made ??= new Set(this.loop.source.events.filter(([, kind]) => kind === "task_created").map(([, , subject]) => subject));
    return this.made;
  }
}

function shorten(texts: string[]): string[] {
  return texts.length <= SHOWN ? texts : [...texts.slice(0, SHOWN), `… +${texts.length - SHOWN}`];
}

export function walkOf(loop: LoopModel, snapshot: SnapshotLoop | undefined): WalkDocument {
  return { format: 1, title: loop.name, language: language.value, sources: {}, steps: new RecordedSteps(loop, snapshot) };
}
