// The frame around the views: what is looked at, which view, search, language, theme and the keys for all that.
import { useEffect, useRef } from "preact/hooks";
import { Details } from "./details";
import { clock, count, duration } from "./format";
import { WaitGraph } from "./graphview";
import { Blocks, Histograms, Stepper } from "./otherviews";
import { VIEWS, blocks, choose, found, live, loop, loopId, loopNames, payload, query, rows, selected, snapshot, theme, toggleTheme, view } from "./state";
import type { View } from "./state";
import { Table } from "./tableview";
import { Timeline } from "./timelineview";
import { language, say } from "./words";

const SHOWN: Record<View, () => preact.JSX.Element> = {
  timeline: Timeline,
  tasks: Table,
  graph: WaitGraph,
  blocks: Blocks,
  histograms: Histograms,
  stepper: Stepper,
};

function Facts() {
  const { recording } = payload.value ?? {};
  const process = recording?.process ?? payload.value?.snapshot?.process;
  const model = loop.value;
  return (
    <p class="facts">
      {process && <span>pid {process.pid} · Python {process.python} · yieldloop {process.yieldloop}{process.speed ? ` ${process.speed}` : ""}</span>}
      {model && <span>{clock((recording?.wall_ns ?? 0) + model.begin)}</span>}
      {model && <span>{duration(model.end - model.begin)} · {count(model.source.events.length)} {say("events")}
        {model.source.lost ? ` (${count(model.source.lost)} ${say("lost")})` : ""}</span>}
    </p>
  );
}

function Live() {
  if (live.value === "") return null;
  if (live.value === "ended") return <span class="alarm">{say("ended")}</span>;
  const paused = live.value === "paused";
  return (
    <button aria-pressed={!paused} class="live" onClick={() => (live.value = paused ? "live" : "paused")}>
      <i />{paused ? say("resume") : say("live")}
    </button>
  );
}

export function Switches() {
  return (
    <>
      <button lang={language.value === "zh" ? "en" : "zh"} onClick={() => choose(language.value === "zh" ? "en" : "zh")}>
        {language.value === "zh" ? "English" : "中文"}
      </button>
      <button onClick={toggleTheme}>{say(theme.value === "dark" ? "light" : "dark")}</button>
    </>
  );
}

function badge(name: View): string {
  const cycles = snapshot.value?.cycles.length ?? 0;
  const numbers: Partial<Record<View, number>> = { tasks: rows.value.length, graph: cycles, blocks: blocks.value.length };
  const number = numbers[name];
  return number ? count(number) : "";
}

function Tabs() {
  const arrows = (event: KeyboardEvent): void => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by === undefined) return;
    view.value = VIEWS[(VIEWS.indexOf(view.value) + by + VIEWS.length) % VIEWS.length]!;
    (event.currentTarget as HTMLElement).querySelectorAll("button")[VIEWS.indexOf(view.value)]?.focus();
  };
  return (
    <div class="tabs" role="tablist" onKeyDown={arrows}>
      {VIEWS.map((name) => (
        <button
          key={name}
          id={`tab-${name}`}
          role="tab"
          aria-selected={view.value === name}
          aria-controls="view"
          tabIndex={view.value === name ? 0 : -1}
          onClick={() => (view.value = name)}
        >
          {say(name)}{badge(name) && <small class={name === "graph" || name === "blocks" ? "warn" : ""}>{badge(name)}</small>}
        </button>
      ))}
    </div>
  );
}

export function App() {
  const search = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const key = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const typing = event.target instanceof HTMLInputElement;
      if (event.key === "Escape") {
        if (typing) search.current?.blur();
        else selected.value = null;
      } else if (!typing && event.key === "/") {
        event.preventDefault();
        search.current?.focus();
      } else if (!typing && VIEWS[Number(event.key) - 1]) {
        view.value = VIEWS[Number(event.key) - 1]!;
      }
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
  const Shown = SHOWN[view.value];
  return (
    <>
      <header class="top">
        <h1>{payload.value?.title || "yieldloop"}</h1>
        <Facts />
        <div class="right">
          {loopNames.value.length > 1 && (
            <select aria-label={say("loop")} onChange={(event) => (loopId.value = Number(event.currentTarget.value))}>
              {loopNames.value.map(([id, name]) => (
                <option key={id} value={id} selected={id === (loop.value?.id ?? snapshot.value?.id)}>{name}</option>
              ))}
            </select>
          )}
          <Live />
          <Switches />
        </div>
      </header>
      <nav>
        <Tabs />
        <input
          ref={search}
          type="search"
          placeholder={`${say("search")}  /`}
          aria-label={say("search")}
          value={query.value}
          onInput={(event) => (query.value = event.currentTarget.value)}
        />
        {query.value && <small>{count(found.value.length)}</small>}
      </nav>
      <main>
        <div id="view" role="tabpanel" aria-labelledby={`tab-${view.value}`}><Shown /></div>
        <Details />
      </main>
      <footer>{say("keys")}</footer>
    </>
  );
}
