// The walk document: what the stepper walks through. `learn` records it from a traced run, `watch` derives it from a recording.
// A recording has too many steps to hold all of them, so `steps` is only ever asked for its length and for one step at a time;
// an array is such a thing too.

export interface WalkFrame {
  name: string;
  file: string;
  line: number;
  kind: string; // function, generator, coroutine, …
  id: number | string;
  leaving?: boolean; // it leaves the stack in this step
  borrowed?: boolean; // where it stands was not recorded: this is from another wait, as the step's note says
  locals?: [string, string][]; // name and value of its variables
}

export interface WalkGenerator {
  id: number | string;
  name: string;
  state: "created" | "running" | "suspended" | "closed";
  file?: string;
  line: number;
  waits?: string; // what it delegates to
  holders: string[];
}

export interface WalkStep {
  event: string; // call, line, yield, return, exception, or the name of an engine event
  text: string;
  file: string;
  line: number;
  stack: WalkFrame[]; // outermost first
  generators: WalkGenerator[];
  ready: string[];
  timers: string[];
  fds: string[];
  output: string; // printed in this step
  task?: number; // that the event is of
  note?: string; // on what the stack does not show
}

export interface WalkSteps {
  readonly length: number;
  at(index: number): WalkStep | undefined;
}

/** A step as it travels: each frame and each generator is the number of a part. */
type PackedStep = Omit<WalkStep, "stack" | "generators"> & { stack: number[]; generators: number[] };

export type PackedWalk = Omit<WalkDocument, "steps"> & { parts: (WalkFrame | WalkGenerator)[]; steps: PackedStep[] };

export function unpackWalk({ parts, steps, ...walk }: PackedWalk): WalkDocument {
  const named = (numbers: number[]): any[] => numbers.map((number) => parts[number]);
  return { ...walk, steps: steps.map((step) => ({ ...step, stack: named(step.stack), generators: named(step.generators) })) };
}

export interface WalkDocument {
  format: 1;
  title: string;
  language: "zh" | "en";
  sources: Record<string, string[]>; // file: its lines
  steps: WalkSteps;
}
