// The stepper: walks through a walk document, forward and back. A traced run has sources and generators; a recording has neither,
// and those panes are left out.
import { effect } from "@preact/signals";
import { render } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { place } from "./format";
import { highlight } from "./python";
import { Strip } from "./strip";
import type { WalkDocument, WalkFrame, WalkGenerator, WalkStep } from "./walk";
import { language, say } from "./words";
import type { Word } from "./words";
import "./stepper.css";

const MANY = 20_000; // steps of which an overview can be drawn and searched at once
const INKS = 8; // colours of generators in stepper.css

export interface Place {
  /** The step to begin with, from 0. */
  at?: number;
  /** Told whenever another step is shown. */
  moved?: (index: number) => void;
}

/** Show *walk* inside *element*; the function that is returned takes it away again. */
export function mountStepper(element: HTMLElement, walk: WalkDocument, place: Place = {}): () => void {
  const stop = effect(() => {
    language.value; // the labels follow it
    render(<Stepper walk={walk} at={place.at ?? 0} moved={place.moved} labels={language.value} />, element);
  });
  return () => {
    stop();
    render(null, element);
  };
}

/** A generator's colour: its place among all that the walk has. */
function inksOf(walk: WalkDocument): Map<string | number, number> {
  const inks = new Map<string | number, number>();
  if (walk.steps.length > MANY) return inks;
  for (let index = 0; index < walk.steps.length; index++)
    for (const { id } of walk.steps.at(index)!.generators) if (!inks.has(id)) inks.set(id, inks.size % INKS);
  return inks;
}

/** The first step from *from* on, in direction *by*, that is as wanted; -1 if there is none. */
function search(walk: WalkDocument, from: number, by: 1 | -1, wanted: (step: WalkStep) => boolean): number {
  for (let index = from; index >= 0 && index < walk.steps.length; index += by) if (wanted(walk.steps.at(index)!)) return index;
  return -1;
}

const yields = (step: WalkStep): boolean => step.event === "yield" || step.event === "task_parked";

function Stepper({ walk, at, moved }: { walk: WalkDocument; at: number; moved: ((index: number) => void) | undefined; labels: string }) {
  const last = walk.steps.length - 1;
  const [index, setIndex] = useState(Math.min(at, last));
  const place = useRef(index);
  const go = (wanted: number): void => {
    place.current = Math.max(0, Math.min(wanted, last));
    setIndex(place.current);
    moved?.(place.current);
  };
  const number = useRef<HTMLInputElement>(null);
  const followed = useRef<number | undefined>(undefined); // the task of the last step that was shown and is of one
  const inks = useMemo(() => inksOf(walk), [walk]);
  const moves: Record<string, () => void> = {
    first: () => go(0),
    back: () => go(place.current - 1),
    forward: () => go(place.current + 1),
    last: () => go(last),
    over: () => {
      const depth = walk.steps.at(place.current)!.stack.length;
      const found = search(walk, place.current + 1, 1, (step) => step.stack.length <= depth);
      go(found < 0 ? last : found);
    },
    lastYield: () => {
      const found = search(walk, place.current - 1, -1, yields);
      if (found >= 0) go(found);
    },
    nextYield: () => {
      const found = search(walk, place.current + 1, 1, yields);
      if (found >= 0) go(found);
    },
    lastOfTask: () => {
      const found = search(walk, place.current - 1, -1, ({ task }) => task !== undefined && task === followed.current);
      if (found >= 0) go(found);
    },
    nextOfTask: () => {
      const found = search(walk, place.current + 1, 1, ({ task }) => task !== undefined && task === followed.current);
      if (found >= 0) go(found);
    },
  };
  const toLine = (file: string, line: number): void => {
    const here = (step: WalkStep): boolean => step.file === file && step.line === line && step.stack.length > 0;
    const found = [place.current + 1, 0].map((from) => search(walk, from, 1, here)).find((at) => at >= 0);
    if (found !== undefined) go(found);
  };
  useKeys(moves, number);

  const step = walk.steps.at(index);
  if (step === undefined) return <p class="empty">{say("norecord")}</p>;
  followed.current = step.task ?? followed.current;
  const traced = Object.keys(walk.sources).length > 0;
  return (
    <div class={`walk ${traced ? "traced" : "recorded"}`}>
      <div class="walk-head">
        <div class="walk-bar">
          {(["first", "back", "forward", "last"] as const).map((name) => (
            <button key={name} class="sign" title={say(name)} aria-label={say(name)} onClick={moves[name]}>{SIGNS[name]}</button>
          ))}
          <button onClick={moves["over"]}>{say("over")}</button>
          <button onClick={moves["lastYield"]}>{say("lastYield")}</button>
          <button onClick={moves["nextYield"]}>{say("nextYield")}</button>
          {!traced && (["lastOfTask", "nextOfTask"] as const).map((name) => <button key={name} onClick={moves[name]}>{say(name)}</button>)}
          <label class="walk-number">
            <input ref={number} class="number" type="number" min={1} max={last + 1} aria-label={say("jump")} value={index + 1}
              onChange={(event) => go(Number(event.currentTarget.value) - 1)} />
            <small>/ {last + 1}</small>
          </label>
        </div>
        {last < MANY
          ? <Strip walk={walk} index={index} inks={inks} go={go} />
          : <input class="walk-slide" type="range" min={0} max={last} value={index} aria-label={say("jump")}
              onInput={(event) => go(Number(event.currentTarget.value))} />}
        <p class={`walk-event ${step.event}`} role="status">{step.text}</p>
      </div>
      {traced && <Source walk={walk} step={step} inks={inks} toLine={toLine} />}
      <div class="walk-side">
        <Frames step={step} inks={inks} traced={traced} />
        <div>
          <Loop walk={walk} step={step} traced={traced} />
          {traced && <Generators generators={step.generators} inks={inks} />}
        </div>
      </div>
      {traced && <Output walk={walk} index={index} />}
      <p class="walk-keys">{say("stepKeys")}{traced ? ` · ${say("lineKey")}` : ` · ${say("taskKeys")}`}</p>
    </div>
  );
}

