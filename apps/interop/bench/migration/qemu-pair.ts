// The same transfer from QEMU to QEMU: a machine that was never started, with the same content in its memory.
import { Qemu } from "../../src/qemu.ts";
import { cpuMs, peakBytes } from "./memory.ts";
import type { Transfer } from "./pair.ts";

/** No limit, in bytes a second. */
export const unlimited = 2 ** 40;

const patienceMs = 600_000;
const pollMs = 20;

export interface QemuMigration {
  readonly status: string;
  readonly "total-time"?: number;
  readonly downtime?: number;
  readonly "socket-address"?: readonly { readonly host: string; readonly port: string }[];
}

/** `channels`: of multifd; none without it. */
export async function qemuTransfer(bytes: number, file: string, channels = 0): Promise<Transfer> {
  const multifd = channels > 0;
  const settings = {
    target: "x86_64",
    capabilities: multifd ? ["multifd"] : [],
    parameters: { "max-bandwidth": unlimited, ...(multifd && { "multifd-channels": channels }) },
  } as const;
  const content = `memory-backend-file,id=pc.ram,size=${bytes},mem-path=${file},share=off`;
  await using source = await Qemu.start({ ...settings, stopped: true, options: machine(bytes, content) });
  await using destination = await Qemu.start({
    ...settings,
    stopped: true,
    incoming: true,
    options: machine(bytes, `memory-backend-ram,id=pc.ram,size=${bytes}`),
  });
  const pids = [source.pid ?? 0, destination.pid ?? 0] as const;
  const uri = await listening(destination);
  const before = cpuMs(pids[0]) + cpuMs(pids[1]);
  await source.qmp("migrate", { uri });
  await over(source);
  await over(destination);
  const taken = cpuMs(pids[0]) + cpuMs(pids[1]) - before;
  const { "total-time": totalMs = Number.NaN } = await source.qmp<QemuMigration>("query-migrate");
  return { totalMs, cpuMs: taken, peakBytes: [peakBytes(pids[0]), peakBytes(pids[1])] };
}

/** Its migration has ended well. Large guests on a busy machine take longer than a test would wait. */
async function over(qemu: Qemu): Promise<void> {
  const end = performance.now() + patienceMs;
  for (;;) {
    const { status } = await qemu.qmp<QemuMigration>("query-migrate");
    if (status === "completed") return;
    if (status === "failed" || performance.now() > end) throw new Error(`QEMU's migration: ${status}; ${qemu.stderr}`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

/** Begins to take connections over loopback; the address. */
export async function listening(destination: Qemu): Promise<string> {
  await destination.qmp("migrate-incoming", { uri: "tcp:127.0.0.1:0" });
  const { "socket-address": [address] = [] } = await destination.qmp<QemuMigration>("query-migrate");
  if (address === undefined) throw new Error("QEMU listens at no address");
  return `tcp:127.0.0.1:${address.port}`;
}

const machine = (bytes: number, backend: string): readonly string[] => [
  ...`-M pc-q35-7.2,accel=tcg,memory-backend=pc.ram -cpu qemu64 -m ${bytes / (1 << 20)}`.split(" "),
  ..."-nodefaults -display none".split(" "),
  ...["-object", backend],
];
