// A recording as a walk document: each recorded event is a step, and what the loop held at that moment is worked out when asked.
import type { ChainLink, RecordedEvent, SnapshotLoop } from "./documents";
import type { LoopModel } from "./model";
import { thingOf } from "./model";
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
    return stack;
  }

  /** A task's frames: the chain of the snapshot if this is its last step, else the coroutine that the recording names. */
  private frames(task: number, index: number): WalkFrame[] {
    const facts = this.loop.source.tasks[task];
    const known = index >= (this.lastStep().get(task) ?? 0) ? this.snapshot?.tasks.find(({ id }) => id === task)?.chain : undefined;
    const chain: ChainLink[] = known?.length
      ? known
      : [{ kind: "coroutine", name: facts?.coro ?? this.task(task), file: "", line: 0 }];
    return chain.map(({ name, file, line, kind }, depth) => ({ name, file, line, kind, id: `${task}.${depth}` }));
  }

  private steps: Map<number, number> | null = null;

  private lastStep(): Map<number, number> {
    if (this.steps === null) {
      this.steps = new Map();
      for (const [index, [, kind, subject]] of this.loop.source.events.entries())
        if (kind === "task_stepped") this.steps.set(subject, index);
    }
    return this.steps;
  }
}

function shorten(texts: string[]): string[] {
  return texts.length <= SHOWN ? texts : [...texts.slice(0, SHOWN), `… +${texts.length - SHOWN}`];
}

export function walkOf(loop: LoopModel, snapshot: SnapshotLoop | undefined): WalkDocument {
  return { format: 1, title: loop.name, language: language.value, sources: {}, steps: new RecordedSteps(loop, snapshot) };
}