const SIGNS = { first: "⇤", back: "←", forward: "→", last: "⇥" };

function useKeys(moves: Record<string, () => void>, number: { current: HTMLInputElement | null }): void {
  const current = useRef(moves);
  current.current = moves;
  useEffect(() => {
    const names: Record<string, string> = {
      ArrowRight: "forward", ArrowLeft: "back", Home: "first", End: "last", o: "over", y: "nextYield", u: "lastYield", n: "forward", p: "back",
      t: "nextOfTask", r: "lastOfTask",
    };
    const key = (event: KeyboardEvent): void => {
      const { target } = event;
      if (event.ctrlKey || event.metaKey || event.altKey || (target instanceof Element && target.closest("input, select, textarea, [role=tablist]"))) return;
      if (event.key === "g") number.current?.select();
      else if (names[event.key]) current.current[names[event.key]!]!();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
}

const inkOf = (inks: Map<string | number, number>, id: string | number): string => (inks.has(id) ? `ink-${inks.get(id)}` : "");

function Source({ walk, step, inks, toLine }: {
  walk: WalkDocument; step: WalkStep; inks: Map<string | number, number>; toLine: (file: string, line: number) => void;
}) {
  const list = useRef<HTMLOListElement>(null);
  const file = walk.sources[step.file] ? step.file : Object.keys(walk.sources)[0]!;
  const lines = useMemo(
    () => highlight(walk.sources[file]!).map((html, at) => (
      <li key={at}><i /><code dangerouslySetInnerHTML={{ __html: html || " " }} /></li>
    )),
    [walk, file],
  );
  // The lines stay; what changes from step to step is their marks.
  useLayoutEffect(() => {
    const items = list.current!.children;
    const marks = new Map<number, string>();
    for (const frame of step.stack) if (frame.file === file) marks.set(frame.line, `below ${inkOf(inks, frame.id)}`);
    for (const generator of step.generators)
      if (generator.state === "suspended" && generator.file === file) marks.set(generator.line, `standing ${inkOf(inks, generator.id)}`);
    const top = step.stack.at(-1);
    if (top && top.file === file) marks.set(step.line, `current ${step.event} ${inkOf(inks, top.id)}`);
    for (let at = 0; at < items.length; at++) {
      const mark = marks.get(at + 1) ?? "";
      if (items[at]!.className !== mark) items[at]!.className = mark;
    }
    show(list.current!, items[step.line - 1] as HTMLElement | undefined);
  }, [step, file]);
  return (
    <section class="walk-source" aria-label={say("source")}>
      <h3>{file}</h3>
      <ol ref={list} onClick={(event) => {
        const item = (event.target as HTMLElement).closest("li");
        if (item && !getSelection()?.toString()) toLine(file, [...list.current!.children].indexOf(item) + 1);
      }}>{lines}</ol>
    </section>
  );
}

/** Scroll the list so that the line is well within it, and not at all if it is already. */
function show(list: HTMLElement, item: HTMLElement | undefined): void {
  if (!item) return;
  const top = item.offsetTop - list.offsetTop;
  const margin = Math.min(80, list.clientHeight / 4);
  if (top < list.scrollTop + margin || top + item.offsetHeight > list.scrollTop + list.clientHeight - margin)
    list.scrollTop = top - list.clientHeight / 2;
}

function leaves(step: WalkStep): boolean {
  return step.event === "yield" || step.event === "return";
}

function Frames({ step, inks, traced }: { step: WalkStep; inks: Map<string | number, number>; traced: boolean }) {
  const frames: [WalkFrame, number][] = step.stack.map((frame, depth) => [frame, depth]);
  return (
    <section class="walk-frames" aria-label={say("frames")}>
      <h3>{say("frames")}</h3>
      {frames.length === 0 && <p class="quiet">{say("nothing")}</p>}
      <ol>
        {frames.reverse().map(([frame, depth], at) => (
          <li
            key={`${depth} ${frame.id}`}
            class={`frame ${inkOf(inks, frame.id)} ${frame.kind === "other" ? "other" : ""} ${at === 0 ? "newest" : ""} ${frame.borrowed ? "borrowed" : ""} ${frame.leaving || (at === 0 && leaves(step)) ? "leaving" : ""}`}
          >
            <code>{frame.name}</code>
            {traced && frame.line > 0 && <small class="number">:{frame.line}</small>}
            {!traced && frame.file && <small class="number" title={frame.file}>{place(frame.file, frame.line)}</small>}
            {!!frame.locals?.length && (
              <dl>{frame.locals.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
            )}
          </li>
        ))}
      </ol>
      {step.note && <p class="quiet walk-note">{step.note}</p>}
    </section>
  );
}

function Generators({ generators, inks }: { generators: WalkGenerator[]; inks: Map<string | number, number> }) {
  const order = [...generators].sort((one, other) => Number(one.state === "closed") - Number(other.state === "closed"));
  return (
    <section class="walk-generators" aria-label={say("generators")}>
      <h3>{say("generators")}</h3>
      {order.length === 0 && <p class="quiet">{say("nothing")}</p>}
      <ul>
        {order.map((generator) => (
          <li key={generator.id} class={`generator ${generator.state} ${inkOf(inks, generator.id)}`}>
            <code>{generator.name}</code>
            <span class="pill">{say(generator.state)}</span>
            {generator.line > 0 && generator.state !== "closed" && <small class="number">:{generator.line}</small>}
            {generator.state !== "closed" && (
              <dl>
                {generator.waits && <div><dt>{say("delegates")}</dt><dd>{generator.waits}</dd></div>}
                {generator.holders.map((holder) => <div key={holder}><dt>{say("holders")}</dt><dd>{holder}</dd></div>)}
              </dl>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

// What the loop has: the heading for a traced run, which shows all of it, and for a recording, which knows what tasks there are in it.
const PARTS: [keyof Pick<WalkStep, "ready" | "timers" | "fds">, Word, Word][] = [
  ["ready", "readyQueue", "readyTasks"], ["timers", "timers", "timerTasks"], ["fds", "fds", "fdTasks"],
];

function Loop({ walk, step, traced }: { walk: WalkDocument; step: WalkStep; traced: boolean }) {
  // A part that the walk never has is left out.
  const shown = useMemo(
    () => PARTS.filter(([part]) => walk.steps.length > MANY || search(walk, 0, 1, (other) => other[part].length > 0) >= 0),
    [walk],
  );
  return (
    <>
      {shown.map(([part, all, ofTasks]) => (
        <section key={part} class={`walk-${part}`} aria-label={say(traced ? all : ofTasks)}>
          <h3>{say(traced ? all : ofTasks)}</h3>
          {step[part].length === 0 && <p class="quiet">{say("nothing")}</p>}
          <ol class="queue">{step[part].map((text, at) => <li key={`${at} ${text}`}><code>{text}</code></li>)}</ol>
        </section>
      ))}
    </>
  );
}

function Output({ walk, index }: { walk: WalkDocument; index: number }) {
  const pane = useRef<HTMLPreElement>(null);
  const old = useMemo(() => {
    let text = "";
    for (let at = 0; at < index; at++) text += walk.steps.at(at)!.output;
    return text;
  }, [walk, index]);
  useLayoutEffect(() => {
    pane.current!.scrollTop = pane.current!.scrollHeight;
  }, [index]);
  return (
    <section class="walk-output" aria-label={say("output")}>
      <h3>{say("output")}</h3>
      <pre ref={pane}>{old}<b>{walk.steps.at(index)!.output}</b></pre>
    </section>
  );
}
