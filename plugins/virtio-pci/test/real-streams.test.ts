// Sections that real QEMU wrote: parameters are inferred, bytes come back the same, and the values are the guest's.
import { Cursor, decodeRecord, decodeState, encodeRecord, encodeState, recordDecoder } from "@godwit/core";
import { haveStreams } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { virtioPciFamily } from "../src/index.ts";
import { balloon, rng, scsi } from "./support/classes.ts";
import { echo } from "./support/echo.ts";
import { pciMachine } from "./support/machine.ts";
import { realSection } from "./support/real-sections.ts";

const families = { rng: virtioPciFamily(rng), scsi: virtioPciFamily(scsi), balloon: virtioPciFamily(balloon) };

const cases = [
  ["q35-vtd-virtio-7.2.stream", "0000:00:03.0/virtio-rng", "rng"],
  ["q35-vtd-virtio-7.2.stream", "0000:00:06.0/virtio-scsi", "scsi"],
  ["q35-vtd-virtio-7.2.stream", "0000:00:04.0/virtio-balloon", "balloon"],
  ["q35-vtd-virtio-10.0.stream", "0000:00:03.0/virtio-rng", "rng"],
  ["q35-vtd-virtio-10.0.stream", "0000:00:06.0/virtio-scsi", "scsi"],
  ["q35-vtd-virtio-10.0.stream", "0000:00:04.0/virtio-balloon", "balloon"],
  ["q35-retarget-10.0.stream", "0000:00:03.0/virtio-rng", "rng"],
  ["i440fx-legacy-virtio-7.2.stream", "0000:00:04.0/virtio-rng", "rng"],
  ["i440fx-legacy-virtio-7.2.stream", "0000:00:06.0/virtio-scsi", "scsi"],
  ["i440fx-transitional-virtio-7.2.stream", "0000:00:04.0/virtio-rng", "rng"],
  ["i440fx-transitional-virtio-7.2.stream", "0000:00:05.0/virtio-balloon", "balloon"],
] as const;

function inferred(raw: string, idstr: string, kind: keyof typeof families) {
  const section = realSection(raw, idstr);
  const { infer, build } = families[kind];
  const sample = { idstr, instance: 0, version: section.version, bytes: section.open };
  const parameters = infer(sample);
  expect(infer({ ...sample, bytes: section.body })).toEqual(parameters);
  // The families differ in the class's state only; what is looked at here is common.
  const description = (build as (p: typeof parameters) => ReturnType<typeof families.rng.build>)(parameters);
  return { ...section, parameters, description };
}

/** The first difference: of large arrays, an assertion library is slow to tell. */
function difference(a: Uint8Array, b: Uint8Array): string {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  if (at >= 0) return `byte ${at}: ${a[at]} and ${b[at]}`;
  return a.length === b.length ? "none" : `${a.length} and ${b.length} bytes`;
}

