// The same transfer from QEMU to QEMU: a machine that was never started, with the same content in its memory.
import { Qemu } from "../../src/qemu.ts";
import { peakBytes } from "./memory.ts";
import type { Transfer } from "./pair.ts";

/** No limit, in bytes a second. */
export const unlimited = 2 ** 40;

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
  await source.qmp("migrate", { uri: await listening(destination) });
  await source.migrated();
  await destination.migrated();
  const { "total-time": totalMs = Number.NaN } = await source.qmp<QemuMigration>("query-migrate");
  return { totalMs, peakBytes: [peakBytes(source.pid ?? 0), peakBytes(destination.pid ?? 0)] };
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
