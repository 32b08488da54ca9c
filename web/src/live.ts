// The page that is served: asks its own server for snapshots often and for the recording now and then, while it is looked at.
import type { RecordingDocument, SnapshotDocument } from "./documents";
import { live, payload } from "./state";

const SNAPSHOT_EVERY = 2_000; // milliseconds
const RECORDING_EVERY = 10_000;

async function ask<Document>(name: string): Promise<Document | undefined> {
  const answer = await fetch(`${name}${location.search}`, { cache: "no-store" });
  if (answer.status === 404) return undefined; // this process records nothing
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as Document;
}

export async function follow(): Promise<void> {
  let recorded = -Infinity;
  live.value = "live";
  for (;;) {
    if (live.value === "live" && !document.hidden) {
      try {
        const due = performance.now() - recorded >= RECORDING_EVERY;
        const snapshot = await ask<SnapshotDocument>("snapshot");
        const recording = due ? await ask<RecordingDocument>("recording") : payload.value?.recording;
        if (due) recorded = performance.now();
        const argv = (recording ?? snapshot)?.process.argv ?? [];
        payload.value = { kind: "recording", title: argv.join(" "), snapshot, recording };
      } catch {
        live.value = "ended";
        return;
      }
    }
    await new Promise((wake) => setTimeout(wake, SNAPSHOT_EVERY));
  }
}
