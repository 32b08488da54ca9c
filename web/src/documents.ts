// The documents that the page reads, as yieldloop writes them. Times are nanoseconds of the process's monotonic clock.

export interface Site {
  file: string;
  line: number;
  function: string;
}

export interface ProcessInfo {
  pid: number;
  argv: string[];
  python: string;
  yieldloop: string;
  speed?: string;
}

/** time, kind (a name of the engine's probe), subject, object. They are a task's number or a thing's id, and a thing's id or 0; in
 * fd_ready descriptor and mask, in poll_begun the time-out in ns (-1: none), in poll_done how many entries are ready. */
export type RecordedEvent = [number, string, number, number];

export interface RecordedTask {
  name: string;
  coro: string | null;
  begins?: { file: string; line: number }; // where its coroutine's code begins
  site: Site | null;
  made_ns: number | null;
}

/** A link of an await chain, inside another one. */
export interface Place {
  name: string;
  file?: string;
  line?: number;
  under?: number; // the place around it, or 0
}

export interface Thing {
  kind: string;
  label: string;
}

export interface RecordedLoop {
  id: number;
  name: string;
  thread: number | string;
  events: RecordedEvent[];
  tasks: Record<string, RecordedTask>;
  things: Record<string, Thing>;
  stood?: Record<string, number>; // index of an event in which a task parked: the innermost place where it stood, where that is known
  places?: Record<string, Place>;
  lost: number;
}

export interface Block {
  loop: number;
  began_ns: number;
  ns: number;
  task: number | null;
  label: string;
  file: string;
  line: number;
  stack: Site[];
  count: number;
  worst_ns: number;
}

export interface RecordingDocument {
  format: 1;
  process: ProcessInfo;
  wall_ns: number;
  loops: RecordedLoop[];
  blocks: Block[];
  snapshot: SnapshotDocument | null;
}

export interface ChainLink {
  kind: string;
  name: string;
  file: string | null; // null of what has no frame, or no source
  line: number | null;
}

/** What a thread of a pool is busy with. */
export interface Work {
  function: string;
  thread: string;
  since_ns: number | null;
  task: number | null;
}

export interface ChainEnd {
  kind: string;
  label: string;
  holders?: number[];
  holding?: number; // of many holders, all of them
  threads?: Work[]; // of a job that waits for a free one
  waiters?: number[];
  when_ns?: number;
  fd?: number;
  peer?: string;
  direction?: string;
  function?: string;
  pid?: number;
  tasks?: number[];
}

export interface SnapshotTask {
  id: number;
  name: string;
  state: "running" | "ready" | "parked" | "new";
  since_ns: number;
  made_ns: number;
  site: Site | null;
  chain: ChainLink[];
  end: ChainEnd | null;
}

export interface SnapshotLoop {
  id: number;
  name: string;
  thread: number | string;
  doing: { kind: string; task: number | null; label: string; since_ns: number; stack: Site[] };
  ready: number;
  timers: number;
  fds: { fd: number; direction: string; peer: string | null; local: string | null }[];
  tasks: SnapshotTask[];
  cycles: number[][];
  lost: unknown;
}

export interface SnapshotDocument {
  format: 1;
  taken_ns: number;
  process: ProcessInfo;
  loops: SnapshotLoop[];
}
