import { createKernel, virtualClock } from "@godwit/core";
import { barrierTracker, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { cells, deviceTree, drcIndex, spaprDrc, strings } from "@godwit/spapr-drc-ccs";

const slot = drcIndex("pci", 0x10);
const card = deviceTree({
  name: "ethernet@2",
  properties: [["name", strings("ethernet")]],
  children: [{ name: "phy@0", properties: [["reg", cells(0)]] }],
});

/** A machine with one slot and 64 KiB of RAM. */
export function pseries() {
  let bytes = new Uint8Array(65_536);
  const block = ramBlock({
    idstr: "ppc_spapr.ram",
    bytes: () => bytes,
    adopt: (fresh) => {
      bytes = fresh as typeof bytes;
    },
    tracker: barrierTracker(bytes.length),
    map: [{ gpa: 0, offset: 0, length: bytes.length }],
  });
  const kernel = createKernel({
    machineType: "pseries-7.2",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  const { memory } = kernel.use(ram({ blocks: [block] }));
  const rtc = { now: () => BigInt(Date.now()) * 1_000_000n };
  const drc = kernel.use(spaprDrc({ memory, connectors: [slot], rtc, ccs: true }));
  return { kernel, memory, drc };
}

/** The guest fetches two tokens of the card's tree here, and the rest there. */
export async function half(): Promise<number[]> {
  const here = pseries();
  here.drc.plug(slot, card);
  here.drc.rtas("set-indicator", [9001, slot, 1]);
  here.memory.write(0x1000, cells(slot, 0));
  const fetch = ({ drc }: typeof here) => drc.rtas("ibm,configure-connector", [0x1000, 0])[0] as number;
  const answers = [fetch(here), fetch(here)];

  const there = pseries();
  there.drc.attach(slot, card, { cold: true });
  await there.kernel.load(here.kernel.save());
  while (answers.at(-1) !== 0) answers.push(fetch(there));
  return answers;
}
