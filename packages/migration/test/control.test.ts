import { MigrationError } from "@godwit/core";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { describe, expect, it } from "vitest";
import { type ControlMessage, controlCode, decodeControl, encodeControl } from "../src/godwit/control.ts";
import { checkMsgpackBounds } from "../src/godwit/msgpack-bounds.ts";

const seed = 20_261_121;
const packr = new Packr({ useRecords: false });

const count = fc.maxSafeNat();
const duration = fc.double({ min: 0, max: 1e9, noNaN: true });
const text = fc.string({ unit: "grapheme", maxLength: 40 });

const u32 = fc.nat(0xffff_ffff);
const idstr = fc.string({ unit: "grapheme", minLength: 1, maxLength: 5 });
const subsections = fc.array(text, { maxLength: 4 });
const oldest = <T extends { readonly version: number }>(of: T) => ({
  ...of,
  minimumVersion: Math.floor(of.version / 2),
});
const section = { idstr, instance: u32, version: u32, subsections, optional: fc.boolean() };
const keyOf = (of: { readonly idstr: string; readonly instance: number }) => `${of.idstr}/${of.instance}`;
const manifest = fc.record({
  producer: fc.record({ name: text, version: text }),
  contract: count,
  machineType: text,
  sections: fc.uniqueArray(fc.record(section).map(oldest), { maxLength: 6, selector: keyOf }),
  reads: fc.uniqueArray(
    fc
      .record({ ...section, into: fc.array(text, { maxLength: 2 }), with: fc.array(text, { maxLength: 2 }) })
      .map(oldest),
    { maxLength: 2, selector: keyOf },
  ),
  kinds: fc.uniqueArray(fc.record({ name: idstr, version: u32, subsections }).map(oldest), {
    maxLength: 2,
    selector: ({ name }) => name,
  }),
  ramBlocks: fc.array(fc.record({ idstr: text, bytes: count }), { maxLength: 3 }),
  plugins: fc.array(fc.record({ name: text, version: text, contract: count }), { maxLength: 3 }),
});

const misfit = fc.record({ code: text, subject: text, refuses: fc.boolean(), expected: text, found: text });

const errorJson = fc
  .record(
    {
      code: text,
      detail: text,
      side: fc.constantFrom("source" as const, "destination" as const, "define" as const),
      section: text,
      version: count,
      path: text,
      offset: count,
      expected: text,
      found: text,
    },
    { requiredKeys: ["code", "detail"] },
  )
  .map(({ code, detail, ...init }) => new MigrationError(code, detail, init).toJSON());

const hex = (digits: number) =>
  fc.bigInt({ min: 0n, max: 16n ** BigInt(digits) - 1n }).map((value) => value.toString(16).padStart(digits, "0"));
const ownership = { machine: hex(32), epoch: count };
const never = { never: fc.constant(true as const) };
const sums = fc.array(fc.record({ channel: count, bytes: count, digest: text }), { maxLength: 3 });
const arbitraries: { readonly [K in ControlMessage["kind"]]: fc.Arbitrary<unknown> } = {
  offer: fc.record({
    kind: fc.constant("offer"),
    ownership: fc.record(ownership),
    manifest,
    session: hex(16),
    modes: fc.dictionary(fc.constantFrom("multifd", "postcopy-ram", "other"), text),
    digest: text,
    heartbeatMs: duration,
  }),
  accepted: fc.record({ kind: fc.constant("accepted"), heartbeatMs: duration, warnings: fc.array(misfit) }),
  refused: fc.record({ kind: fc.constant("refused"), misfits: fc.array(misfit) }),
  alive: fc.record({ kind: fc.constant("alive") }),
  round: fc.record({ kind: fc.constant("round"), round: count }),
  received: fc.record({ kind: fc.constant("received"), bytes: count }),
  "stream-end": fc.record({ kind: fc.constant("stream-end"), sums }),
  prepared: fc.record({ kind: fc.constant("prepared"), sums }),
  released: fc.record({ kind: fc.constant("released"), epoch: count }, { requiredKeys: ["kind"] }),
  resumed: fc.record({ kind: fc.constant("resumed"), prepareMs: duration, commitMs: duration }),
  failed: fc.record({ kind: fc.constant("failed"), error: errorJson, ...never }, { requiredKeys: ["kind", "error"] }),
  cancelled: fc.record({ kind: fc.constant("cancelled"), ...never }, { requiredKeys: ["kind"] }),
  "package-end": fc.record({ kind: fc.constant("package-end"), sums }),
  "page-request": fc.record({ kind: fc.constant("page-request"), idstr: text, start: count, length: count }),
  complete: fc.record({ kind: fc.constant("complete") }),
  resume: fc.record({ kind: fc.constant("resume"), session: hex(16), heartbeatMs: duration }),
  "resume-accepted": fc.record({ kind: fc.constant("resume-accepted"), heartbeatMs: duration }),
  "received-bitmap": fc.record({
    kind: fc.constant("received-bitmap"),
    idstr: text,
    at: count,
    of: count,
    bitmap: fc.uint8Array({ maxLength: 300 }),
  }),
  "resume-ack": fc.record({ kind: fc.constant("resume-ack") }),
  "ownership-query": fc.record({ kind: fc.constant("ownership-query"), ...ownership }),
  "ownership-answer": fc.record({
    kind: fc.constant("ownership-answer"),
    ...ownership,
    answer: fc.constantFrom("taken", "never", "unknown", "lost"),
  }),
};
const message = fc.oneof(...Object.values(arbitraries)) as fc.Arbitrary<ControlMessage>;

