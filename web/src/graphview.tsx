// The wait-for graph: an arrow from each task that waits for other tasks (a lock's holder, a task it awaits) to them.
import { computed } from "@preact/signals";
import { Graph, layout } from "@dagrejs/dagre";
import { count } from "./format";
import { found, query, rowOfTask, rows, selected, snapshot } from "./state";
import { say } from "./words";

const MOST = 200; // tasks drawn at once
const FEW = 8; // of those that hang on one task alone
const HEIGHT = 44;

interface Edge {
  from: number;
  to: number;
}

const edges = computed<Edge[]>(() =>
  (snapshot.value?.tasks ?? []).flatMap((task) =>
    [...new Set([...(task.end?.holders ?? []), ...(task.end?.tasks ?? [])])].map((to) => ({ from: task.id, to })),
  ),
);

const inCycles = computed(() => {
  const following = new Map<number, number>(); // task: cycle's index
  snapshot.value?.cycles.forEach((cycle, index) => cycle.forEach((id) => following.set(id, index)));
  return following;
});

const isCyclic = ({ from, to }: Edge): boolean => inCycles.value.has(from) && inCycles.value.get(from) === inCycles.value.get(to);

/** The tasks to draw: cycles first, then the most waited for. A search keeps what it finds and its neighbours. Of the many that wait
 * for one task and have no other part in the graph a few are drawn, and the others are counted at that task. */
const drawn = computed(() => {
  const near = new Map<number, number[]>();
  const join = (one: number, other: number): void => void (near.get(one)?.push(other) ?? near.set(one, [other]));
  for (const { from, to } of edges.value) {
    join(from, to);
    join(to, from);
  }
  let ids = [...near.keys()];
  if (query.value) {
    const wanted = new Set(found.value.map(({ id }) => id));
    ids = ids.filter((id) => wanted.has(id) || near.get(id)!.some((other) => wanted.has(other)));
  }
  const more = new Map<number, number>(); // task: how many of its neighbours are not drawn
  const leaves = new Map<number, number>();
  ids = ids.filter((id) => {
    const [hub, ...others] = near.get(id)!;
    if (others.length || near.get(hub!)!.length <= FEW || inCycles.value.has(id) || id === selected.value) return true;
    const place = (leaves.get(hub!) ?? 0) + 1;
    leaves.set(hub!, place);
    if (place > FEW) more.set(hub!, place - FEW);
    return place <= FEW;
  });
  const weight = (id: number): number => (inCycles.value.has(id) ? 1e9 : 0) + near.get(id)!.length;
  ids.sort((one, other) => weight(other) - weight(one));
  return { shown: new Set(ids.slice(0, MOST)), more, omitted: near.size - Math.min(ids.length, MOST), waiting: near.size };
});

const nameOf = (id: number): string => rowOfTask.value.get(id)?.name ?? `${say("task")} ${id}`;
const waitsOf = (id: number): string => rowOfTask.value.get(id)?.waits || say(rowOfTask.value.get(id)?.state ?? "unknown");
const width = (id: number): number => 26 + Math.max(90, shorten(nameOf(id), 26).length * 7.8, shorten(waitsOf(id), 34).length * 6.7);
const shorten = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

const plan = computed(() => {
  const graph = new Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 18, ranksep: 70, marginx: 16, marginy: 16 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const id of drawn.value.shown) graph.setNode(String(id), { width: width(id), height: HEIGHT });
  const kept = edges.value.filter(({ from, to }) => drawn.value.shown.has(from) && drawn.value.shown.has(to));
  for (const { from, to } of kept) graph.setEdge(String(from), String(to));
  layout(graph);
  return { graph, kept };
});

interface Placed {
  x: number;
  y: number;
  width: number;
  height: number;
}

function Arrow({ edge }: { edge: Edge }) {
  const { points } = plan.value.graph.edge(String(edge.from), String(edge.to)) as { points: { x: number; y: number }[] };
  const path = points.map(({ x, y }, at) => `${at ? "L" : "M"}${x},${y}`).join("");
  const cyclic = isCyclic(edge);
  return <path class={cyclic ? "edge cyclic" : "edge"} d={path} marker-end={cyclic ? "url(#head-cyclic)" : "url(#head)"} />;
}

function Node({ id }: { id: number }) {
  const { x, y, width, height } = plan.value.graph.node(String(id)) as Placed;
  const more = drawn.value.more.get(id);
  const choose = (): void => void (selected.value = id);
  return (
    <g
      class={`node ${inCycles.value.has(id) ? "cyclic" : ""} ${selected.value === id ? "chosen" : ""}`}
      transform={`translate(${x - width / 2},${y - height / 2})`}
      tabindex={0}
      role="button"
      data-task={id}
      aria-label={`${nameOf(id)} ${waitsOf(id)}`}
      onClick={choose}
      onKeyDown={(event: KeyboardEvent) => (event.key === "Enter" || event.key === " ") && choose()}
    >
      <rect width={width} height={height} rx="6" />
      <text x="12" y="18">{shorten(nameOf(id), 26)}<title>{nameOf(id)}</title></text>
      <text x="12" y="35" class="quiet">{shorten(waitsOf(id), 34)}<title>{waitsOf(id)}</title></text>
      {more && <text x={width - 8} y="18" text-anchor="end" class="quiet">+{count(more)}</text>}
    </g>
  );
}

export function WaitGraph() {
  const { shown, omitted, waiting } = drawn.value;
  const cycles = snapshot.value?.cycles ?? [];
  if (!shown.size) return <p class="empty">{say("nobody")}</p>;
  const { width, height } = plan.value.graph.graph() as { width: number; height: number };
  return (
    <section class="graph">
      <p class="bar">
        {cycles.map((cycle, index) => (
          <span key={index} class="alarm">{say("cycle")}: {cycle.slice(0, 6).map(nameOf).join(" → ")}{cycle.length > 6 ? " → …" : ` → ${nameOf(cycle[0]!)}`}</span>
        ))}
        <small>
          {waiting < rows.value.length && `${count(rows.value.length - waiting)} ${say("others")}`}{omitted ? ` · ${count(omitted)} ${say("omitted")}` : ""}
        </small>
      </p>
      <div class="canvas">
        <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`}>
          <defs>
            {["head", "head-cyclic"].map((id) => (
              <marker key={id} id={id} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">
                <path d="M0,0 L8,4 L0,8 z" />
              </marker>
            ))}
          </defs>
          {plan.value.kept.map((edge, index) => <Arrow key={index} edge={edge} />)}
          {[...shown].map((id) => <Node key={id} id={id} />)}
        </svg>
      </div>
    </section>
  );
}
