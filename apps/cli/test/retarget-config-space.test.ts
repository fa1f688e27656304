// Configuration spaces of real devices side by side.
import { haveStreams } from "@godwit/test-support/streams";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  capabilitiesOf,
  capabilityId,
  compareConfig,
  comparedBits,
  extendedCapabilitiesOf,
  withoutCapability,
} from "../src/retarget/config-space.ts";
import { decoded } from "../src/retarget/decoded.ts";
import { configSpaceOf } from "../src/retarget/layout.ts";
import { suppliedSource } from "./retarget-sources.ts";

async function configOf(stream: string, key: string): Promise<Uint8Array> {
  const section = (await suppliedSource(stream)).sections.find((one) => one.key === key);
  return (section && configSpaceOf(decoded(section))) ?? expect.unreachable(`${stream}: ${key}`);
}

describe.skipIf(!haveStreams())("configuration space", () => {
  const balloon = "0000:00:04.0/virtio-balloon/0";
  const [newer, older] = ["q35-vtd-virtio-10.0", "q35-vtd-virtio-7.2"];

  it("walks the list of capabilities as the guest does", async () => {
    const list = capabilitiesOf(await configOf(newer, balloon));
    expect(list.map(({ at }) => at)).toEqual([0x98, 0x84, 0x70, 0x60, 0x50, 0x40]);
    expect(list.map(({ id }) => id)).toEqual([capabilityId.msix, 9, 9, 9, 9, 9]);
  });

  it("names the byte that QEMU 7.2 refuses, first: `Bad config data: i=0x34 read: 98 device: 84`", async () => {
    const [first, ...rest] = compareConfig(await configOf(newer, balloon), await configOf(older, balloon));
    expect(first).toEqual({
      offset: 0x34,
      name: "PCI capabilities pointer (0x34)",
      found: 0x98,
      destination: 0x84,
    });
    // Behind the pointer nothing is read-only in a function that has no capability there.
    expect(rest).toEqual([]);
  });

  it("sees in the other direction what stands in the capability that the stream lacks", async () => {
    const differences = compareConfig(await configOf(older, balloon), await configOf(newer, balloon));
    expect(differences.map(({ offset }) => offset)).toEqual([0x34, 0x98, 0x99, 0x9a, 0x9c, 0xa0, 0xa1]);
    expect(differences[3]?.name).toBe("MSI-X capability at 0x98, byte 2 (0x9a)");
  });

  it("foretells the 7.2 balloon from the 10.0 one, to the bit", async () => {
    const made = withoutCapability(await configOf(newer, balloon), capabilityId.msix);
    expect(compareConfig(made, await configOf(older, balloon))).toEqual([]);
    expect(capabilitiesOf(made)).toEqual(capabilitiesOf(await configOf(older, balloon)));
  });

  it("takes a capability out of the middle, and the only one", async () => {
    const config = await configOf(newer, balloon);
    const vendor = withoutCapability(config, capabilityId.vendor);
    expect(capabilitiesOf(vendor).map(({ at }) => at)).toEqual([0x98, 0x70, 0x60, 0x50, 0x40]);
    let alone = config;
    for (let i = 0; i < 5; i++) alone = withoutCapability(alone, capabilityId.vendor);
    expect(capabilitiesOf(alone)).toHaveLength(1);
    const none = withoutCapability(alone, capabilityId.msix);
    expect([none[0x06], none[0x34]]).toEqual([(config[0x06] as number) & ~0x10, 0]);
  });

  it("finds nothing in functions that differ by what their guests wrote alone", async () => {
    const functions = ["0000:00:01.0/virtio-net/0", "0000:00:02.0/virtio-blk/0", "0000:00:06.0/virtio-scsi/0"];
    for (const key of [...functions, "0000:00:1f.2/ich9_ahci/0", "0000:00:00.0/mch/0"]) {
      const [a, b] = [await configOf(newer, key), await configOf(older, key)];
      expect(compareConfig(a, b), key).toEqual([]);
    }
    const net = functions[0] as string;
    expect(await configOf(newer, net)).not.toEqual(await configOf(older, net));
  });

  it("reports a changed byte exactly where the masks say so", async () => {
    const config = await configOf(newer, balloon);
    const mask = comparedBits(config);
    await fc.assert(
      fc.property(fc.nat(255), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = config.slice();
        changed[at] = (changed[at] as number) ^ flip;
        const found = compareConfig(changed, config).map(({ offset }) => offset);
        expect(found).toEqual((flip & (mask[at] as number)) === 0 ? [] : [at]);
      }),
      { seed: 5, numRuns: 400 },
    );
  });

  it("leaves to the guest what is the guest's, and no more", async () => {
    const mask = comparedBits(await configOf(newer, balloon));
    // Command, latency, BAR addresses, interrupt line, MSI-X enable and function mask, the virtio window.
    for (const at of [0x04, 0x05, 0x0c, 0x0d, 0x11, 0x16, 0x17, 0x23, 0x3c, 0x88, 0x8c, 0x94]) expect(mask[at]).toBe(0);
    expect([mask[0x10], mask[0x14], mask[0x20], mask[0x9b]]).toEqual([0x0f, 0x0f, 0x0f, 0x3f]);
    for (const at of [0x00, 0x03, 0x08, 0x0b, 0x0e, 0x34, 0x40, 0x41, 0x4d, 0x98, 0xa3]) expect(mask[at]).toBe(0xff);
  });

  it("ends where a list runs in a circle, or into the header", async () => {
    const config = (await configOf(newer, balloon)).slice();
    config[0x41] = 0x98;
    expect(capabilitiesOf(config)).toHaveLength(6);
    config[0x99] = 0x10;
    expect(capabilitiesOf(config)).toHaveLength(1);
  });

  it("knows extended capabilities of PCI Express functions alone", () => {
    const config = new Uint8Array(4096);
    config.set([0x0f, 0x00, 0x01, 0x00], 0x100);
    expect(extendedCapabilitiesOf(config)).toEqual([]);
    config[0x06] = 0x10;
    config[0x34] = 0x40;
    config[0x40] = capabilityId.express;
    expect(extendedCapabilitiesOf(config)).toEqual([{ id: 0x0f, at: 0x100 }]);
    expect(comparedBits(config)[0x100]).toBe(0xff);
  });

  it("takes nothing for compared that QEMU does not compare", async () => {
    const config = await configOf(older, "0000:00:02.0/virtio-blk/0");
    const mask = comparedBits(config);
    const seen = new Uint8Array(config.length);
    for (const [from, to, bits] of seenByQemu) seen.fill(bits, from, to + 1);
    const more: number[] = [];
    for (const [at, bits] of mask.entries()) {
      if (notAsQemu.includes(at)) continue;
      expect(bits & ~(seen[at] as number), `0x${at.toString(16)}`).toBe(0);
      if (bits !== seen[at]) more.push(at);
    }
    // The lower address bits of regions, whose sizes are not in the stream; the reserved bytes of the virtio window.
    expect(more).toEqual([0x14, 0x15, 0x20, 0x21, 0x89, 0x8a, 0x8b]);
  });
});

