// Numbers and times as a person reads them.

const UNITS: [number, string][] = [
  [1e9, "s"],
  [1e6, "ms"],
  [1e3, "µs"],
  [1, "ns"],
];

/** A length of time in nanoseconds, to three figures: 1.25 ms. */
export function duration(ns: number): string {
  if (ns === 0) return "0";
  const size = Math.abs(ns);
  if (size >= 3600e9) return `${trim(ns / 3600e9)} h`;
  if (size >= 120e9) return `${trim(ns / 60e9)} min`;
  const [unit, name] = UNITS.find(([value]) => size >= value) ?? [1, "ns"];
  return `${trim(ns / unit)} ${name}`;
}

function trim(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2).replace(/\.?0+$/, (zeros) => (zeros.includes(".") ? "" : zeros));
}

/** A point of time on an axis whose ticks are *step* nanoseconds apart: just as many digits as tell two ticks apart. */
export function tick(ns: number, step: number): string {
  if (ns === 0) return "0";
  const [unit, name] = UNITS.find(([value]) => step >= value) ?? UNITS[3]!;
  return `${(ns / unit).toFixed(Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9)))} ${name}`;
}

/** A moment of the recording, to the microsecond. */
export const moment = (ns: number): string => `${(ns / 1e6).toFixed(3)} ms`;

export const count = (value: number): string => value.toLocaleString("en-US").replaceAll(",", "\u202f");

export const percent = (share: number): string => `${(share * 100).toFixed(share >= 0.0995 ? 0 : 1)} %`;

/** A file with its folder, and the line if there is one. */
export const place = (file: string, line: number): string => `${file.split("/").slice(-2).join("/")}${line > 0 ? `:${line}` : ""}`;

export const clock = (wallNs: number): string => new Date(wallNs / 1e6).toISOString().replace("T", " ").replace("Z", " UTC");
