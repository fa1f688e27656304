// Sections that QEMU wrote, loaded into devices of ours with the guest's memory and its IOMMU: what is saved again is
// the same, and the guest's driver is served.
import { decodeState } from "@godwit/core";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { type RingAddresses, ringOf } from "@godwit/virtio-core";
import { type CutStream, cutStream, FoundRing, type QemuMachine, qemuMachine } from "@godwit/virtio-testkit";
import { beforeAll, describe, expect, it } from "vitest";
import { controlClass } from "../src/constants.ts";
import { type VirtioNetPciOffer, virtioNetPci, virtioNetPciFamily } from "../src/pci.ts";
import { frame, mac, numberOf } from "./support/net-driver.ts";
import { pseriesNets, realNets } from "./support/real.ts";

/** The first difference: of large arrays, an assertion library is slow to tell. */
function difference(a: Uint8Array, b: Uint8Array): string {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  if (at >= 0) return `byte ${at}: ${a[at]} and ${b[at]}`;
  return a.length === b.length ? "none" : `${a.length} and ${b.length} bytes`;
}

describe.skipIf(!haveStreams()).each(realNets)("$raw", ({ raw, idstr, ...options }) => {
  let cut: CutStream;
  let machine: QemuMachine<VirtioNetPciOffer>;
  let rings: FoundRing[];
  let table: DataView;
  const sent: Uint8Array[] = [];
  const vectorOf = (message: readonly [number, number]): number => {
    for (let i = 0; i < 4; i++) {
      if (message[0] === table.getUint32(16 * i, true) && message[1] === table.getUint32(16 * i + 8, true)) return i;
    }
    throw new Error(`no vector sends 0x${message[0].toString(16)}`);
  };
  const vectors = (): number[] => machine.messages.splice(0).map(vectorOf);

  beforeAll(async () => {
    cut = cutStream(readStream(raw), idstr);
    machine = await qemuMachine(cut, options.slot, (wiring) =>
      virtioNetPci({ ...wiring, ...options, send: (one) => sent.push(one) }),
    );
    const state = decodeState(virtioNetPciFamily.build(virtioNetPciFamily.infer(cut.section)), cut.section.bytes);
    rings = [0, 1, 2].map((index) => new FoundRing(machine.dma, ringOf(state, index) as RingAddresses));
    const { buffer, byteOffset } = state.transport.msix_table;
    table = new DataView(buffer, byteOffset);
  });

  it("saves the same section again", async () => {
    expect(difference(await machine.section(), cut.section.bytes)).toBe("none");
  });

  it("asks the guest to announce itself, and takes its answer", async () => {
    expect([machine.messages, sent]).toEqual([[], []]);
    machine.kernel.resume();
    expect(vectors()).toEqual([0]);
    const control = rings[2] as FoundRing;
    const { places } = control.add([{ out: Uint8Array.of(controlClass.ANNOUNCE, 0) }, { room: 1 }]);
    machine.offer.net.kick(machine.offer.device.queues[2] as never, 2);
    expect(control.reap()).toEqual([{ head: 0, length: 1 }]);
    expect([...control.bytes(places[1] as number, 1)]).toEqual([0]);
    // The driver has no vector for this queue: it looks by itself.
    expect(vectors()).toEqual([]);
  });

  it("puts a frame into the buffer that the guest's driver gave next", () => {
    const [receive] = rings as [FoundRing];
    const { net } = machine.offer;
    expect(net.receive(frame("52:54:00:00:00:99", 1))).toBe("dropped");
    expect(net.receive(frame(String(options.mac), 77))).toBe("delivered");
    const [done] = receive.reap();
    expect(done?.length).toBe(12 + 64);
    const bytes = receive.bytes(receive.buffer(done?.head as number).at, 12 + 64);
    expect([...bytes.subarray(0, 12)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    expect([numberOf(bytes.subarray(12)), [...bytes.subarray(12, 18)]]).toEqual([77, mac(String(options.mac))]);
    expect(vectors()).toEqual([1]);
  });

  it("spreads a long frame across several of them", () => {
    const [receive] = rings as [FoundRing];
    const long = Uint8Array.from({ length: 4000 }, (_, i) => i * 7);
    long.set(mac(String(options.mac)));
    expect(machine.offer.net.receive(long)).toBe("delivered");
    const done = receive.reap();
    expect(done.length).toBeGreaterThan(1);
    const parts = done.map(({ head, length }) => receive.bytes(receive.buffer(head).at, length));
    const bytes = Uint8Array.from(parts.flatMap((part) => [...part]));
    expect([bytes[10], bytes[11]]).toEqual([done.length, 0]);
    expect(difference(bytes.subarray(12), long)).toBe("none");
  });

  it("sends what the guest's driver adds", () => {
    const [, transmit] = rings as [FoundRing, FoundRing];
    vectors();
    transmit.add([{ out: Uint8Array.of(...new Array(12).fill(0), ...frame("ff:ff:ff:ff:ff:ff", 5)) }]);
    machine.offer.net.kick(machine.offer.device.queues[1] as never, 1);
    expect(sent.map(numberOf)).toEqual([5]);
    expect(transmit.reap()).toEqual([{ head: 0, length: 0 }]);
  });
});

describe.skipIf(!haveStreams()).each(pseriesNets)("$raw $path", ({ raw, idstr, ...options }) => {
  it("arrives, and is saved as the same bytes", async () => {
    const cut = cutStream(readStream(raw), idstr);
    const machine = await qemuMachine(cut, options.slot, (wiring) =>
      virtioNetPci({ ...wiring, ...options, send: () => {} }),
    );
    expect(difference(await machine.section(), cut.section.bytes)).toBe("none");
  });
});
