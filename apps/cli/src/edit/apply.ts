// Carries edits out: all of them are worked out before a byte is written; RAM and what else is not edited is copied as it is.
import type { Catalogue } from "../model/catalogue.ts";
import type { ReadOptions } from "../model/read-stream.ts";
import type { DevicePart } from "./device-part.ts";
import type { Edit } from "./edit.ts";
import { type EditPlan, planEdits } from "./plan.ts";
import { streamChanged } from "./refusal.ts";
import type { Source } from "./source.ts";
import { spliced } from "./splice.ts";
import { editedInput, verifyEdited } from "./verify.ts";

export interface EditReport extends Pick<EditPlan, "done" | "notes"> {
  /** Of the edited stream. */
  readonly bytes: number;
}

/** Works the edits out. What cannot be done is thrown, and nothing was written. */
export async function prepareEdits(
  source: Source,
  part: DevicePart,
  edits: readonly Edit[],
  catalogue: Catalogue,
): Promise<EditPlan> {
  return planEdits(part, edits, await vmdescTextOf(source, part), catalogue);
}

async function vmdescTextOf(source: Source, { vmdescPlace }: DevicePart): Promise<string | undefined> {
  if (vmdescPlace === undefined) return undefined;
  const input = await source.again();
  try {
    const record = new Uint8Array(vmdescPlace.bytes);
    if (input.readAt(vmdescPlace.offset, record) !== record.length) throw streamChanged();
    return Buffer.from(record.subarray(5)).toString();
  } finally {
    input.close();
  }
}

/** Reads the edited stream through, and gives every chunk to `write` first. Throws where it is not what was meant. */
export async function writeVerified(
  source: Source,
  part: DevicePart,
  plan: EditPlan,
  options: ReadOptions,
  write?: (chunk: Uint8Array) => void,
): Promise<EditReport> {
  const raw = await source.again();
  try {
    const edited = editedInput(raw, part, plan, write);
    await verifyEdited(edited, part, plan, options);
    return { done: plan.done, notes: plan.notes, bytes: edited.sizeBytes as number };
  } finally {
    raw.close();
  }
}

/** The edited stream once more, for a way that cannot be taken back. */
export async function* editedChunks(source: Source, { splices }: EditPlan): AsyncIterable<Uint8Array> {
  const raw = await source.again();
  try {
    yield* spliced(raw, splices);
  } finally {
    raw.close();
  }
}
