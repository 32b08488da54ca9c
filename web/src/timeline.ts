// Draws the time line into a canvas: the loop's own lane and one lane per task, only what is in sight. What is narrower than a
// pixel is not drawn span by span: the pixel's colour says how much of its time was spent in which state.
import type { Block } from "./documents";
import { duration, moment, tick } from "./format";
import { CALLBACK, PARKED, POLL, READY, RUNNING, STEP, thingOf } from "./model";
import type { LoopModel, Spans } from "./model";
import type { TaskRow } from "./state";
import { say } from "./words";

export const LANE = 24;
export const AXIS = 28;
export const HEAD = AXIS + 34; // the axis and the loop's own lane
export const GUTTER = 190;
const SHADES = 8;

export interface Scene {
  loop: LoopModel;
  rows: TaskRow[];
  blocks: Block[];
  selected: number | null;
  hover: number | null; // a lane's index
}

interface Inks {
  text: string;
  dim: string;
  line: string;
  page: string;
  raised: string;
  accent: string;
  block: string;
  shades: Record<string, string[]>;
}

/** The colours that the style sheet names, in as many strengths as a pixel's share is told by. */
export function inks(element: Element): Inks {
  const style = getComputedStyle(element);
  const value = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const shades: Record<string, string[]> = {};
  for (const name of ["running", "ready", "poll", "callback", "timer", "fd", "lock", "queue", "thread", "task", "future"])
    shades[name] = Array.from({ length: SHADES + 1 }, (_, index) =>
      `color-mix(in srgb, ${value(name)} ${Math.round(45 + (55 * index) / SHADES)}%, ${value("page")})`,
    );
  return {
    text: value("text"),
    dim: value("dim"),
    line: value("line"),
    page: value("page"),
    raised: value("raised"),
    accent: value("accent"),
    block: value("block"),
    shades,
  };
}

/** Kinds of things that tasks wait for, in the groups that have a colour. */
const GROUPS: Record<string, string> = {
  timer: "timer",
  fd: "fd",
  lock: "lock",
  semaphore: "lock",
  condition: "lock",
  event: "lock",
  barrier: "lock",
  queue: "queue",
  thread: "thread",
  child: "thread",
  task: "task",
  gather: "task",
};

export const groupOf = (kind: string | undefined): string => GROUPS[kind ?? ""] ?? "future";

export class Window {
  constructor(
    public from: number,
    public to: number,
  ) {}

  get length(): number {
    return this.to - this.from;
  }
}

