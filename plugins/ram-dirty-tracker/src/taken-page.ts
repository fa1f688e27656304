// A page being read, whichever part of the wire it comes from: one object for all pages of a section, and its bytes handed
// on as they arrive.
import type { Cursor } from "@godwit/core";
import type { ListedBlock, PageRecord, RamSink } from "./ram-sink.ts";

export interface OpenPage<B extends ListedBlock> extends PageRecord<B> {
  kind: PageRecord["kind"];
  block: B;
  offset: number;
  continues: boolean;
  fill: number;
  payloadBytes: number;
}

/** Hands over what has arrived of the payload, of which `got` bytes are through; gives how many are now. */
export function takePayload<B extends ListedBlock>(
  cursor: Cursor,
  sink: RamSink<B>,
  page: PageRecord<B>,
  got: number,
): number {
  const from = cursor.pos;
  const to = Math.min(cursor.end, from + page.payloadBytes - got);
  if (to > from) sink.payload(page, got, cursor.bytes, from, to);
  cursor.pos = to;
  return got + to - from;
}
