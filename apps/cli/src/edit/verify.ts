// The edited stream, read again: it opens, holds what the plan says, and its vmdesc fits it. What does not is our mistake.
import { setImmediate } from "node:timers/promises";
import { isMigrationError } from "@godwit/core";
import { sectionBytes, type Vmdesc } from "@godwit/core/stream";
import { layoutByVmdesc } from "@godwit/core/tools";
import type { Input } from "../io/input.ts";
import { type ReadOptions, readStream, type Section } from "../model/read-stream.ts";
import type { DevicePart } from "./device-part.ts";
import type { EditPlan } from "./plan.ts";
import { growthOf, spliced } from "./splice.ts";

/** Reading a file never waits: without a turn of the event loop now and then no signal would be heard. Bytes. */
const turnBytes = 1 << 24;

/** The edited stream as an input; `raw` can be sought. `each` sees every chunk first. */
export function editedInput(raw: Input, part: DevicePart, plan: EditPlan, each?: (chunk: Uint8Array) => void): Input {
  return {
    ...raw,
    sizeBytes: part.bytes + plan.splices.reduce((sum, one) => sum + growthOf(one), 0),
    async *chunks() {
      let sinceTurn = turnBytes;
      for await (const chunk of spliced(raw, plan.splices)) {
        each?.(chunk);
        yield chunk;
        sinceTurn += chunk.length;
        if (sinceTurn < turnBytes) continue;
        await setImmediate();
        sinceTurn = 0;
      }
    },
    tail: (bytes) => endOf(plan.vmdescText, bytes),
    readAt: () => undefined,
  };
}

/** EOF and the vmdesc's record, as far as `bytes` reach back. */
function endOf(text: string | undefined, bytes: number): Uint8Array {
  if (text === undefined) return new Uint8Array(1);
  const json = Buffer.from(text);
  const record = new Uint8Array(6 + json.length);
  record[1] = 0x06;
  new DataView(record.buffer).setUint32(2, json.length);
  record.set(json, 6);
  return record.subarray(Math.max(0, record.length - bytes));
}

/** Reads all of `edited`; throws, as a bug of ours, where it is not what was meant. */
export async function verifyEdited(
  edited: Input,
  part: DevicePart,
  plan: EditPlan,
  options: ReadOptions,
): Promise<void> {
  const found = new Map<string, Section>();
  const wrong = (what: string, cause?: unknown): never => {
    throw new Error(`the edited stream is not what was meant: ${what}`, { cause });
  };
  try {
    const read = await readStream(edited, options, {
      section(section) {
        if (section.phase === "full") found.set(section.key, section);
        if (plan.dropped.has(section.key)) wrong(`${section.key} is still there`);
      },
    });
    if (read.bytes !== edited.sizeBytes) wrong(`it has ${read.bytes} bytes instead of ${edited.sizeBytes}`);
    if (read.configuration?.machineType !== plan.machineType) wrong("the machine's name is another one");
    if ((read.vmdesc === undefined) !== (part.vmdesc === undefined)) wrong("it has a vmdesc, or lost it");
    checkSections(part, plan, found, wrong);
    if (read.vmdesc !== undefined) checkVmdesc(read.vmdesc, part, plan, found, wrong);
  } catch (error) {
    if (isMigrationError(error)) wrong(error.message, error);
    throw error;
  }
}

type Wrong = (what: string, cause?: unknown) => never;

function checkSections(
  { sections }: DevicePart,
  plan: EditPlan,
  found: ReadonlyMap<string, Section>,
  wrong: Wrong,
): void {
  for (const section of sections) {
    const { key, phase, head } = section;
    if (phase !== "full" || plan.dropped.has(key)) continue;
    const now = found.get(key) ?? wrong(`${key} is missing`);
    const { body, version = head.version } = plan.edited.get(key) ?? {};
    if (now.head.version !== version) wrong(`${key} has version ${now.head.version} instead of ${version}`);
    if (body !== undefined && Buffer.compare(now.body ?? new Uint8Array(0), body) !== 0)
      wrong(`${key} has other bytes`);
    if (body !== undefined && !isMigrationError(section.described) && isMigrationError(now.described))
      wrong(`${key} is not read any more`, now.described);
  }
}

/** Each section is in it that was in the one before; what it says of an edited one adds up to the section's bytes. */
function checkVmdesc(
  vmdesc: Vmdesc,
  part: DevicePart,
  plan: EditPlan,
  found: ReadonlyMap<string, Section>,
  wrong: Wrong,
): void {
  const keysOf = ({ devices }: Vmdesc): string[] => devices.map(({ name, instance_id }) => `${name}/${instance_id}`);
  const expected = keysOf(part.vmdesc as Vmdesc).filter((key) => !plan.dropped.has(key));
  if (keysOf(vmdesc).join("\n") !== expected.join("\n")) wrong("the vmdesc lists other sections");
  for (const device of vmdesc.devices) {
    const key = `${device.name}/${device.instance_id}`;
    if (!plan.edited.has(key)) continue;
    const { body = new Uint8Array(0), head } = found.get(key) ?? wrong(`the vmdesc lists ${key}, which is not there`);
    const bytes = sectionBytes(device);
    if (bytes !== undefined && bytes !== body.length)
      wrong(`the vmdesc gives ${key} ${bytes} bytes instead of ${body.length}`);
    if (device.version !== undefined && device.version !== head.version)
      wrong(`the vmdesc gives ${key} another version`);
    layoutByVmdesc(device, body);
  }
}