export class Painter {
  private readonly context: CanvasRenderingContext2D;
  inks: Inks;
  width = 0;
  height = 0;

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d", { alpha: false })!;
    this.inks = inks(canvas);
  }

  resize(width: number, height: number): void {
    const ratio = devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  draw(scene: Scene, sight: Window, scroll: number): void {
    const { context, inks } = this;
    context.fillStyle = inks.page;
    context.fillRect(0, 0, this.width, this.height);
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.fillStyle = inks.line;
    for (const [x] of this.ticks(scene, sight)) context.fillRect(x, HEAD, 1, this.height);
    const first = Math.max(0, Math.floor(scroll / LANE));
    const last = Math.min(scene.rows.length, Math.ceil((scroll + this.height - HEAD) / LANE));
    for (let index = first; index < last; index++) this.lane(scene, sight, index, HEAD + index * LANE - scroll);
    this.head(scene, sight);
  }

  private x(time: number, sight: Window): number {
    return GUTTER + ((time - sight.from) / sight.length) * (this.width - GUTTER);
  }

  private lane(scene: Scene, sight: Window, index: number, top: number): void {
    const { context, inks } = this;
    const row = scene.rows[index]!;
    const chosen = row.id === scene.selected;
    if (chosen || index === scene.hover) {
      context.fillStyle = inks.raised;
      context.fillRect(0, top, this.width, LANE);
    }
    context.fillStyle = inks.line;
    context.fillRect(0, top + LANE - 1, this.width, 1);
    if (row.lane !== undefined) {
      this.spans(row.lane.spans, sight, top + 4, LANE - 9, TASK, (about) => thingOf(scene.loop, about), true);
      for (const block of scene.blocks) if (block.task === row.id) this.block(block, sight, top + 2, LANE - 5);
    }
    context.fillStyle = chosen ? inks.raised : inks.page;
    context.fillRect(0, top, GUTTER - 8, LANE - 1);
    if (chosen) {
      context.fillStyle = inks.accent;
      context.fillRect(0, top, 3, LANE - 1);
    }
    context.fillStyle = row.state === "done" ? inks.dim : inks.text;
    context.fillText(this.fitting(row.name, GUTTER - 28), 14, top + LANE / 2);
  }

  private ticks(scene: Scene, sight: Window): [number, string][] {
    const step = tickStep(sight.length, (this.width - GUTTER) / 110);
    const { begin } = scene.loop;
    const ticks: [number, string][] = [];
    for (let at = Math.ceil((sight.from - begin) / step) * step; at + begin <= sight.to; at += step)
      ticks.push([Math.round(this.x(at + begin, sight)), tick(Math.round(at), step)]);
    return ticks;
  }

  private head(scene: Scene, sight: Window): void {
    const { context, inks } = this;
    context.fillStyle = inks.page;
    context.fillRect(0, 0, this.width, HEAD);
    for (const [x, text] of this.ticks(scene, sight)) {
      context.fillStyle = inks.line;
      context.fillRect(x, AXIS - 8, 1, HEAD - AXIS + 8);
      context.fillStyle = inks.dim;
      context.fillText(text, x + 4, AXIS / 2);
    }
    this.spans(scene.loop.thread, sight, AXIS + 4, 22, THREAD, () => undefined, false);
    for (const block of scene.blocks) this.block(block, sight, AXIS + 2, 26);
    context.fillStyle = inks.page;
    context.fillRect(0, 0, GUTTER - 8, HEAD);
    context.fillStyle = inks.dim;
    context.fillText(this.fitting(scene.loop.name, GUTTER - 28), 14, AXIS + 15);
    context.fillStyle = inks.line;
    context.fillRect(0, HEAD - 1, this.width, 1);
  }

  private block(block: Block, sight: Window, top: number, height: number): void {
    const left = Math.max(GUTTER, this.x(block.began_ns, sight));
    const right = Math.min(this.width, this.x(block.began_ns + block.ns, sight));
    if (right < left) return;
    this.context.strokeStyle = this.inks.block;
    this.context.lineWidth = 2;
    this.context.strokeRect(left, top, Math.max(2, right - left), height);
  }

  /** One lane's spans: whole ones as bars, and what shares a pixel with others as that pixel's mixture. */
  private spans(
    spans: Spans,
    sight: Window,
    top: number,
    height: number,
    look: Look,
    thing: (about: number) => { kind: string; label: string } | undefined,
    labels: boolean,
  ): void {
    const { context, inks } = this;
    const perPixel = sight.length / (this.width - GUTTER);
    let index = spans.after(sight.from);
    let clear = GUTTER; // the first pixel that is not yet painted
    while (index < spans.length && spans.start[index]! < sight.to) {
      const from = spans.start[index]!;
      const to = spans.end[index]!;
      const left = Math.max(clear, this.x(from, sight));
      const right = Math.min(this.width, this.x(to, sight));
      if ((to - from) / perPixel >= 1.5) {
        const state = spans.state[index]!;
        const what = look.parked === state ? thing(spans.about[index]!) : undefined;
        const name = look.parked === state ? groupOf(what?.kind) : look.names[state]!;
        const thin = look.parked === state ? Math.round(height * 0.3) : 0;
        context.fillStyle = inks.shades[name]![look.parked === state ? 1 : SHADES]!;
        context.fillRect(left, top + thin, Math.max(0.5, right - left), height - 2 * thin);
        if (labels && what && right - left > 60) {
          context.fillStyle = inks.page;
          const text = this.fitting(what.label, right - left - 16);
          const width = context.measureText(text).width;
          context.fillRect(left + 6, top - 1, width + 8, height + 2);
          context.fillStyle = inks.dim;
          context.fillText(text, left + 10, top + height / 2 + 0.5);
        }
        clear = Math.max(clear, right);
        index++;
        continue;
      }
      const pixel = Math.max(Math.floor(left), Math.floor(clear));
      const pixelFrom = sight.from + (pixel - GUTTER) * perPixel;
      const pixelTo = pixelFrom + perPixel;
      for (const state of look.order) {
        const share = spans.within(state, pixelFrom, pixelTo) / perPixel;
        if (share <= 0) continue;
        context.fillStyle = inks.shades[look.names[state]!]![Math.min(SHADES, Math.ceil(Math.sqrt(share) * SHADES))]!;
        context.fillRect(pixel, top, 1, height);
        break;
      }
      clear = pixel + 1;
      index = Math.max(index + 1, spans.after(pixelTo, index));
    }
  }

  private readonly widths = new Map<string, string>();

  /** *text*, cut so that it is at most *width* pixels wide. */
  private fitting(text: string, width: number): string {
    const room = Math.round(width / 8) * 8;
    const key = `${room} ${text}`;
    let cut = this.widths.get(key);
    if (cut === undefined) {
      cut = text;
      while (cut.length > 1 && this.context.measureText(cut).width > width)
        cut = `${cut.slice(0, Math.max(1, Math.floor(cut.length * 0.9) - 1))}…`.replace("……", "…");
      if (this.widths.size > 20_000) this.widths.clear();
      this.widths.set(key, cut);
    }
    return cut;
  }
}

