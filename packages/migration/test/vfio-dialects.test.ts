// A VFIO device between two machines that do not speak the same dialect: the preamble says so before anything is sent.
import { createKernel, virtualClock } from "@godwit/core";
import { incomingMigration, outgoingMigration } from "@godwit/migration";
import { type Channel, memoryPair } from "@godwit/transport";
import {
  type ConfigOrder,
  type ModelDriver,
  modelDriver,
  type VfioDialect,
  vfioContainer,
  vfioPci,
} from "@godwit/vfio-config-subflag";
import { describe, expect, it } from "vitest";
import { drive, ManualClock, turn } from "./support/clock.ts";

const path = "0000:00:05.0";
const clock = new ManualClock();

function machine(dialect: VfioDialect, configOrder: ConfigOrder) {
  const kernel = createKernel({
    machineType: "vfio-pair-1",
    clock: virtualClock(() => BigInt(clock.nowMs()) * 1_000_000n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  const { function: card } = kernel.use(
    vfioPci<ModelDriver>({
      path,
      container: vfioContainer(),
      dialect,
      config: { config: new Uint8Array(256), barBytes: { 0: 64 * 1024 } },
      driver: modelDriver({ memoryBytes: 64 * 1024, configOrder }),
      interrupts: { attach() {}, detach() {}, signal() {} },
      after: [],
    }),
  );
  return { kernel, card };
}

/** Where QEMU's stream begins in what was sent; -1: nowhere. */
const streamIn = (sent: readonly Uint8Array[]): number => Buffer.concat(sent).indexOf("QEVM\0\0\0\x03");

async function move(source: ReturnType<typeof machine>, destination: ReturnType<typeof machine>) {
  const sent: Uint8Array[] = [];
  const [here, there] = memoryPair();
  const heard: Channel = {
    send: (bytes) => {
      sent.push(bytes.slice());
      return here.send(bytes);
    },
    receive: () => here.receive(),
    close: () => here.close(),
    abort: (error) => here.abort(error),
  };
  source.kernel.resume();
  source.card.driver.work(40);
  const outgoing = outgoingMigration({
    machine: source.kernel,
    clock,
    connect: async () => heard,
    async yieldToHost() {
      clock.advance(1);
      await turn();
    },
  });
  const incoming = incomingMigration({ machine: destination.kernel, clock, accept: async () => there });
  const reports = await drive(Promise.all([outgoing.run(), incoming.run()]), clock);
  return { sent, reports };
}

describe("a VFIO device between machines", () => {
  it.each<[VfioDialect, ConfigOrder]>([
    ["proposal", "needed"],
    ["proposal", "filter"],
    ["proposal", "not-needed"],
  ])("%s, %s: a destination of the merged dialect refuses by name, before the first page", async (dialect, order) => {
    const [source, destination] = [machine(dialect, order), machine("merged", "not-needed")];
    const { sent, reports } = await move(source, destination);
    const misfit = {
      code: "SECTION_VERSION",
      subject: `section ${path}/vfio/0`,
      refuses: true,
      expected: "version 1 to 1",
      found: "version 2",
    };
    for (const { state, misfits } of reports) {
      expect(state).toMatchObject({ status: "failed", error: { code: "PREAMBLE_MISFIT" } });
      expect(misfits).toEqual([misfit]);
    }
    expect([sent.length > 0, streamIn(sent)]).toEqual([true, -1]);
    expect([source.card.device.state, source.kernel.clock.running, source.card.driver.work(1)]).toEqual([
      "RUNNING",
      true,
      1,
    ]);
    expect(destination.card.driver.jobs).toBe(0n);
  });

  it.each<[VfioDialect, ConfigOrder, VfioDialect]>([
    ["merged", "not-needed", "merged"],
    ["merged", "not-needed", "proposal"],
    ["proposal", "needed", "proposal"],
    ["proposal", "filter", "proposal"],
    ["proposal", "not-needed", "proposal"],
  ])("%s, %s to %s: it moves", async (from, order, to) => {
    const [source, destination] = [machine(from, order), machine(to, order)];
    const { sent, reports } = await move(source, destination);
    expect(reports.map(({ state }) => state.status)).toEqual(["completed", "completed"]);
    expect(streamIn(sent)).toBeGreaterThan(0);
    expect(destination.card.driver.jobs).toBe(40n);
    expect([source.card.driver.work(1), destination.card.driver.work(1)]).toEqual([0, 1]);
  });
});
