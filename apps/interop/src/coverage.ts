// What is known of each section of a stream: who describes it, whether it comes back to the same bytes, and how many of
// its bytes have no name.
import { decodeRecord, decodeState, encodeState, Writer } from "@godwit/core";
import { listRecord } from "@godwit/core/codec";
import { StreamReader, type Vmdesc, type VmdescMembers } from "@godwit/core/stream";
import { listFormat, type RamPhase, type RamSection } from "@godwit/ram-dirty-tracker";
import { describe } from "godwit/catalogue";
import { type Leaf, leavesOf } from "./leaves.ts";
import { type OpenStream, type RawSection, sampleOf } from "./open.ts";
import { ramRewriter } from "./ram-records.ts";

/**
 * - `same bytes`: a plugin decodes it to fields with names, and encodes these to the same bytes.
 * - `walked`: its records and its end are known; it is not written again from them.
 * - `own vmdesc`: no plugin; the stream's own description lists it.
 * - `undescribed`: nobody lists it.
 */
export type Status = "same bytes" | "walked" | "own vmdesc" | "undescribed";

export interface Row {
  readonly idstr: string;
  /** Sections of this name, when there is more than one instance of it. */
  readonly count: number;
  readonly bytes: number;
  readonly plugin: string | undefined;
  readonly status: Status;
  /** Padding, images of configuration space, and buffers that QEMU itself treats as raw. */
  readonly rawBytes: number;
  /** Without a name, and for no such reason. */
  readonly opaqueBytes: number;
}

/** Why the bytes of a buffer have no names of their own, by the end of its path. The longest end counts. */
export const rawBuffers: Readonly<Record<string, string>> = {
  "pci_dev.config": "image of PCI configuration space",
  config: "image of the device's configuration space",
  msix_table: "image of the MSI-X table",
  msix_pba: "image of the MSI-X pending bits",
  unused: "padding",
  mac: "a hardware address",
  macs: "hardware addresses",
  vlans: "the VLAN filter, raw in QEMU",
};

/** Throws where a described section does not come back to the same bytes. */
export function coverageOf(stream: Uint8Array, open: OpenStream): Row[] {
  const ram = ramRow(stream, open);
  const rows = new Map<string, Row>([["ram", ram]]);
  for (const section of open.sections) {
    const row = rowOf(section, open.vmdesc);
    const key = `${row.idstr} ${row.status} ${row.plugin}`;
    const before = rows.get(key);
    rows.set(key, before === undefined ? row : sum(before, row, section.phase === "full"));
  }
  return [...rows.values()];
}

const mappedRam = "mapped-ram";
const footerBytes = 5;

function ramRow(stream: Uint8Array, { configuration, ram, vmdesc }: OpenStream): Row {
  const mapped = configuration.capabilities.includes(mappedRam);
  const again = ramRewriter(ram.pageBytes, listFormat(configuration.capabilities));
  const reader = new StreamReader({
    vmdesc,
    footerScan: true,
    open: ({ idstr }, phase, previous) =>
      idstr === "ram" ? again.walker.decoder(phase as RamPhase, previous as RamSection | undefined) : undefined,
  });
  let bytes = 0;
  let index = 0;
  for (const event of [...reader.push(stream), ...reader.end()]) {
    if (event.type !== "section" || event.head.idstr !== "ram") continue;
    const end = event.offset + event.bytes - footerBytes;
    const made = again.sections[index++]?.written() ?? new Uint8Array(0);
    // The pages of mapped-ram have places in the file: mappedRamWriter's tests write such a file whole.
    if (!mapped && !same(made, stream.subarray(end - event.bodyBytes, end))) {
      throw new Error(`the ram section at ${event.offset} does not come back`);
    }
    bytes += event.bodyBytes;
  }
  const status = mapped ? "walked" : "same bytes";
  return { idstr: "ram", count: 1, bytes, plugin: "@godwit/ram-dirty-tracker", status, rawBytes: 0, opaqueBytes: 0 };
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function sum(a: Row, b: Row, another: boolean): Row {
  return {
    ...a,
    count: a.count + (another ? 1 : 0),
    bytes: a.bytes + b.bytes,
    rawBytes: a.rawBytes + b.rawBytes,
    opaqueBytes: a.opaqueBytes + b.opaqueBytes,
  };
}

function rowOf(section: RawSection, vmdesc: Vmdesc | undefined): Row {
  const { head, body, phase } = section;
  const row = { idstr: head.idstr, count: 1, bytes: body.length, plugin: undefined, rawBytes: 0, opaqueBytes: 0 };
  if (phase !== "full") return { ...row, status: "walked" };
  const sample = sampleOf(section, vmdesc);
  const found = describe(sample);
  if (found !== undefined) {
    checkSame(section, found.description);
    const record = decodeRecord(found.description, body, { version: head.version });
    const leaves = leavesOf(listRecord(new Writer(body.length), found.description, record, "10.0"));
    const nameless = leaves.filter(isNameless);
    const raw = rawInQemu(sample.vmdesc);
    const opaque = bytesOf(nameless.filter((leaf) => reasonOf(leaf.path) === undefined && !raw(leaf)));
    return {
      ...row,
      plugin: found.plugin,
      status: "same bytes",
      opaqueBytes: opaque,
      rawBytes: bytesOf(nameless) - opaque,
    };
  }
  if (sample.vmdesc === undefined) return { ...row, status: "undescribed", opaqueBytes: body.length };
  return { ...row, status: "own vmdesc", opaqueBytes: bytesOf(leavesOf(sample.vmdesc).filter(isNameless)) };
}

/** By state, not by record alone: what is not needed must not travel. */
function checkSame({ head, body }: RawSection, description: Parameters<typeof decodeState>[0]): void {
  const made = encodeState(description, decodeState(description, body, { version: head.version }) as never);
  if (same(made, body)) return;
  const at = made.findIndex((byte, i) => byte !== body[i]);
  throw new Error(
    `${head.idstr}/${head.instance} does not come back: ${made.length} of ${body.length} bytes, at ${at}`,
  );
}

const isNameless = ({ type }: Leaf): boolean => /buffer|^virtio$/.test(type);

/** Whether QEMU's own description calls a leaf of this name and size a buffer. */
function rawInQemu(vmdesc: Partial<VmdescMembers> | undefined): (leaf: Leaf) => boolean {
  const end = ({ path, bytes }: Leaf): string => `${path.replace(/.*\./, "")} ${bytes}`;
  const known = new Set(
    leavesOf(vmdesc ?? {})
      .filter(({ type }) => type.endsWith("buffer"))
      .map(end),
  );
  return (leaf) => known.has(end(leaf));
}

/** Why the buffer at `path` is raw; undefined where it should have fields. */
function reasonOf(path: string): string | undefined {
  const ends = Object.keys(rawBuffers).filter((end) => path === end || path.endsWith(`.${end}`));
  const [longest] = ends.toSorted((a, b) => b.length - a.length);
  return longest === undefined ? undefined : rawBuffers[longest];
}

function bytesOf(leaves: readonly Leaf[]): number {
  return leaves.reduce((total, { bytes }) => total + bytes, 0);
}
