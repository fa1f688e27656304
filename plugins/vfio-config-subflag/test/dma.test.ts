// A device that works through DMA while it is sent: guest memory and the device's own must be of one instant.
import { createKernel, type Kernel, virtualClock } from "@godwit/core";
import { barrierTracker, type RamOffer, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { type ModelDriver, modelDriver, type VfioPciOffer, vfioContainer, vfioPci } from "@godwit/vfio-config-subflag";
import { describe, expect, it } from "vitest";
import { testConfig } from "./support/config.ts";
import { modes } from "./support/machine.ts";

const page = 4096;
const slots = 64;

interface DmaMachine {
  readonly kernel: Kernel;
  readonly memory: RamOffer["memory"];
  readonly device: VfioPciOffer<ModelDriver>;
  /** A job of the device, and its result in guest memory: the job's number in the slot that is its turn. */
  work(jobs: number): void;
}

function dmaMachine({ dialect, configOrder }: (typeof modes)[number]): DmaMachine {
  let bytes = new Uint8Array(slots * page);
  let now = 0n;
  const kernel = createKernel({
    machineType: "vfio-dma-1",
    clock: virtualClock(() => now++),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  const tracker = barrierTracker(bytes.length);
  const map = [{ gpa: 0, offset: 0, length: bytes.length }];
  const adopt = (incoming: Uint8Array): void => {
    bytes = incoming as Uint8Array<ArrayBuffer>;
  };
  const { memory } = kernel.use(
    ram({ blocks: [ramBlock({ idstr: "mach.ram", bytes: () => bytes, adopt, tracker, map })] }),
  );
  const device = kernel.use(
    vfioPci({
      path: "0000:00:07.0",
      container: vfioContainer(),
      dialect,
      config: testConfig(),
      driver: modelDriver({ memoryBytes: 16 * 1024, configOrder }),
      interrupts: { attach() {}, detach() {}, signal() {} },
      after: [],
    }),
  );
  return {
    kernel,
    memory,
    device,
    work(jobs) {
      const { driver } = device.function;
      for (let i = 0; i < jobs && driver.work(1) === 1; i++) {
        const result = new Uint8Array(12);
        const view = new DataView(result.buffer);
        view.setBigUint64(0, driver.jobs);
        view.setUint32(8, driver.checksum);
        memory.write(Number(driver.jobs % BigInt(slots)) * page, result);
      }
    },
  };
}

/** Job numbers and checksums by slot. */
function evidence({ memory }: DmaMachine): readonly (readonly [bigint, number])[] {
  return Array.from({ length: slots }, (_, slot) => {
    const view = new DataView(Uint8Array.from(memory.read(slot * page, 12)).buffer);
    return [view.getBigUint64(0), view.getUint32(8)] as const;
  });
}

describe.each(modes)("$name", (mode) => {
  it.each([1, 2, 5])("device and memory agree after %i rounds", async (rounds) => {
    const [source, target] = [dmaMachine(mode), dmaMachine(mode)];
    source.kernel.resume();
    source.work(100);
    const chunks: Uint8Array[] = [];
    const attempt = source.kernel.outgoing();
    chunks.push(...attempt.setup());
    for (let round = 0; round < rounds; round++) {
      attempt.pending(true);
      // Between the sections of one round as well: the device does not wait for the sender.
      for (const chunk of attempt.iterate(96 * 1024)) {
        chunks.push(chunk);
        source.work(3);
      }
      source.work(7);
    }
    source.kernel.pause();
    chunks.push(...attempt.complete());
    attempt.end(true);
    const incoming = target.kernel.incoming();
    for (const chunk of chunks) incoming.push(chunk);
    incoming.end();
    await incoming.prepare();
    await incoming.commit();
    const { driver } = target.device.function;
    expect(driver.jobs).toBe(source.device.function.driver.jobs);
    expect(driver.jobs > 100n).toBe(true);
    const arrived = evidence(target);
    expect(arrived).toEqual(evidence(source));
    // The last job that memory knows is the last that the device knows.
    expect(arrived.reduce((last, one) => (one[0] > last[0] ? one : last))).toEqual([driver.jobs, driver.checksum]);
    expect(Buffer.compare(driver.memory(), source.device.function.driver.memory())).toBe(0);
    target.kernel.resume();
    target.work(1);
    expect(driver.jobs).toBe(source.device.function.driver.jobs + 1n);
  });
});
