// How the data gets into the page. A file carries it: JSON, gzipped, base64, in the script element "payload". A page that is
// served live finds the word "live" there and asks its own server.
import type { PackedWalk } from "./walk";
import type { Block, RecordingDocument, SnapshotDocument } from "./documents";

export interface Payload {
  kind: "recording" | "walks";
  title: string;
  recording?: RecordingDocument;
  snapshot?: SnapshotDocument;
  blocks?: Block[];
  walks?: PackedWalk[];
}

export const isLive = (text: string): boolean => text === "live";

export async function unpack(text: string): Promise<Payload> {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return (await new Response(stream).json()) as Payload;
}
