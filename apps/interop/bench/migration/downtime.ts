// How long a busy machine stands still: the reference machine, and a guest in QEMU that dirties as much memory as fast.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { counts } from "../../src/counts.ts";
import { Qemu } from "../../src/qemu.ts";
import { median } from "./median.ts";
import { listening, type QemuMigration, unlimited } from "./qemu-pair.ts";

export interface Busy {
  readonly memoryMiB: number;
  readonly dirtyMiBps: number;
  readonly downtimeLimitMs: number;
}

export interface Stood {
  readonly downtimeMs: number;
  /** As measured on the way. */
  readonly dirtyMiBps: number;
}

const mib = 1 << 20;
/** Two pages more than whole MiB: QEMU 7.2 loses writes of a running guest whose RAM is a multiple of 64 pages (README). */
const moreKiB = 8;
const repository = fileURLToPath(new URL("../../../..", import.meta.url));
/** The reference machine's upper limit of `--bandwidth`, far above any loopback. */
const unlimitedMiBps = 65_536;

interface Line {
  readonly event?: string;
  readonly round?: { readonly dirtyBytesPerSecond: number };
  readonly statistics?: { readonly downtime?: number };
}

/** From its pause until its source has heard that it runs at the destination. */
export function referenceDowntime({ memoryMiB, dirtyMiBps, downtimeLimitMs }: Busy): Stood {
  const options = ["--json", "--memory", memoryMiB, "--dirty-rate", dirtyMiBps, "--downtime-limit", downtimeLimitMs];
  const entry = join(repository, "apps/reference-machine/src/main.ts");
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--conditions=godwit:source", entry, ...options.map(String), "--bandwidth", String(unlimitedMiBps)],
    { encoding: "utf8", maxBuffer: 1 << 30 },
  );
  if (status !== 0) throw new Error(`the reference machine: exit ${status}: ${stderr}${stdout.slice(-1000)}`);
  const lines = stdout.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as Line] : []));
  const downtime = lines.find(({ event }) => event === "sent")?.statistics?.downtime;
  if (downtime === undefined) throw new Error("the reference machine told no downtime");
  const rates = lines.flatMap(({ event, round }) => (event === "round" && round ? [round.dirtyBytesPerSecond] : []));
  return { downtimeMs: downtime, dirtyMiBps: median(rates) / mib };
}

/** QEMU's own `downtime`: from its pause until its source has sent all. */
export async function qemuDowntime(busy: Busy): Promise<Stood> {
  // Half of memory, as the reference machine's guest.
  const poolMiB = busy.memoryMiB / 2;
  const folder = mkdtempSync(join(tmpdir(), "godwit-dirty-"));
  try {
    const guest = assembled(folder, { SIZE_MIB: poolMiB, RATE_MIB: busy.dirtyMiBps });
    const options = [
      ...`-M pc-q35-7.2,accel=tcg -cpu qemu64 -m ${busy.memoryMiB * 1024 + moreKiB}K -nodefaults -display none`.split(
        " ",
      ),
      ..."-chardev file,id=ser,path=SERIAL -device isa-serial,chardev=ser".split(" "),
    ];
    const parameters = { "max-bandwidth": unlimited, "downtime-limit": busy.downtimeLimitMs };
    await using source = await Qemu.start({ target: "x86_64", options: [...options, "-kernel", guest], parameters });
    await using destination = await Qemu.start({ target: "x86_64", options, incoming: true });
    const rounds = () => counts(source.serial).length;
    await source.until(() => rounds() >= 1, "a round of the guest");
    const [began, from] = [performance.now(), rounds()];
    await source.until(() => rounds() >= from + 2, "two rounds of the guest");
    const seconds = (performance.now() - began) / 1000;
    const dirtyMiBps = ((rounds() - from) * poolMiB) / seconds;
    await source.qmp("migrate", { uri: await listening(destination) });
    await source.migrated();
    const { downtime = Number.NaN } = await source.qmp<QemuMigration>("query-migrate");
    return { downtimeMs: downtime, dirtyMiBps };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function assembled(folder: string, symbols: Readonly<Record<string, number>>): string {
  const source = fileURLToPath(new URL("../../guest/dirty.S", import.meta.url));
  const [object, guest] = [join(folder, "dirty.o"), join(folder, "dirty.elf")];
  const defined = Object.entries(symbols).map(([name, value]) => `-Wa,-defsym,${name}=${value}`);
  execFileSync(firstOf("clang-14", "clang"), ["--target=i386-linux-gnu", ...defined, "-c", source, "-o", object]);
  execFileSync(firstOf("ld.lld-14", "ld.lld"), ["-m", "elf_i386", "-Ttext=0x100000", "-N", "-o", guest, object]);
  return guest;
}

function firstOf(...commands: string[]): string {
  const found = commands.find((command) => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0);
  if (found === undefined) throw new Error(`none of ${commands.join(", ")} is installed`);
  return found;
}
