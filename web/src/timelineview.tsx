// The time line's controls: wheel, drag, keys and buttons move the window that the painter draws.
import { useEffect, useRef } from "preact/hooks";
import { effect } from "@preact/signals";
import { count } from "./format";
import { blocks, focus, found, loop, selected, theme } from "./state";
import { AXIS, GUTTER, HEAD, LANE, Painter, Window, explain, inks } from "./timeline";
import type { LoopModel } from "./model";
import type { Scene } from "./timeline";
import { language, say } from "./words";

const NARROWEST = 200; // nanoseconds that the window can show at least

class Control {
  readonly painter: Painter;
  readonly sight: Window;
  private queued = false;
  private hover: number | null = null;
  private drag: { x: number; y: number; moved: boolean } | null = null;
  private readonly stops: (() => void)[] = [];

  constructor(
    private readonly box: HTMLElement,
    private readonly canvas: HTMLCanvasElement,
    private readonly space: HTMLElement,
    private readonly tip: HTMLElement,
  ) {
    this.painter = new Painter(canvas);
    this.sight = new Window(loop.value!.begin, loop.value!.end);
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(box);
    this.stops.push(() => observer.disconnect());
    this.listen("scroll", () => this.request(), { passive: true });
    this.listen("wheel", (event) => this.wheel(event as WheelEvent), { passive: false });
    this.listen("pointerdown", (event) => this.press(event as PointerEvent));
    this.listen("pointermove", (event) => this.move(event as PointerEvent));
    this.listen("pointerup", (event) => this.release(event as PointerEvent));
    this.listen("pointerleave", () => this.leave());
    this.listen("dblclick", (event) => this.zoomTo(event as MouseEvent));
    this.listen("keydown", (event) => this.key(event as KeyboardEvent));
    this.stops.push(
      effect(() => this.follow(loop.value)),
      effect(() => {
        void [loop.value, blocks.value, selected.value, language.value];
        this.space.style.height = `${HEAD + found.value.length * LANE + 8}px`;
        this.request();
      }),
      effect(() => {
        void theme.value;
        queueMicrotask(() => {
          this.painter.inks = inks(this.canvas);
          this.request();
        });
      }),
      effect(() => {
        if (focus.value === null) return;
        [this.sight.from, this.sight.to] = focus.value;
        focus.value = null;
        this.request();
      }),
      effect(() => this.reveal(selected.value)),
    );
  }

  stop(): void {
    for (const stop of this.stops) stop();
  }

  private listen(name: string, handle: (event: Event) => void, options?: AddEventListenerOptions): void {
    this.box.addEventListener(name, handle, options);
    this.stops.push(() => this.box.removeEventListener(name, handle));
  }

  private scene(): Scene {
    return { loop: loop.value!, rows: found.value, blocks: blocks.value, selected: selected.value, hover: this.hover };
  }

