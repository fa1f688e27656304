// Sections "virtio-scsi" and "scsi-disk" of every stream that has some: read with parameters that are found, not given,
// written back, and loaded into adapters of ours with the guest's memory.
import { decodeRecord, decodeState, encodeRecord, encodeState, toState } from "@godwit/core";
import { haveStreams, manifest, readStream } from "@godwit/test-support/streams";
import { feature, type RingAddresses, ringOf } from "@godwit/virtio-core";
import { type CutStream, cutStream, FoundRing, qemuCcwMachine, qemuMachine } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioScsiCcw, virtioScsiCcwFamily } from "../src/ccw.ts";
import { scsiDisk, scsiDiskFamily } from "../src/disk-state.ts";
import { type VirtioScsiPciOptions, virtioScsiPci, virtioScsiPciFamily } from "../src/pci.ts";
import { cdb } from "./support/driver.ts";
import { image, sectorOf } from "./support/images.ts";

type Chosen = Pick<VirtioScsiPciOptions, "mode" | "accessPlatform" | "dialect">;
const behindIommu = { mode: "modern", accessPlatform: true } as const;
const plain = { accessPlatform: false, dialect: "7.2" } as const;
const pci: readonly (Chosen & { readonly raw: string })[] = [
  { raw: "q35-vtd-virtio-7.2.stream", ...behindIommu, dialect: "7.2" },
  { raw: "q35-vtd-virtio-10.0.stream", ...behindIommu },
  { raw: "i440fx-transitional-virtio-7.2.stream", ...plain, mode: "transitional" },
  { raw: "i440fx-legacy-virtio-7.2.stream", ...plain, mode: "legacy" },
];
const ccw = "s390-ccw-5dev-10.0.stream";
const all = [
  ...pci.map(({ raw, mode }) => ({ raw, path: "0000:00:06.0", modern: mode !== "legacy" })),
  { raw: ccw, path: "/fe.0.0005", modern: true },
];

it.skipIf(!haveStreams())("no stream that has a SCSI section is left out", () => {
  const found = manifest()
    .flatMap(({ files }) => files)
    .flatMap(({ raw, stream }) => (stream?.sections ?? []).map(({ idstr }) => `${raw} ${idstr}`))
    .filter((name) => /scsi/.test(name));
  const named = all.flatMap(({ raw, path }) => [`${raw} ${path}/virtio-scsi`, `${raw} ${path}/0:0:0/scsi-disk`]);
  expect(found.toSorted()).toEqual(named.toSorted());
});

describe.skipIf(!haveStreams()).each(all)("$raw", ({ raw, path, modern }) => {
  it("has an adapter that comes back to the same bytes", () => {
    const { section } = cutStream(readStream(raw), `${path}/virtio-scsi`);
    const family = path.startsWith("/") ? virtioScsiCcwFamily : virtioScsiPciFamily;
    const parameters = family.infer(section);
    if (!path.startsWith("/")) expect(parameters).toMatchObject({ msixVectors: 4, modern });
    const description = family.build(parameters as never);
    const record = decodeRecord(description, section.bytes);
    expect(Buffer.compare(encodeRecord(description, record), section.bytes)).toBe(0);
    const state = toState(description, record);
    expect(Buffer.compare(encodeState(description, state), section.bytes)).toBe(0);
    expect(state).toMatchObject({ queue_count: 3, config_len: 36, vqs: [{ num: 256 }, { num: 256 }, { num: 256 }] });
    const config = new DataView(state.config.buffer, state.config.byteOffset);
    // One request queue, 96 bytes of sense, commands of 32 bytes, targets up to 255 and units up to 16,383.
    const words = [0, 20, 24, 32].map((at) => config.getUint32(at, true));
    expect([...words, config.getUint16(30, true)]).toEqual([1, 96, 32, 16_383, 255]);
    const requested = state.vqs[2]?.last_avail_idx ?? 0;
    expect(requested).toBeGreaterThan(0);
  });

  it("has a disk that comes back to the same bytes", () => {
    const { section } = cutStream(readStream(raw), `${path}/0:0:0/scsi-disk`);
    const parameters = scsiDiskFamily.infer(section);
    expect(parameters).toEqual({ queues: 1, packed: false });
    const description = scsiDiskFamily.build(parameters);
    const record = decodeRecord(description, section.bytes);
    expect(Buffer.compare(encodeRecord(description, record), section.bytes)).toBe(0);
    const state = toState(description, record);
    expect(Buffer.compare(encodeState(description, state), section.bytes)).toBe(0);
    expect(state).toMatchObject({ qdev: { unit_attention_key: 0, requests: [] }, tray_open: false });
  });
});

