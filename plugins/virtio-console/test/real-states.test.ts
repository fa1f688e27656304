// Sections that QEMU wrote, loaded into devices of ours with the guest's memory and its IOMMU: what is saved again is the
// same, and the guest's driver is served.
import { decodeState } from "@godwit/core";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { type RingAddresses, ringOf } from "@godwit/virtio-core";
import { type CutStream, cutStream, FoundRing, type QemuMachine, qemuMachine } from "@godwit/virtio-testkit";
import { beforeAll, describe, expect, it } from "vitest";
import { type VirtioConsolePciOffer, virtioConsolePci, virtioConsolePciFamily } from "../src/pci.ts";
import { bytesOf, terminal } from "./support/serial-driver.ts";

const cases = [
  { raw: "q35-vtd-virtio-7.2.stream", dialect: "7.2" },
  { raw: "q35-vtd-virtio-10.0.stream", dialect: "10.0" },
] as const;
const slot = "00:05.0";

describe.skipIf(!haveStreams()).each(cases)("$raw", ({ raw, dialect }) => {
  let cut: CutStream;
  let machine: QemuMachine<VirtioConsolePciOffer>;
  const end = terminal({ id: 1, name: "corpus.0", space: 3 });

  beforeAll(async () => {
    cut = cutStream(readStream(raw), `0000:${slot}/virtio-console`);
    machine = await qemuMachine(cut, slot, (wiring) =>
      virtioConsolePci({ ...wiring, slot, dialect, msixVectors: 2, ports: [end], emergencyWrite: () => {} }),
    );
  });

  it("saves the same section again", async () => {
    expect(Buffer.compare(await machine.section(), cut.section.bytes)).toBe(0);
  });

  it("takes what the guest writes next, as far as there is room, and says so where it is saved", async () => {
    const description = virtioConsolePciFamily.build(virtioConsolePciFamily.infer(cut.section));
    const state = decodeState(description, cut.section.bytes);
    const ring = new FoundRing(machine.dma, ringOf(state, 5) as RingAddresses);
    const control = new FoundRing(machine.dma, ringOf(state, 2) as RingAddresses);
    machine.kernel.resume();
    expect([machine.offer.device.failure, machine.messages, end.taken]).toEqual([undefined, [], ""]);
    const { head } = ring.add([{ out: bytesOf("ab") }, { out: bytesOf("cd") }]);
    const { device, serial } = machine.offer;
    serial.kick(device.queues[5] as never, 5);
    expect([end.taken, ring.reap()]).toEqual(["abc", []]);
    const saved = decodeState(description, await machine.section());
    expect(saved.legacy.ports).toMatchObject([{ elem_popped: 1, iov_idx: 1, iov_offset: 1, element: { index: head } }]);
    end.space = 9;
    serial.ports[0]?.drained();
    expect([end.taken, ring.reap()]).toEqual(["abcd", [{ head, length: 0 }]]);
    // Linux has given room for control messages, and hears that the host's end has closed.
    serial.ports[0]?.setOpen(false);
    const [told] = control.reap();
    expect(told?.length).toBe(8);
    expect([...control.bytes(control.buffer(told?.head ?? 0).at, 8)]).toEqual([1, 0, 0, 0, 6, 0, 0, 0]);
  });
});
