// The page that is served: asks its own server for snapshots often and for the recording now and then, while it is looked at.
import type { Block, RecordingDocument, SnapshotDocument } from "./documents";
import { live, payload, view } from "./state";

const SNAPSHOT_EVERY = 2_000; // milliseconds
const RECORDING_EVERY = 10_000;

/** The document of that name; undefined if the process has none to give. */
async function ask<Document>(name: string): Promise<Document | undefined> {
  const answer = await fetch(`${name}${location.search}`, { cache: "no-store" });
  return answer.ok ? ((await answer.json()) as Document) : undefined;
}

export async function follow(): Promise<void> {
  let recorded = -Infinity;
  live.value = "live";
  for (;;) {
    if (live.value === "live" && !document.hidden) {
      try {
        const due = performance.now() - recorded >= RECORDING_EVERY;
        const snapshot = await ask<SnapshotDocument>("snapshot");
        const blocks = await ask<Block[]>("blocks");
        const recording = due ? await ask<RecordingDocument>("recording") : payload.value?.recording;
        if (snapshot === undefined) throw new Error("The process does not answer");
        if (due) recorded = performance.now();
        const argv = (recording ?? snapshot)?.process.argv ?? [];
        if (payload.value === null && !recording) view.value = "tasks";
        payload.value = { kind: "recording", title: argv.join(" "), snapshot, recording, blocks };
      } catch {
        live.value = "ended";
        return;
      }
    }
    await new Promise((wake) => setTimeout(wake, SNAPSHOT_EVERY));
  }
}