/** What a driver of SCSI sends: its header with a command of 32 bytes. */
function header(command: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(51);
  bytes[0] = 1;
  bytes.set(command, 19);
  return bytes;
}

/** The adapter's stream, with the section of its disk as the last one. */
function cutWithDisk(raw: string, path: string): CutStream {
  const stream = readStream(raw);
  const cut = cutStream(stream, `${path}/virtio-scsi`);
  const { section } = cutStream(stream, `${path}/0:0:0/scsi-disk`);
  const name = Buffer.from(stream.buffer, stream.byteOffset, stream.length).lastIndexOf(`${section.idstr}\0\0\0\0`);
  // Type, number and the name's length; the name, instance and version; the footer.
  const whole = stream.subarray(name - 6, name + section.idstr.length + 8 + section.bytes.length + 5);
  return { ...cut, bytes: new Uint8Array(Buffer.concat([cut.bytes.subarray(0, -1), whole, cut.bytes.subarray(-1)])) };
}

interface Loaded {
  readonly dma: ConstructorParameters<typeof FoundRing>[0];
  readonly kernel: { resume(): void };
}

/** The guest's driver goes on: it reads a sector, whose bytes it gets, with a good answer. */
function reads(machine: Loaded, ring: FoundRing, kick: () => void): void {
  machine.kernel.resume();
  const { head, places } = ring.add([{ out: header(cdb.read10(9, 1)) }, { room: 108 }, { room: 512 }]);
  kick();
  expect(ring.reap()).toEqual([{ head, length: 620 }]);
  expect([...ring.bytes(places[1] as number, 12)]).toEqual(new Array(12).fill(0));
  expect(ring.bytes(places[2] as number, 512)).toEqual(sectorOf(0xa7));
}

function diskOfTheCommandLine() {
  const backend = image(16_777_216 / 512);
  backend.bytes.fill(0xa7, 512 * 9, 512 * 10);
  return backend;
}

describe.skipIf(!haveStreams()).each(pci)("$raw in an adapter of ours", ({ raw, ...options }) => {
  it("is saved the same, with its disk, and the guest's driver is served", async () => {
    const [path, slot] = ["0000:00:06.0", "00:06.0"];
    const cut = cutWithDisk(raw, path);
    const backend = diskOfTheCommandLine();
    const machine = await qemuMachine(cut, slot, (wiring) =>
      virtioScsiPci({ slot, ...wiring, ...options, disks: [{ backend }] }),
    );
    expect(Buffer.compare(await machine.section(), cut.section.bytes)).toBe(0);
    const disk = cutStream(readStream(raw), `${path}/0:0:0/scsi-disk`).section.bytes;
    const [unit] = machine.offer.adapter.units;
    expect(Buffer.compare(encodeState(scsiDisk({ queues: 1, packed: false }), unit?.save() as never), disk)).toBe(0);
    const state = decodeState(virtioScsiPciFamily.build(virtioScsiPciFamily.infer(cut.section)), cut.section.bytes);
    const ring = new FoundRing(machine.dma, ringOf(state, 2) as RingAddresses);
    const { device, adapter } = machine.offer;
    reads(machine, ring, () => adapter.kick(device.queues[2] as never, 2));
    expect(backend.log).toEqual(["read 9"]);
    expect(machine.messages).toHaveLength(1);
  });
});

describe.skipIf(!haveStreams())(`${ccw} in an adapter of ours`, () => {
  it("is saved the same, and the guest's driver is served", async () => {
    const path = "/fe.0.0005";
    const cut = cutWithDisk(ccw, path);
    const backend = diskOfTheCommandLine();
    const machine = await qemuCcwMachine(cut, (wiring) =>
      virtioScsiCcw({
        busId: "fe.0.0005",
        ...wiring,
        disks: [{ backend }],
        dialect: "10.0",
        ringFeatures: feature.RING_INDIRECT_DESC | feature.RING_EVENT_IDX | feature.RING_RESET,
      }),
    );
    const family = virtioScsiCcwFamily;
    const state = decodeState(family.build(family.infer(cut.section)), cut.section.bytes);
    const again = decodeState(family.build(family.infer(cut.section)), await machine.section());
    // The virtio core says of VERSION_1 that it is little-endian; QEMU keeps the CPU's order there, which means nothing.
    const { device_endian } = state.virtio;
    expect({ ...again, virtio: { ...again.virtio, device_endian } }).toEqual(state);
    const ring = new FoundRing(machine.dma, ringOf(state, 2) as RingAddresses);
    reads(machine, ring, () => machine.offer.subchannel.kick(2));
    expect(backend.log).toEqual(["read 9"]);
    expect(machine.adapterInterrupts).toHaveLength(1);
  });
});