describe("control messages", () => {
  it.each(Object.entries(arbitraries))("%s comes back as it was sent", (_, arbitrary) => {
    fc.assert(
      fc.property(arbitrary as fc.Arbitrary<ControlMessage>, (sent) => {
        expect(decodeControl(encodeControl(sent))).toEqual(sent);
      }),
      { seed, numRuns: 100 },
    );
  });

  it("have codes of their own, and none has 0", () => {
    const codes = Object.values(controlCode);
    expect(new Set(codes).size).toBe(codes.length);
    expect(codes).not.toContain(0);
    expect(Object.keys(controlCode).sort()).toEqual(Object.keys(arbitraries).sort());
  });

  it("that are cut, changed or made up are refused by code, and never do anything else", () => {
    const refusedOrDecoded = (bytes: Uint8Array): boolean => {
      try {
        decodeControl(bytes);
        return true;
      } catch (error) {
        expect(error).toMatchObject({ code: "PROTOCOL_MESSAGE" });
        return false;
      }
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void refusedOrDecoded(bytes)),
      { seed, numRuns: 2000 },
    );
    let cutAndRefused = 0;
    fc.assert(
      fc.property(message, fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (sent, length, at, flip) => {
        const bytes = Uint8Array.from(encodeControl(sent));
        expect(refusedOrDecoded(bytes.subarray(0, length % bytes.length))).toBe(false);
        cutAndRefused++;
        bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ flip;
        refusedOrDecoded(bytes);
      }),
      { seed, numRuns: 1000 },
    );
    expect(cutAndRefused).toBe(1000);
  });

  it.each<[string, unknown, string]>([
    ["code 0", [0, {}], ""],
    ["an unknown code", [99, {}], ""],
    ["no body", [4], ""],
    ["a map instead of the pair", { 0: 4, 1: {} }, ""],
    ["a body that is a list", [controlCode.alive, []], "alive"],
    ["a count that is a text", [controlCode.round, { round: "1" }], "round.round"],
    ["a count below zero", [controlCode.round, { round: -1 }], "round.round"],
    ["a count with a fraction", [controlCode.received, { bytes: 0.5 }], "received.bytes"],
    ["a duration that is none", [controlCode.resumed, { prepareMs: Number.NaN, commitMs: 0 }], "resumed.prepareMs"],
    ["a missing digest", [controlCode.prepared, { sums: [{ channel: 0, bytes: 1 }] }], "prepared.sums[0].digest"],
    ["an unknown side", [controlCode.failed, { error: { code: "X", detail: "", side: "moon" } }], "failed.error.side"],
    ["misfits that are none", [controlCode.refused, { misfits: [{ code: "X" }] }], "refused.misfits[0].subject"],
    [
      "a section with a wrong version",
      [
        controlCode.offer,
        {
          manifest: {
            machineType: "m",
            sections: [{ idstr: "a", instance: 0, version: "2", minimumVersion: 1, subsections: [], optional: false }],
            ramBlocks: [],
            plugins: [],
          },
          session: "0123456789abcdef",
          modes: {},
          digest: "xxh64-frames",
          heartbeatMs: 1,
        },
      ],
      "offer.manifest.sections[0].version",
    ],
  ])("with %s are refused with the field's path", (_, value, path) => {
    const decode = () => decodeControl(packr.pack(value));
    expect(decode).toThrow(expect.objectContaining({ code: "PROTOCOL_MESSAGE", location: expect.anything() }));
    try {
      decode();
    } catch (error) {
      expect((error as MigrationError).location.path ?? "").toBe(path);
    }
  });

  it("ignore what a later version may add", () => {
    expect(decodeControl(packr.pack([controlCode.round, { round: 3, colour: "blue" }]))).toEqual({
      kind: "round",
      round: 3,
    });
  });
});

describe("the bounds of a message", () => {
  it("hold for everything that msgpackr writes for plain data", () => {
    const plain = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(null, true, false),
        fc.double(),
        fc.maxSafeInteger(),
        fc.string({ unit: "grapheme", maxLength: 300 }),
        fc.uint8Array({ maxLength: 300 }),
        fc.array(tie("value"), { maxLength: 20 }),
        fc.dictionary(fc.string(), tie("value"), { maxKeys: 20 }),
      ),
    })).value;
    fc.assert(
      fc.property(plain, (value) => checkMsgpackBounds(packr.pack(value))),
      { seed, numRuns: 500 },
    );
  });

  it.each<[string, number[]]>([
    ["an array of 4 billion", [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ["an array of one more than follow", [0x92, 0x01]],
    ["a map of 65,535", [0xde, 0xff, 0xff, 0x01]],
    ["a string of 4 GiB", [0xdb, 0xff, 0xff, 0xff, 0xff, 0x41]],
    ["bytes beyond the end", [0xc4, 0x05, 1, 2]],
    ["an extension type", [0xd4, 0x01, 0x00]],
    ["a reserved type", [0xc1]],
    ["bytes behind it", [0x01, 0x02]],
    ["nothing", []],
    ["nine levels", [0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x01]],
  ])("refuse %s before anything is decoded", (_, bytes) => {
    expect(() => checkMsgpackBounds(Uint8Array.from(bytes))).toThrow(
      expect.objectContaining({ code: "PROTOCOL_MESSAGE" }),
    );
  });
});
