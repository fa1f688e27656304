// Any run of records in either dialect is walked, however it is cut, and has its bytes again.
import { Cursor, type WireRecord } from "@godwit/core";
import {
  encodeVfioSection,
  type MarkerName,
  type VfioPhase,
  type VfioRecord,
  type VfioSection,
  vfioWalker,
} from "@godwit/vfio-config-subflag";
import fc from "fast-check";
import { expect, it } from "vitest";
import { testConfig } from "./support/config.ts";

const parametersOf = fc.record({
  configBytes: fc.constantFrom(256 as const, 4096 as const),
  msixVectors: fc.constantFrom(0, 1, 8, 9, 33),
});

type Parameters = { configBytes: 256 | 4096; msixVectors: number };

function device({ configBytes, msixVectors }: Parameters): fc.Arbitrary<WireRecord> {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  return fc.record({
    pci_dev: fc.record({
      version_id: fc.constantFrom(0, 1, 2),
      // Anything, but for what says how long the rest is.
      config: bytes(configBytes).map((random) => {
        const { config } = testConfig({ bytes: configBytes, vectors: msixVectors });
        for (let i = 0x60; i < configBytes; i++) config[i] = random[i] as number;
        return config;
      }),
      irq_state: fc.array(fc.constantFrom(0, 1), { minLength: 4, maxLength: 4 }).map((all) => Uint32Array.from(all)),
    }),
    msix_table: bytes(16 * msixVectors),
    msix_pba: bytes(Math.ceil(msixVectors / 8)),
  });
}

function config(parameters: Parameters, subFlag: number | undefined): fc.Arbitrary<VfioRecord> {
  return device(parameters).map((one) => ({ marker: "DEV_CONFIG_STATE", subFlag, device: one, parameters }));
}

const data: fc.Arbitrary<VfioRecord> = fc
  .uint8Array({ maxLength: 300 })
  .map((bytes) => ({ marker: "DEV_DATA_STATE", data: bytes }));
const only = (...marker: readonly Exclude<MarkerName, "DEV_DATA_STATE" | "DEV_CONFIG_STATE">[]) =>
  fc.constantFrom(...marker.map((name): VfioRecord => ({ marker: name })));

function records(version: number, phase: VfioPhase, parameters: Parameters): fc.Arbitrary<readonly VfioRecord[]> {
  const ahead = version === 1 ? data : fc.oneof(data, config(parameters, 1));
  const list = (...parts: fc.Arbitrary<readonly VfioRecord[]>[]) => fc.tuple(...parts).map((all) => all.flat());
  const one = (part: fc.Arbitrary<VfioRecord>) => part.map((record) => [record]);
  switch (phase) {
    case "start":
      return list(one(only("DEV_SETUP_STATE")), one(only("END_OF_STATE")));
    case "part":
      return list(fc.array(ahead, { maxLength: 5 }), one(only("END_OF_STATE", "DEV_INIT_DATA_SENT")));
    case "end":
      return list(fc.array(ahead, { maxLength: 5 }), one(only("END_OF_STATE")));
    case "full": {
      if (version === 1) {
        const whole = list(one(config(parameters, undefined)), one(only("END_OF_STATE")));
        return fc.oneof(whole, one(only("END_OF_STATE", "DEV_CONFIG_LOAD_READY")));
      }
      const enabling: VfioRecord = {
        marker: "DEV_CONFIG_STATE",
        subFlag: 2,
        device: undefined,
        parameters: undefined,
      };
      return list(one(fc.oneof(config(parameters, 3), fc.constant(enabling))), one(only("END_OF_STATE")));
    }
  }
}

const sections = fc
  .record({
    version: fc.constantFrom(1, 2),
    phase: fc.constantFrom<VfioPhase>("start", "part", "end", "full"),
    parameters: parametersOf,
  })
  .chain(({ version, phase, parameters }) =>
    fc.record({
      version: fc.constant(version),
      phase: fc.constant(phase),
      parameters: fc.constant(parameters),
      records: records(version, phase, parameters),
    }),
  );

/**
 * Bytes as they would come in pieces of these sizes; the last piece is what is left. At each cut a fork is made, and goes
 * on beside its original: the same must come of both.
 */
function walkCut(
  bytes: Uint8Array,
  sizes: readonly number[],
  section: { version: number; phase: VfioPhase },
  given?: Parameters,
) {
  const walker = vfioWalker(given === undefined ? {} : { parameters: given });
  let both = [{ decoder: walker.decoder(section.phase, section.version), cursor: new Cursor() }];
  let done: readonly boolean[] = [];
  for (let from = 0, i = 0; from < bytes.length; i++) {
    const to = Math.min(bytes.length, from + (sizes[i] ?? bytes.length));
    done = both.map(({ decoder, cursor }) => {
      // The reader may use its buffer again: what was kept must be a copy.
      const chunk = bytes.slice(from, to);
      cursor.append(chunk);
      const complete = decoder.resume(cursor);
      cursor.release();
      chunk.fill(0xee);
      return complete;
    });
    from = to;
    const [first] = both;
    if (done.includes(true) || first === undefined) continue;
    both = [first, { decoder: first.decoder.fork(), cursor: first.cursor.fork() }];
  }
  const values = both.map(({ decoder }) => decoder.value());
  expect(done.every((complete) => complete)).toBe(true);
  expect(both.every(({ cursor }) => cursor.available === 0)).toBe(true);
  for (const value of values) {
    expect(Buffer.compare(encodeVfioSection(value), encodeVfioSection(values[0] as VfioSection))).toBe(0);
  }
  return values[0] as VfioSection;
}

it("decodes and encodes any section to the same bytes, parameters given or inferred, forked at every cut", () => {
  fc.assert(
    fc.property(
      sections,
      fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 40 }),
      fc.boolean(),
      (section, cuts, given) => {
        const bytes = encodeVfioSection(section);
        const walked = walkCut(bytes, cuts, section, given ? section.parameters : undefined);
        expect(walked.records.map(({ marker }) => marker)).toEqual(section.records.map(({ marker }) => marker));
        expect(walked.records.flatMap((one) => (one.marker === "DEV_DATA_STATE" ? [[...one.data]] : []))).toEqual(
          section.records.flatMap((one) => (one.marker === "DEV_DATA_STATE" ? [[...one.data]] : [])),
        );
        expect(Buffer.compare(encodeVfioSection(walked), bytes)).toBe(0);
      },
    ),
    { seed: 20201126, numRuns: 200 },
  );
});

it("carries counts from section to section, and keeps an INIT_DATA_SENT from coming twice", () => {
  const walker = vfioWalker();
  const sent = encodeVfioSection({ version: 1, records: [{ marker: "DEV_INIT_DATA_SENT" }] });
  const first = walker.decoder("part", 1);
  first.resume(new Cursor(sent));
  const previous: VfioSection = first.value();
  expect(previous.counts).toEqual({ initDataSent: 1, configs: 0 });
  expect(() => walker.decoder("part", 1, previous).resume(new Cursor(sent))).toThrow(/VFIO_MARKER/);
});
