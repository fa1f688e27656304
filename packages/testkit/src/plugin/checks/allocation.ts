// Hostile numbers: what a load allocates is compared with the bytes that came, whatever numbers stand in them.
import type { Description } from "@godwit/core";
import { describedIn } from "../../clocks/differences.ts";
import type { FieldPlace, Members } from "../../clocks/fields.ts";
import { allocatedIn } from "../allocations.ts";
import type { CheckFunction } from "../check.ts";
import { writable } from "../compare.ts";
import type { Findings } from "../findings.ts";
import { statesOf } from "../generated.ts";
import { devicesOf, type Lab, loadInto, type Made, saveWith } from "../lab.ts";
import { firstFields, spreadOf } from "../places.ts";
import type { RecordedDevice } from "../recorded.ts";
import { bodyOf, fullSection, partsOf, streamOf, withSection } from "../sections.ts";

/** Beyond what a real save takes, a load may take so many times the bytes that came, and so much at any rate. */
const timesBytes = 64;
const plainBytes = 1024 * 1024;
/** A section's integers are tried, up to so many. */
const mostFields = 200;
const fewestFields = 24;

export const allocationCheck: CheckFunction = async (lab, findings) => {
  const source = await lab.exercised();
  const save = await saveWith(findings, source, "after `exercise`");
  if (save === undefined) return undefined;
  const parts = partsOf(save);
  const devices = devicesOf(source.bench);
  if (devices.length === 0) return "the plugin registers no device with a description";
  const stream = streamOf(parts);
  if ((await loadInto(lab.make(), stream)).is !== "loaded") return undefined;
  const plain = measured(lab.make(), stream, Number.POSITIVE_INFINITY);
  if (plain.threw) return "the machine's own save cannot be restored at once, and so what that takes is not seen";
  const usual = plain.bytes;
  for (const device of devices) {
    for (const { body, path } of hostile(lab, findings, device, bodyOf(parts, device.key), describedIn(save))) {
      const hostileStream = streamOf(withSection(parts, fullSection(device, device.description.version, body)));
      const mostBytes = 4 * usual + timesBytes * hostileStream.length + plainBytes;
      // The path of the first tells where to look; what else is allocated is the same.
      if (findings.has("ALLOCATION_UNBOUNDED", device.key)) break;
      if (!measured(lab.make(), hostileStream, mostBytes).isOver) continue;
      const text = `more than ${mostBytes} bytes for a stream of ${hostileStream.length}`;
      findings.add("ALLOCATION_UNBOUNDED", { section: device.key, path, text });
    }
  }
  return undefined;
};

function measured({ bench }: Made<unknown>, stream: Uint8Array, mostBytes: number): ReturnType<typeof allocatedIn> {
  return allocatedIn(() => void bench.kernel.restore(stream), mostBytes);
}

interface Hostile {
  readonly body: Uint8Array;
  readonly path: string | undefined;
}

function* hostile<M>(
  lab: Lab<M>,
  findings: Findings,
  device: RecordedDevice,
  body: Uint8Array | undefined,
  described: ReturnType<typeof describedIn>,
): Generator<Hostile> {
  const members = described.find(({ name, instance_id }) => `${name}/${instance_id}` === device.key);
  const places = body === undefined || members === undefined ? [] : integersOf(members, body.length);
  for (const { start, bytes, path } of spreadOf(places, lab.scaled(mostFields, fewestFields))) {
    for (const value of edges(bytes)) {
      const changed = (body as Uint8Array).slice();
      changed.set(value, start);
      yield { body: changed, path };
    }
  }
  for (const state of statesOf(lab, findings, device)) yield* written(device.description, state);
}

function* written(description: Description, state: Parameters<typeof writable>[1]): Generator<Hostile> {
  const result = writable(description, state);
  if ("body" in result && result.body !== undefined) yield { body: result.body, path: undefined };
}

function integersOf(members: Members, length: number): readonly FieldPlace[] {
  return firstFields(members, length).filter(({ bytes, type }) => bytes <= 8 && /^(u?int\d+|timer)/.test(type));
}

/** The largest number without a sign, the largest with one, and one that is only large. */
function edges(bytes: number): readonly Uint8Array[] {
  const all = new Uint8Array(bytes).fill(0xff);
  const positive = all.slice();
  positive[0] = 0x7f;
  const large = new Uint8Array(bytes);
  large[Math.max(bytes - 4, 0)] = 0x10;
  return [all, positive, large];
}
