// What a section "spapr" depends on, found by walking its subsections: none says how long it is.
import type { SectionSample } from "@godwit/core";
import { capabilityTable, type SpaprCapability } from "./capabilities.ts";
import { mayEndAt, onlyOne, truncated, wordAt, wrong } from "./sample.ts";
import type { SpaprParameters } from "./spapr.ts";

/** A way to read the section up to its end. */
interface Reading {
  readonly found: ReadonlyMap<string, { readonly at: number; readonly bytes: number }>;
}

const subsectionByte = 0x05;
const headBytes = 6;
const irqMapName = "spapr_irq_map";
const capPrefix = "spapr/cap/";
const newer: readonly string[] = ["ail_mode_3", "nested_papr", "dawr1"];

/** `PARAMETER_WRONG` where no map of interrupts fits, `PARAMETER_AMBIGUOUS` where several do, `STREAM_TRUNCATED`. */
export function inferSpapr(sample: SectionSample): SpaprParameters {
  const fieldBytes = (sample.version < 3 ? 12 : 0) + (sample.version >= 2 ? 16 : 0);
  const readings: Reading[] = [];
  walk(sample, fieldBytes, new Map(), readings);
  const sizes = readings.map(({ found }) => found.get(irqMapName)?.bytes ?? 0);
  onlyOne(sizes, irqMapName, "subsections up to the section's end");
  const { found } = readings[0] as Reading;
  const capabilities = [...found]
    .filter(([name]) => name.startsWith(capPrefix))
    .map(([name, { at }]) => ({ name: name.slice(capPrefix.length) as SpaprCapability, value: sample.bytes[at] }));
  return {
    dialect: capabilities.some(({ name }) => newer.includes(name)) ? "10.0" : "7.2",
    irqMapBits: 8 * (found.get(irqMapName)?.bytes ?? 0),
    optionVector: found.has("spapr_option_vector_ov5_cas"),
    capabilities: capabilities
      .filter(({ name, value }) => capabilityTable[name]?.standard === value)
      .map(({ name }) => name),
    ccs: found.has("spaprccslist"),
  };
}

/** Every reading from `at` on. Only the map of interrupts leaves a choice, and stands once. */
function walk(
  sample: SectionSample,
  at: number,
  found: ReadonlyMap<string, { readonly at: number; readonly bytes: number }>,
  readings: Reading[],
): void {
  const name = subsectionAt(sample, at);
  if (name === undefined) {
    if (mayEndAt(sample, at)) readings.push({ found });
    return;
  }
  if (found.has(name)) return;
  const body = at + headBytes + name.length;
  for (const bytes of name === irqMapName ? mapSizes(sample, body) : [bodyBytes(sample, name, body)]) {
    walk(sample, body + bytes, new Map(found).set(name, { at: body, bytes }), readings);
  }
}

/** The name of the subsection that begins here, if one does. */
function subsectionAt({ bytes }: SectionSample, at: number): string | undefined {
  const length = bytes[at + 1];
  if (bytes[at] !== subsectionByte || length === undefined || at + headBytes + length > bytes.length) return undefined;
  const name = String.fromCharCode(...bytes.subarray(at + 2, at + 2 + length));
  return name.startsWith("spapr") && length > "spapr".length ? name : undefined;
}

/**
 * Whole words, up to the first subsection that is known: the head of one has a hundred bits and more, which no map of
 * interrupts has by chance. A footer's single byte is no such proof, so every word that begins like one is a choice.
 */
function mapSizes(sample: SectionSample, at: number): number[] {
  const told = sample.vmdesc?.subsections?.find(({ vmsd_name }) => vmsd_name === irqMapName)?.fields?.[0]?.size;
  if (told !== undefined) return [told];
  const sizes: number[] = [];
  for (let bytes = 8; at + bytes <= sample.bytes.length; bytes += 8) {
    const name = subsectionAt(sample, at + bytes);
    if (name !== undefined && isKnown(name)) return [...sizes, bytes];
    if (mayEndAt(sample, at + bytes)) sizes.push(bytes);
  }
  return sizes;
}

function isKnown(name: string): boolean {
  return name.startsWith(capPrefix) ? Object.hasOwn(capabilityTable, name.slice(capPrefix.length)) : name in bodies;
}

type BodyBytes = (sample: SectionSample, at: number) => number;

const bodies: Readonly<Record<string, BodyBytes>> = {
  spapr_option_vector_ov5_cas: () => 256,
  spapr_patb_entry: () => 8,
  spapr_fwnmi: () => 20,
  spapr_dtb: (sample, at) => 8 + wordAt(sample, at + 4),
  spapr_pending_events: (sample, at) => listBytes(sample, at, (from) => 8 + wordAt(sample, from + 4)),
  spaprccslist: (sample, at) => listBytes(sample, at, () => 12),
};

function bodyBytes(sample: SectionSample, name: string, at: number): number {
  if (!isKnown(name)) throw wrong(name, "a subsection that QEMU 7.2 or 10.0 has, or spaprccslist", "another one");
  return bodies[name]?.(sample, at) ?? 1;
}

function listBytes({ bytes }: SectionSample, at: number, elementBytes: (at: number) => number): number {
  let to = at;
  while (bytes[to] === 1) to += 1 + elementBytes(to + 1);
  if (to >= bytes.length) throw truncated(bytes.length);
  return to + 1 - at;
}