  private request(): void {
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => {
      this.queued = false;
      if (loop.value === undefined || !this.painter.width) return;
      const began = performance.now();
      this.painter.draw(this.scene(), this.sight, this.box.scrollTop);
      performance.measure("timeline", { start: began, end: performance.now() });
    });
  }

  private resize(): void {
    this.painter.resize(this.box.clientWidth, this.box.clientHeight);
    this.request();
  }

  private timeAt(x: number): number {
    return this.sight.from + ((x - GUTTER) / (this.painter.width - GUTTER)) * this.sight.length;
  }

  /** The lane's index at *y* pixels below the box's top; -1 is the loop's own, null is none. */
  private laneAt(y: number): number | null {
    if (y < AXIS) return null;
    if (y < HEAD) return -1;
    const index = Math.floor((y - HEAD + this.box.scrollTop) / LANE);
    return index < found.value.length ? index : null;
  }

  show(from: number, to: number): void {
    const { begin, end } = loop.value!;
    const length = Math.min(Math.max(to - from, NARROWEST), (end - begin) * 1.2);
    const middle = (from + to) / 2;
    const start = Math.min(Math.max(middle - length / 2, begin - length / 2), end - length / 2);
    this.sight.from = start;
    this.sight.to = start + length;
    this.request();
  }

  zoom(factor: number, around = (this.sight.from + this.sight.to) / 2): void {
    const { from, to } = this.sight;
    this.show(around - (around - from) * factor, around + (to - around) * factor);
  }

  pan(share: number): void {
    const shift = this.sight.length * share;
    this.show(this.sight.from + shift, this.sight.to + shift);
  }

  fit(): void {
    this.show(loop.value!.begin, loop.value!.end);
  }

  private known: LoopModel | undefined;

  /** A newer recording of the same loop: who saw all of it or its end goes on seeing that. */
  private follow(model: LoopModel | undefined): void {
    const before = this.known;
    this.known = model;
    if (before === undefined || model === undefined) return;
    const { from, to } = this.sight;
    if (from <= before.begin && to >= before.end) this.show(model.begin, model.end);
    else if (to >= before.end) this.show(from + model.end - before.end, to + model.end - before.end);
  }

  private wheel(event: WheelEvent): void {
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : 0;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(Math.exp(event.deltaY / 300), this.timeAt(event.clientX - this.box.getBoundingClientRect().left));
    } else if (sideways) {
      event.preventDefault();
      this.pan(sideways / (this.painter.width - GUTTER));
    }
  }

  private press(event: PointerEvent): void {
    if (event.button !== 0 || event.offsetX > this.painter.width) return; // on the scroll bar
    this.drag = { x: event.clientX, y: event.clientY, moved: false };
    this.box.setPointerCapture(event.pointerId);
  }

  private move(event: PointerEvent): void {
    if (this.drag !== null) {
      const { x, y } = this.drag;
      if (!this.drag.moved && Math.hypot(event.clientX - x, event.clientY - y) < 4) return;
      this.pan(-(event.clientX - x) / (this.painter.width - GUTTER));
      this.box.scrollTop -= event.clientY - y;
      this.drag = { x: event.clientX, y: event.clientY, moved: true };
      this.tip.hidden = true;
      return;
    }
    const bounds = this.box.getBoundingClientRect();
    const x = event.clientX - bounds.left;
    const lane = this.laneAt(event.clientY - bounds.top);
    if (lane !== this.hover) {
      this.hover = lane;
      this.request();
    }
    const lines = lane === null ? [] : x < GUTTER ? [found.value[lane]?.name ?? ""] : explain(this.scene(), this.timeAt(x), lane);
    this.tip.hidden = !lines.some(Boolean);
    this.tip.replaceChildren(...lines.map((line) => Object.assign(document.createElement("div"), { textContent: line })));
    const { offsetWidth, offsetHeight } = this.tip;
    this.tip.style.left = `${Math.min(x + 14, bounds.width - offsetWidth - 4)}px`;
    this.tip.style.top = `${Math.min(event.clientY - bounds.top + 18, bounds.height - offsetHeight - 4)}px`;
  }

  private release(event: PointerEvent): void {
    const { drag } = this;
    this.drag = null;
    if (drag === null || drag.moved) return;
    const lane = this.laneAt(event.clientY - this.box.getBoundingClientRect().top);
    if (lane === null) return;
    if (lane >= 0) selected.value = found.value[lane]!.id;
    else this.pickStep(this.timeAt(event.clientX - this.box.getBoundingClientRect().left));
  }

  /** A click on the loop's own lane chooses the task that it was running. */
  private pickStep(time: number): void {
    const { thread, laneOf } = loop.value!;
    const index = thread.at(time);
    const task = index >= 0 ? laneOf.get(thread.about[index]!) : undefined;
    if (task !== undefined) selected.value = task.id;
  }

  private leave(): void {
    this.tip.hidden = true;
    this.hover = null;
    this.request();
  }

  private zoomTo(event: MouseEvent): void {
    const bounds = this.box.getBoundingClientRect();
    const lane = this.laneAt(event.clientY - bounds.top);
    const spans = lane === null ? undefined : lane < 0 ? loop.value!.thread : found.value[lane]?.lane?.spans;
    const index = spans?.at(this.timeAt(event.clientX - bounds.left)) ?? -1;
    if (!spans || index < 0) return;
    const length = spans.end[index]! - spans.start[index]!;
    this.show(spans.start[index]! - length / 4, spans.end[index]! + length / 4);
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves: Record<string, () => void> = {
      ArrowLeft: () => this.pan(-0.15),
      ArrowRight: () => this.pan(0.15),
      ArrowUp: () => this.step(-1),
      ArrowDown: () => this.step(1),
      "+": () => this.zoom(0.6),
      "=": () => this.zoom(0.6),
      "-": () => this.zoom(1 / 0.6),
      "0": () => this.fit(),
    };
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    move();
  }

  private step(by: number): void {
    const lanes = found.value;
    const index = lanes.findIndex(({ id }) => id === selected.peek());
    const next = lanes[Math.min(lanes.length - 1, Math.max(0, index + by))];
    if (next !== undefined) selected.value = next.id;
  }

  private reveal(id: number | null): void {
    const index = found.peek().findIndex((row) => row.id === id);
    if (index < 0) return;
    const top = index * LANE;
    const room = this.box.clientHeight - HEAD;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + LANE > this.box.scrollTop + room) this.box.scrollTop = top + LANE - room;
  }
}

const LEGEND = ["running", "ready", "timer", "fd", "lock", "queue", "thread", "task", "future", "poll", "callback", "block"] as const;

export function Timeline() {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const space = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const control = useRef<Control | null>(null);
  const id = loop.value?.id;
  useEffect(() => {
    if (!box.current || !canvas.current || !space.current || !tip.current) return;
    control.current = new Control(box.current, canvas.current, space.current, tip.current);
    return () => control.current?.stop();
  }, [id]);
  if (!loop.value?.source.events.length) return <p class="empty">{say("norecord")}</p>;
  const now = found.value.find((row) => row.id === selected.value);
  return (
    <section class="timeline">
      <div class="bar">
        <button onClick={() => control.current?.zoom(0.6)} title={`${say("closer")} (+)`} aria-label={say("closer")}>+</button>
        <button onClick={() => control.current?.zoom(1 / 0.6)} title={`${say("farther")} (−)`} aria-label={say("farther")}>−</button>
        <button onClick={() => control.current?.fit()} title="0">{say("fit")}</button>
        <ul class="legend">
          {LEGEND.map((name) => (
            <li key={name}><i class={`ink ${name}`} />{say(name)}</li>
          ))}
        </ul>
      </div>
      <div class="stage">
        <div class="lanes" ref={box} tabIndex={0} role="application" aria-label={`${say("timeline")}, ${count(found.value.length)} ${say("tasks")}`}>
          <div class="pinned"><canvas ref={canvas} /></div>
          <div ref={space} />
        </div>
        <div class="tip" ref={tip} hidden />
        <div class="spoken" aria-live="polite">{now ? `${now.name}, ${say(now.state)} ${now.waits}` : ""}</div>
      </div>
    </section>
  );
}
