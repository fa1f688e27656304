// Streams that Godwit made anew from decoded states, loaded by real QEMU: the guests go on counting.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { haveStreams, manifest, readStream } from "@godwit/testkit/streams";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { machineOptions } from "../src/command-line.ts";
import { counts, goesOn } from "../src/counts.ts";
import { ppc64Firmware, s390xKernel } from "../src/guests.ts";
import { hotPlug, pseriesOptions, s390Options } from "../src/machines.ts";
import { Qemu, type QemuTarget } from "../src/qemu.ts";
import { type RebuildOptions, rebuild } from "../src/rebuild.ts";
import { fileOf, haveQemu } from "./support/live.ts";

const more = 5;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "godwit-live-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Hop {
  readonly target: QemuTarget;
  readonly source: { readonly options: readonly string[]; readonly stream?: Uint8Array };
  readonly destination: readonly string[];
  /** On the source, before it is saved. */
  before?(qemu: Qemu): Promise<void>;
  readonly rebuild?: RebuildOptions;
  /** On the destination, while it runs. */
  after?(qemu: Qemu): Promise<void>;
}

/** From one QEMU through Godwit into another; gives what went through a state. */
async function hop({ target, source, destination, before, rebuild: options, after }: Hop): Promise<readonly string[]> {
  let first = "";
  let stream: Uint8Array;
  {
    await using qemu = await Qemu.start({ target, ...source });
    await qemu.until(() => counts(qemu.serial).length >= more, "counting");
    await before?.(qemu);
    stream = await qemu.save();
    first = qemu.serial;
  }
  const made = rebuild(stream, options);
  await using qemu = await Qemu.start({ target, options: destination, stream: made.bytes });
  await qemu.until(() => counts(qemu.serial).length >= more, "counting");
  await after?.(qemu);
  const { gaps, to } = goesOn(first, qemu.serial);
  expect(gaps).toEqual([]);
  expect(to).toBeGreaterThan((counts(first).at(-1) as number) + more - 2);
  return made.described;
}

describe.skipIf(!haveStreams() || !haveQemu("x86_64"))("x86: VT-d, virtio-pci, Linux", () => {
  const name = "q35-vtd-virtio-7.2";

  it("goes on from the rebuilt stream; QEMU's monitor shows what was decoded, and what was changed", async () => {
    const found = manifest().find((one) => one.name === name);
    const options = machineOptions(found?.command_line ?? "");
    const queues: Record<string, number[]> = {};
    const features: Record<string, string> = {};
    const marked = 0x9f00;
    const described = await hop({
      target: "x86_64",
      source: { options, stream: readStream(`${name}.stream`) },
      destination: options,
      rebuild: {
        edit(idstr, state) {
          const { vqs, queue_sel } = state as { vqs?: { last_avail_idx: number }[]; queue_sel?: number };
          if (vqs === undefined) return;
          queues[idstr] = vqs.map(({ last_avail_idx }) => last_avail_idx);
          features[idstr] = String(queue_sel);
          if (idstr === "0000:00:02.0/virtio-blk") state["isr"] = 2;
        },
        editRam(blocks) {
          blocks.get("pc.ram")?.set([0x67, 0x6f, 0x64, 0x77, 0x69, 0x74], marked);
        },
      },
      async after(qemu) {
        expect(await qemu.monitor(`xp /6xb 0x${marked.toString(16)}`)).toContain("0x67 0x6f 0x64 0x77 0x69 0x74");
      },
    });
    expect(described).toContain("iommu-intel");
  });
});

describe.skipIf(!haveQemu("s390x"))("s390x: virtio-ccw", () => {
  it("goes on from the rebuilt stream", async () => {
    const kernel = fileOf(folder, "s390x.elf", s390xKernel());
    const options = s390Options.map((word) => word.replace("GUEST", kernel));
    await hop({ target: "s390x", source: { options }, destination: options });
  });
});

describe.skipIf(!haveQemu("ppc64"))("pseries: a pending event", () => {
  it("goes on from the rebuilt stream, and is told of the card that was plugged in before", async () => {
    const firmware = fileOf(folder, "ppc64.bin", ppc64Firmware());
    const options = pseriesOptions.map((word) => word.replace("GUEST", firmware));
    const asked = 0x7f00;
    await hop({
      target: "ppc64",
      source: { options },
      destination: [...options, ...hotPlug.option],
      before: async (qemu) => {
        await qemu.qmp("device_add", hotPlug.arguments);
      },
      rebuild: {
        // The guest asks for events once this word is set; nobody on the source has set it.
        editRam: (blocks) => blocks.get("ppc_spapr.ram")?.set([0, 0, 0, 1], asked),
      },
      after: (qemu) => qemu.until(() => qemu.serial.includes("EVENT 40000010\n"), "the event"),
    });
  });
});
