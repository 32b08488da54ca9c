// The smaller views: blocks, distributions, and the place where the stepper is mounted.
import { useEffect, useRef } from "preact/hooks";
import { count, duration, moment, place } from "./format";
import type { Block } from "./documents";
import type { LoopModel, Sample } from "./model";
import { walkOf } from "./recorded";
import { blocks, focus, loop, selected, snapshot, view, rowOfTask } from "./state";
import { mountStepper } from "./stepper";
import { language, say } from "./words";
import type { Word } from "./words";

function show(from: number, ns: number, task: number | null): void {
  focus.value = [from - ns, from + 2 * ns];
  if (task) selected.value = task;
  view.value = "timeline";
}

function BlockItem({ block }: { block: Block }) {
  return (
    <details class="block">
      <summary>
        <b class="number">{duration(block.worst_ns || block.ns)}</b>
        <span>{block.label}</span>
        <code title={block.file}>{place(block.file, block.line)}</code>
        <small>{block.count > 1 ? `${count(block.count)} ${say("times")} ${duration(block.worst_ns)}` : ""}</small>
      </summary>
      {block.stack.length === 0 && <p class="quiet">{say("nostack")}</p>}
      <ol class="chain">
        {block.stack.map((frame, depth) => (
          <li key={depth}><b>{frame.function}</b> <code title={frame.file}>{place(frame.file, frame.line)}</code></li>
        ))}
      </ol>
      <button onClick={() => show(block.began_ns, block.ns, block.task)}>{say("timeline")}</button>
    </details>
  );
}

export function Blocks() {
  const list = [...blocks.value].sort((one, other) => other.worst_ns - one.worst_ns);
  return (
    <section class="page">
      {list.length === 0 && <p class="empty">{say("noblocks")}</p>}
      {list.map((block, index) => <BlockItem key={index} block={block} />)}
    </section>
  );
}

const BINS_PER_DECADE = 6;

function Histogram({ word, samples }: { word: Word; samples: Sample[] }) {
  if (samples.length === 0) return null;
  const sorted = Float64Array.from(samples, ({ ns }) => ns).sort();
  const quantile = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  const bin = (ns: number): number => Math.floor(Math.log10(Math.max(100, ns)) * BINS_PER_DECADE);
  const first = bin(sorted[0]!);
  const bins = new Array<number>(bin(sorted[sorted.length - 1]!) - first + 1).fill(0);
  for (const ns of sorted) bins[bin(ns) - first]!++;
  const most = Math.max(...bins);
  const edge = (index: number): number => 10 ** ((first + index) / BINS_PER_DECADE);
  const longest = [...samples].sort((one, other) => other.ns - one.ns).slice(0, 8);
  return (
    <article class="histogram">
      <h3>{say(word)}</h3>
      <dl>
        {([["p50", 0.5], ["p95", 0.95], ["p99", 0.99], ["max", 1]] as const).map(([name, share]) => (
          <div key={name}><dt>{name}</dt><dd>{duration(quantile(share))}</dd></div>
        ))}
        <div><dt>n</dt><dd>{count(samples.length)}</dd></div>
      </dl>
      <div class="bins" role="img" aria-label={`${say(word)}: p50 ${duration(quantile(0.5))}, p99 ${duration(quantile(0.99))}`}>
        {bins.map((size, index) => (
          <div key={index} title={`${duration(edge(index))} – ${duration(edge(index + 1))}: ${count(size)}`}>
            <i style={{ height: `${size ? Math.max(1.5, (100 * size) / most) : 0}%` }} />
          </div>
        ))}
      </div>
      <div class="scale">
        {bins.map((_, index) => <span key={index}>{(first + index) % BINS_PER_DECADE === 0 ? duration(edge(index)) : ""}</span>)}
      </div>
      <ol class="history" aria-label={say("longest")}>
        {longest.map(({ ns, at, subject }) => (
          <li key={`${at} ${subject}`}>
            <button class="link" onClick={() => show(at, ns, subject || null)}>+{moment(at - (loop.value?.begin ?? 0))}</button>
            <span>{subject ? (rowOfTask.value.get(subject)?.name ?? subject) : ""}</span>
            <span class="number">{duration(ns)}</span>
          </li>
        ))}
      </ol>
    </article>
  );
}

export function Histograms() {
  const model = loop.value;
  if (!model?.source.events.length) return <p class="empty">{say("norecord")}</p>;
  return (
    <section class="page histograms">
      <Histogram word="readyDelay" samples={model.readyDelays} />
      <Histogram word="stepTime" samples={model.stepTimes} />
      <Histogram word="iterationTime" samples={model.iterations} />
    </section>
  );
}

/** Where the stepper was left, and which task was selected then. */
let left: { model: LoopModel; task: number | null; index: number } | null = null;

/** The step to begin with: the first of the task that was selected since, or where the stepper was left. */
function stepOf(model: LoopModel): number {
  const task = selected.peek();
  if (left?.model === model && (task === null || task === left.task)) return left.index;
  return Math.max(0, model.source.events.findIndex(([, kind, subject]) => kind.startsWith("task_") && subject === task));
}

export function Stepper() {
  const place = useRef<HTMLDivElement>(null);
  const model = loop.value;
  useEffect(() => {
    if (!place.current || !model?.source.events.length) return undefined;
    const moved = (index: number): void => void (left = { model, task: selected.peek(), index });
    const at = stepOf(model);
    moved(at);
    return mountStepper(place.current, walkOf(model, snapshot.peek()), { at, moved });
  }, [model, language.value]);
  if (!model?.source.events.length) return <p class="empty">{say("norecord")}</p>;
  return <div class="stepper" ref={place} />;
}
