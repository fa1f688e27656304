// Changes to a stream: those of bytes leave everything else as it is, those of sections write the stream anew.
import type { VmdescDialect } from "@godwit/core";
import { sectionKey } from "@godwit/core/stream";
import { type SectionInit, type SectionPart, sectionPart } from "./section.ts";
import { type StreamParts, type TestStream, writeStream } from "./stream.ts";

/** The first `offset` bytes. */
export function cutAt({ bytes }: Pick<TestStream, "bytes">, offset: number): Uint8Array {
  within(offset, bytes.length);
  return bytes.slice(0, offset);
}

/** The same bytes with one bit turned over; bit 0 is the lowest. */
export function flip({ bytes }: Pick<TestStream, "bytes">, offset: number, bit = 0): Uint8Array {
  within(offset, bytes.length - 1);
  within(bit, 7);
  const changed = bytes.slice();
  changed[offset] = (changed[offset] as number) ^ (1 << bit);
  return changed;
}

/**
 * The sections in another order: `order` names each once, as `idstr/instance`. All sections of one key keep their order
 * among themselves and stand where the key stands; commands come first. The vmdesc lists devices in the new order.
 */
export function reorderSections(stream: TestStream, order: readonly string[]): TestStream {
  const known = sectionKeys(stream);
  if (
    order.length !== known.length ||
    new Set(order).size !== order.length ||
    !known.every((key) => order.includes(key))
  ) {
    throw new RangeError(`an order names each of ${known.join(", ")} once, not ${order.join(", ")}`);
  }
  const { body } = stream.parts;
  const sections = order.flatMap((key) => sectionsIn(body).filter((part) => sectionKey(part) === key));
  return rewritten(stream, [...body.filter(({ type }) => type === "raw"), ...sections]);
}

/** Without any section of this `idstr/instance`; nor does the vmdesc describe it. */
export function withoutSection(stream: TestStream, key: string): TestStream {
  mustKnow(stream, key);
  return rewritten(
    stream,
    stream.parts.body.filter((part) => part.type === "raw" || sectionKey(part) !== key),
  );
}

/** With one more section, before the one of the key `before`, or as the last. The vmdesc describes it at its place. */
export function withSection(
  stream: TestStream,
  section: SectionInit,
  { before, dialect = "10.0" }: { readonly before?: string; readonly dialect?: VmdescDialect } = {},
): TestStream {
  if (before !== undefined) mustKnow(stream, before);
  const body = [...stream.parts.body];
  const at = body.findIndex((part) => part.type === "section" && sectionKey(part) === before);
  const part = sectionPart(section, sectionsIn(body), true, dialect);
  body.splice(at < 0 ? body.length : at, 0, part);
  return rewritten(stream, body);
}

/** The last section of this `idstr/instance` loses its footer. The vmdesc says nothing of footers, and stays. */
export function withoutFooter(stream: TestStream, key: string): TestStream {
  mustKnow(stream, key);
  const { body } = stream.parts;
  const last = body.findLastIndex((part) => part.type === "section" && sectionKey(part) === key);
  return rewritten(
    stream,
    body.map((part, i) => (i === last ? { ...(part as SectionPart), footer: false } : part)),
  );
}

/** Without the description behind EOF. */
export function withoutVmdesc({ parts }: TestStream): TestStream {
  return writeStream({ ...parts, vmdesc: undefined });
}

/** Each `idstr/instance`, once, in the order of the first of its sections. */
export function sectionKeys({ parts }: TestStream): readonly string[] {
  return [...new Set(sectionsIn(parts.body).map(sectionKey))];
}

function sectionsIn(body: StreamParts["body"]): SectionPart[] {
  return body.filter((part) => part.type === "section");
}

function rewritten({ parts }: TestStream, body: StreamParts["body"]): TestStream {
  return writeStream({ ...parts, body });
}

function mustKnow(stream: TestStream, key: string): void {
  const known = sectionKeys(stream);
  if (!known.includes(key)) throw new RangeError(`no section ${key} among ${known.join(", ")}`);
}

function within(value: number, most: number): void {
  if (!Number.isInteger(value) || value < 0 || value > most) throw new RangeError(`${value} is not in 0 to ${most}`);
}