/**
 * Registers 0, 2 and 3, which are no regions in this function: one that was there and is gone is a change that the guest sees,
 * and QEMU does not. The pin: QEMU does not compare it, and ends on a wrong one.
 */
const notAsQemu = [0x10, 0x18, 0x1c, 0x3d];

/**
 * cmask & ~wmask & ~w1cmask of a virtio-blk-pci of QEMU 7.2 in the root bus (disable-legacy=on, vectors=2): a stream was saved,
 * each byte of its configuration space inverted in turn and loaded, and the masks read from the message that refuses it.
 */
const seenByQemu: readonly (readonly [from: number, to: number, bits: number])[] = [
  [0x00, 0x03, 0xff],
  [0x06, 0x06, 0x10],
  [0x08, 0x0b, 0xff],
  [0x0e, 0x0e, 0xff],
  [0x14, 0x14, 0xff],
  [0x15, 0x15, 0x0f],
  [0x20, 0x20, 0xff],
  [0x21, 0x21, 0x3f],
  [0x34, 0x34, 0xff],
  [0x40, 0x87, 0xff],
  [0x89, 0x8b, 0xff],
  [0x98, 0x9a, 0xff],
  [0x9b, 0x9b, 0x3f],
  [0x9c, 0xa3, 0xff],
];
