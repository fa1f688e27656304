// A machine of Godwit's own through a vault, by Godwit's protocol on both sides.
import { createKernel, u32, u64, virtualClock, vmstate } from "@godwit/core";
import { type HostClock, incomingMigration, outgoingMigration } from "@godwit/migration";
import { barrierTracker, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { memoryPair } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { createVault } from "../../src/vault/index.ts";

const counter = vmstate({ name: "counter", version: 3, fields: { value: u64, step: u32 } });
const memoryBytes = 64 * 4096;

const clock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

function machine(bytes = memoryBytes) {
  const held = { memory: new Uint8Array(bytes) as Uint8Array, value: 0n, isRunning: false };
  const kernel = createKernel({
    machineType: "counter-machine-1",
    clock: virtualClock(() => 0n),
    machine: {
      pause() {
        held.isRunning = false;
      },
      resume() {
        held.isRunning = true;
      },
      reset() {},
    },
  });
  const offer = kernel.use(
    ram({
      blocks: [
        ramBlock({
          idstr: "mach.ram",
          bytes: () => held.memory,
          adopt(incoming) {
            held.memory = incoming;
          },
          tracker: barrierTracker(bytes),
        }),
      ],
    }),
  );
  kernel.device(counter, {
    save: () => ({ value: held.value, step: 7 }),
    load({ value }) {
      held.value = value;
    },
  });
  return { held, kernel, offer };
}

type Side = Pick<Parameters<typeof incomingMigration>[0], "machine" | "ram">;

async function move(from: Side, to: Side) {
  const [near, far] = memoryPair();
  const outgoing = outgoingMigration({
    ...from,
    clock,
    connect: async () => near,
    yieldToHost: () => new Promise((resolve) => setImmediate(resolve)),
  });
  const incoming = incomingMigration({ ...to, clock, accept: async () => far });
  const [sent, received] = await Promise.all([outgoing.run(), incoming.run()]);
  return { sent: sent.state.status, received: received.state.status, misfits: received.misfits };
}

describe("a vault between two engines of Godwit", () => {
  it("takes a machine that it does not know, and gives the same to one that does", async () => {
    const [source, target] = [machine(), machine()];
    source.held.memory.forEach((_, i, memory) => {
      memory[i] = (i >> 12) ^ i;
    });
    source.held.value = 1234n;
    source.kernel.resume();
    const vault = createVault();
    const there = { machine: vault, ram: vault.ram };
    const first = await move({ machine: source.kernel, ram: source.offer }, there);
    expect(first).toEqual({ sent: "completed", received: "completed", misfits: [] });
    expect(source.held.isRunning).toBe(false);
    expect(vault.held.map(({ section }) => section)).toContain("counter/0");
    const second = await move(there, { machine: target.kernel, ram: target.offer });
    expect(second).toEqual({ sent: "completed", received: "completed", misfits: [] });
    expect(target.held).toMatchObject({ value: 1234n, isRunning: true });
    expect(Buffer.compare(target.held.memory, source.held.memory)).toBe(0);
  });

  it("gives it to nobody whom it does not fit: he compares it with the manifest that came with it", async () => {
    const [source, other] = [machine(), machine(2 * memoryBytes)];
    source.kernel.resume();
    const vault = createVault();
    const there = { machine: vault, ram: vault.ram };
    await move({ machine: source.kernel, ram: source.offer }, there);
    const refused = await move(there, { machine: other.kernel, ram: other.offer });
    expect(refused).toMatchObject({ sent: "failed", received: "failed", misfits: [{ code: "RAM_BLOCK_MISMATCH" }] });
    expect(other.held.isRunning).toBe(false);
    expect(vault.isEmpty).toBe(false);
  });
});
