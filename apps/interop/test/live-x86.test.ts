// x86 with VT-d, virtio-pci and Linux: the rebuilt stream in real QEMU.
import { translator, type VtdState } from "@godwit/iommu-vtd";
import { haveStreams, manifest, readStream } from "@godwit/test-support/streams";
import { ringOf } from "@godwit/virtio-core";
import { describe, expect, it } from "vitest";
import { machineOptions } from "../src/command-line.ts";
import { examine } from "../src/monitor.ts";
import { Sent } from "./support/agree.ts";
import { hop } from "./support/hop.ts";
import { haveQemu } from "./support/live.ts";

const name = "q35-vtd-virtio-7.2";
const disk = "0000:00:02.0/virtio-blk";
const devices = [
  "0000:00:01.0/virtio-net",
  disk,
  "0000:00:03.0/virtio-rng",
  "0000:00:04.0/virtio-balloon",
  "0000:00:05.0/virtio-console",
  "0000:00:06.0/virtio-scsi",
];
const diskBdf = "00:02.0";
/** In a page of the BIOS's that Linux leaves alone. */
const marked = { gpa: 0x9f00, bytes: [...new TextEncoder().encode("godwit")] };
const descriptorBytes = 16;

describe.skipIf(!haveStreams() || !haveQemu("x86_64"))("x86: VT-d, virtio-pci, Linux", () => {
  it("goes on counting; QEMU's monitor shows what was decoded, and what was changed", async () => {
    const options = machineOptions(manifest().find((one) => one.name === name)?.command_line ?? "");
    const sent = new Sent();
    let ram = new Uint8Array(0);
    let vtd: VtdState | undefined;
    const described = await hop({
      target: "x86_64",
      source: { options, stream: readStream(`${name}.stream`) },
      destination: options,
      rebuild: {
        editRam(blocks) {
          ram = blocks.get("pc.ram") as typeof ram;
          ram.set(marked.bytes, marked.gpa);
        },
        edit(idstr, state) {
          if (idstr === "iommu-intel") vtd = state as never;
          // Nobody looks at it before the driver selects another queue, and it selects before it looks.
          if (idstr === disk) state["queue_sel"] = 5;
          sent.take(idstr, state);
        },
      },
      async loaded(qemu) {
        expect([...(await examine(qemu, marked.gpa, marked.bytes.length))]).toEqual(marked.bytes);
        expect(sent.states.get(disk)?.queue_sel).toBe(5);
        await sent.agree(qemu, devices);
        // The disk's descriptors, found through the guest's own tables, are in QEMU's memory what they are in ours.
        const memory = { read: (gpa: number, length: number) => ram.subarray(gpa, gpa + length) };
        const ring = ringOf(sent.states.get(disk) as never, 0) ?? expect.unreachable("the disk's ring");
        const { gpa } = translator(vtd as VtdState, memory).translate(diskBdf, Number(ring.desc), false);
        const here = memory.read(gpa, 4 * descriptorBytes);
        expect(here.some((byte) => byte !== 0)).toBe(true);
        expect([...(await examine(qemu, gpa, here.length))]).toEqual([...here]);
      },
    });
    expect(described).toEqual(["iommu-intel", ...devices, "0000:00:06.0/0:0:0/scsi-disk"]);
  });
});