describe.skipIf(!haveStreams())("sections of real streams", () => {
  it.each(cases)("%s %s: same bytes from the record and from the state", (raw, idstr, kind) => {
    const { body, description, version } = inferred(raw, idstr, kind);
    const record = decodeRecord(description, body, { version });
    expect(difference(encodeRecord(description, record), body)).toBe("none");
    expect(difference(encodeState(description, decodeState(description, body, { version })), body)).toBe("none");
  });

  it.each([1, 7, 4096])("reads the same in pieces of %i bytes", (pieceBytes) => {
    const { open, body, description, version } = inferred(
      "q35-vtd-virtio-7.2.stream",
      "0000:00:04.0/virtio-balloon",
      "balloon",
    );
    const decoder = recordDecoder(description, version);
    const cursor = new Cursor();
    let done = false;
    for (let at = 0; !done && at < open.length; at += pieceBytes) {
      cursor.append(open.slice(at, at + pieceBytes));
      done = decoder.resume(cursor);
      cursor.release();
    }
    expect([done, cursor.offset]).toEqual([true, body.length]);
    expect(difference(encodeRecord(description, decoder.value()), body)).toBe("none");
  });

  it("finds what the command lines say, and what of the offered features can be told", () => {
    const parametersOf = (raw: string, idstr: string, kind: keyof typeof families) =>
      inferred(raw, idstr, kind).parameters;
    expect(parametersOf("q35-vtd-virtio-7.2.stream", "0000:00:03.0/virtio-rng", "rng")).toEqual({
      configBytes: 256,
      msixVectors: 2,
      modern: true,
      migrateExtra: true,
      dialect: "10.0",
      hostFeatures: 0x103_3000_0000n,
    });
    const scsiVectors = parametersOf("q35-vtd-virtio-10.0.stream", "0000:00:06.0/virtio-scsi", "scsi").msixVectors;
    expect(scsiVectors).toBe(4);
    const withoutMsix = parametersOf("q35-vtd-virtio-7.2.stream", "0000:00:04.0/virtio-balloon", "balloon");
    expect(withoutMsix.msixVectors).toBe(0);
    const legacy = parametersOf("i440fx-legacy-virtio-7.2.stream", "0000:00:04.0/virtio-rng", "rng");
    expect(legacy).toMatchObject({ modern: false, migrateExtra: true, msixVectors: 2, hostFeatures: 0x100_3000_0000n });
    expect(parametersOf("i440fx-transitional-virtio-7.2.stream", "0000:00:04.0/virtio-rng", "rng").modern).toBe(true);
  });

  it("has the guest's values under their names", () => {
    const { description, body } = inferred("q35-vtd-virtio-7.2.stream", "0000:00:03.0/virtio-rng", "rng");
    const state = decodeState(description, body);
    expect(state).toMatchObject({
      status: 0x0f,
      isr: 1,
      queue_sel: 0,
      guest_features: 0x3000_0000,
      config_len: 0,
      queue_count: 1,
      vqs: [{ num: 8, align: 4096, desc: 0xffff_f000n, last_avail_idx: 520, transport: { vector: 1 } }],
    });
    expect(state.transport).toMatchObject({ config_vector: 0, pci_dev: { version_id: 2 } });
    expect(state.transport.pci_dev.config.slice(0, 4)).toEqual(Uint8Array.of(0xf4, 0x1a, 0x44, 0x10));
    expect(state.transport.msix_table.slice(0, 4)).toEqual(Uint8Array.of(0x18, 0x03, 0xe0, 0xfe));
    const { virtio } = state;
    expect(virtio.features64.guest_features).toBe(0x103_3000_0000n);
    expect(virtio.virtqueues.vq[0]).toEqual({ avail: 0xffff_f080n, used: 0xffff_f0c0n });
    expect(virtio.virtqueues.vq).toHaveLength(1024);
    expect(virtio.started).toEqual({ started: true });
    expect(virtio.broken).toEqual({ broken: false });
    expect(virtio.device_endian).toEqual({ device_endian: 1 });
    expect(Array.from(virtio.ringsize.num_default.subarray(0, 2))).toEqual([8, 0]);
    const { modern_state } = virtio.extra_state.extra_state;
    expect(Array.from(modern_state.guest_features)).toEqual([0x3000_0000, 0x103]);
    expect(modern_state.vqs[0]).toMatchObject({ num: 8, enabled: 1, desc_low: 0xffff_f000, desc_high: 0 });
  });

  it.each([
    ["0000:00:03.0/virtio-rng", "rng", 4, [8]],
    ["0000:00:06.0/virtio-scsi", "scsi", 8, [256, 256, 256]],
  ] as const)(
    "%s has the configuration space of a function of ours, but for the guest's bits",
    (idstr, kind, deviceId, sizes) => {
      const { body, parameters } = inferred("q35-vtd-virtio-10.0.stream", idstr, kind);
      const { msixVectors } = parameters;
      const { function: pci } = pciMachine({ msixVectors }, echo(sizes, deviceId)).offer;
      const config = () => Array.from({ length: 256 }, (_, at) => pci.configRead(at, 1));
      const fill = (byte: number) => {
        for (let at = 0; at < 256; at++) pci.configWrite(at, 1, byte);
        return config();
      };
      const [zeros, ones] = [fill(0), fill(0xff)];
      const fixed = (bytes: ArrayLike<number>) =>
        zeros.map((zero, at) => (bytes[at] as number) & ~(zero ^ (ones[at] as number)));
      expect(fixed(body.subarray(4, 260))).toEqual(fixed(config()));
      // What belongs to no capability is the guest's, as in QEMU.
      expect(zeros.filter((zero, at) => at < 0xa4 && zero !== ones[at]).length).toBeLessThan(40);
    },
  );
});