interface Look {
  names: Record<number, string>;
  order: number[]; // which state gives a shared pixel its colour: the first that is there
  parked: number;
}

const TASK: Look = { names: { [READY]: "ready", [RUNNING]: "running", [PARKED]: "future" }, order: [RUNNING, READY, PARKED], parked: PARKED };
const THREAD: Look = { names: { [POLL]: "poll", [STEP]: "running", [CALLBACK]: "callback" }, order: [STEP, CALLBACK, POLL], parked: -1 };

/** A round number of nanoseconds, such that about *ticks* of them make *length*. */
function tickStep(length: number, ticks: number): number {
  const raw = length / Math.max(1, ticks);
  const power = 10 ** Math.floor(Math.log10(raw));
  return Math.max(1, power * ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10));
}

/** What is at a place of the time line, in words. */
export function explain(scene: Scene, time: number, laneIndex: number): string[] {
  if (laneIndex < 0) {
    const index = scene.loop.thread.at(time);
    if (index < 0) return [];
    const { state, about, start, end } = scene.loop.thread;
    const kind = state[index]!;
    const subject = kind === STEP ? (scene.loop.laneOf.get(about[index]!)?.facts?.name ?? "") : (thingOf(scene.loop, about[index]!)?.label ?? "");
    const word = say(kind === POLL ? "poll" : kind === STEP ? "step" : "callback");
    return [`${word} ${subject}`.trim(), duration(end[index]! - start[index]!), `+${moment(start[index]! - scene.loop.begin)}`];
  }
  const row = scene.rows[laneIndex];
  const spans = row?.lane?.spans;
  const index = spans?.at(time) ?? -1;
  if (!row || !spans || index < 0) return row ? [row.name] : [];
  const state = spans.state[index]!;
  const word = say(state === RUNNING ? "running" : state === READY ? "ready" : "parked");
  const thing = thingOf(scene.loop, spans.about[index]!);
  const length = spans.end[index]! - spans.start[index]!;
  const lines = [row.name, `${word} ${duration(length)}`, `+${moment(spans.start[index]! - scene.loop.begin)}`];
  if (thing) lines.splice(2, 0, state === PARKED ? `${say("waits")} ${thing.label}` : `← ${thing.label}`);
  return lines;
}
