// One task: where it stands, frame by frame down to what it waits for, and what it did last.
import { duration, moment, place } from "./format";
import { PARKED, RUNNING, chainAt, thingOf } from "./model";
import type { ChainEnd } from "./documents";
import type { TaskRow } from "./state";
import { focus, loop, now, rowOfTask, selected, snapshot, view } from "./state";
import { groupOf } from "./timeline";
import { say } from "./words";

const LAST = 60;

function TaskLink({ id }: { id: number }) {
  const name = rowOfTask.value.get(id)?.name ?? `${say("task")} ${id}`;
  return <button class="link" onClick={() => (selected.value = id)}>{name}</button>;
}

function End({ end }: { end: ChainEnd }) {
  const facts = [end.peer, end.direction, end.function, end.pid && `pid ${end.pid}`].filter(Boolean);
  return (
    <li class="end">
      <i class={`ink ${groupOf(end.kind)}`} />
      <b>{end.label || end.kind}</b>
      {facts.length > 0 && <small> {facts.join(" · ")}</small>}
      {end.tasks?.length ? <div>{end.tasks.slice(0, 20).map((id) => <TaskLink key={id} id={id} />)}</div> : null}
      {end.holders?.length ? <div>{say("holders")} {end.holders.map((id) => <TaskLink key={id} id={id} />)}{end.holding ? ` … ${end.holding}` : ""}</div> : null}
      {end.threads?.map((work) => (
        <div key={work.thread} class="work">
          <code>{work.thread}</code> {say("runsIn")} <code>{work.function}</code>
          {work.since_ns !== null && <small> {duration(now.value - work.since_ns)}</small>}
          {work.task !== null && <> · <TaskLink id={work.task} /></>}
        </div>
      ))}
      {end.waiters && end.waiters.length > 1 ? (
        <div>{say("waiters")} {end.waiters.filter((id) => id !== selected.value).slice(0, 20).map((id) => <TaskLink key={id} id={id} />)}</div>
      ) : null}
    </li>
  );
}

function Chain({ row }: { row: TaskRow }) {
  const model = loop.value;
  const end = row.task?.end;
  const current = row.task?.chain ?? [];
  const before = model && !current.length && !end ? chainAt(model.source, model.placeOf.get(row.id) ?? 0) : [];
  if (!current.length && !end && !before.length) return <p class="quiet">{say("nochain")}</p>;
  return (
    <>
      {before.length > 0 && <p class="quiet">{say("lastwait")}</p>}
      <ol class="chain" aria-label={say("chain")}>
        {[...current, ...before].map(({ name, kind, file, line }, depth) => (
          <li key={depth}>
            <b>{name}</b> <small>{kind}</small>
            {file !== null && line !== null && <div><code title={file}>{place(file, line)}</code></div>}
          </li>
        ))}
        {end && <End end={end} />}
      </ol>
    </>
  );
}

function History({ row }: { row: TaskRow }) {
  const spans = row.lane?.spans;
  const model = loop.value;
  if (!spans?.length || !model) return null;
  const first = Math.max(0, spans.length - LAST);
  const show = (index: number): void => {
    const length = spans.end[index]! - spans.start[index]!;
    focus.value = [spans.start[index]! - length, spans.end[index]! + length];
    view.value = "timeline";
  };
  return (
    <>
      <h3>{say("history")}</h3>
      <ol class="history">
        {Array.from({ length: spans.length - first }, (_, back) => spans.length - 1 - back).map((index) => {
          const state = spans.state[index]!;
          const thing = state === PARKED ? thingOf(model, spans.about[index]!) : undefined;
          const ink = state === RUNNING ? "running" : state === PARKED ? groupOf(thing?.kind) : "ready";
          return (
            <li key={index}>
              <button class="link" onClick={() => show(index)}>+{moment(spans.start[index]! - model.begin)}</button>
              <span><i class={`ink ${ink}`} />{thing?.label ?? say(state === RUNNING ? "running" : state === PARKED ? "parked" : "ready")}</span>
              <span class="number">{duration(spans.end[index]! - spans.start[index]!)}</span>
            </li>
          );
        })}
      </ol>
    </>
  );
}

export function Details() {
  const row = selected.value === null ? undefined : rowOfTask.value.get(selected.value);
  if (row === undefined) return null;
  const inCycle = snapshot.value?.cycles.find((cycle) => cycle.includes(row.id));
  const site = row.task?.site ?? row.lane?.facts?.site;
  return (
    <aside class="details" aria-label={row.name}>
      <header>
        <h2>{row.name}</h2>
        <button onClick={() => (selected.value = null)} aria-label={say("close")} title="Esc">×</button>
      </header>
      <p>
        <span class={`state ${row.state}`}>{say(row.state)}</span> {row.state === "done" ? "" : duration(row.waited)}
        <small> #{row.id}{row.coro ? ` · ${row.coro}` : ""}</small>
      </p>
      {site && <p class="quiet">{say("site")} <code title={site.file}>{place(site.file, site.line)}</code> {site.function}</p>}
      {inCycle && (
        <p class="alarm">{say("cycle")}: {inCycle.map((id) => <TaskLink key={id} id={id} />)}</p>
      )}
      <h3>{say("chain")}</h3>
      <Chain row={row} />
      <History row={row} />
    </aside>
  );
}
