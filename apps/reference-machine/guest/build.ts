/**
 * Builds the guest and the hart's test programs, and formats them as TypeScript. The compiler is pinned, since the built
 * words are committed beside the source and compared in tests: clang and lld of major version 14 (Debian 12's).
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const COMPILER_MAJOR = 14;

const COMPILE_FLAGS: readonly string[] = [
  "--target=riscv32-unknown-elf",
  "-march=rv32im",
  "-mabi=ilp32",
  "-mcmodel=medany",
  "-mno-relax",
  "-std=c11",
  "-Os",
  "-ffreestanding",
  "-fno-builtin",
  "-fno-pic",
  "-fno-ident",
  "-Wall",
  "-Wextra",
  "-Werror",
];

const GUEST_SOURCES: readonly string[] = [
  "crt0.S",
  "accelerator.c",
  "balloon.c",
  "card.c",
  "channel.c",
  "connector.c",
  "device_tree.c",
  "disk.c",
  "dma.c",
  "entropy.c",
  "evidence.c",
  "interrupt.c",
  "main.c",
  "memory.c",
  "network.c",
  "pci.c",
  "peripherals.c",
  "pool.c",
  "rtas.c",
  "scsi.c",
  "serial.c",
  "slots.c",
  "status.c",
  "timer.c",
  "virtio.c",
  "virtio_ccw.c",
  "virtio_pci.c",
  "vtd.c",
];

/** A file that the build writes, from the app's folder. */
export interface BuiltFile {
  path: string;
  text: string;
}

export interface Toolchain {
  clang: string;
  lld: string;
}

function hasVersion(command: string, pattern: RegExp): boolean {
  const result = spawnSync(command, ["--version"], { encoding: "utf8" });
  return result.status === 0 && Number(pattern.exec(result.stdout)?.[1]) === COMPILER_MAJOR;
}

/** The pinned compiler and linker, or `undefined` where they are not installed. */
export function findToolchain(): Toolchain | undefined {
  const clang = ["clang-14", "clang"].find((command) => hasVersion(command, /clang version (\d+)\./));
  const lld = ["ld.lld-14", "ld.lld"].find((command) => hasVersion(command, /LLD (\d+)\./));
  return clang !== undefined && lld !== undefined ? { clang, lld } : undefined;
}

const guestFolder: string = fileURLToPath(new URL(".", import.meta.url));
const programFolder: string = fileURLToPath(new URL("../test/programs/", import.meta.url));

/** Compiles and links `sources` into what goes to the start of RAM. */
function buildImage(toolchain: Toolchain, sources: readonly string[]): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "godwit-guest-"));
  try {
    const objects = sources.map((source, index) => {
      const object = join(folder, `${index}.o`);
      execFileSync(toolchain.clang, [...COMPILE_FLAGS, "-I", guestFolder, "-c", source, "-o", object]);
      return object;
    });
    const image = join(folder, "image");
    const script = join(guestFolder, "guest.ld");
    execFileSync(toolchain.lld, ["--build-id=none", "--oformat=binary", "-T", script, "-o", image, ...objects]);
    return new Uint8Array(readFileSync(image));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const WORDS_PER_LINE = 12;

function formatLines(name: string, image: Uint8Array): string {
  const padded = new Uint8Array(Math.ceil(image.length / 4) * 4);
  padded.set(image);
  const view = new DataView(padded.buffer);
  const words = Array.from({ length: padded.length / 4 }, (_, index) =>
    view
      .getUint32(4 * index, true)
      .toString(16)
      .padStart(8, "0"),
  );
  const lines: string[] = [];
  for (let at = 0; at < words.length; at += WORDS_PER_LINE) {
    lines.push(`  "${words.slice(at, at + WORDS_PER_LINE).join(" ")}",\n`);
  }
  return `export const ${name}: readonly string[] = [\n${lines.join("")}];\n`;
}

/** Builds everything that is built; the same tools give the same text, wherever they run. */
export function buildFiles(toolchain: Toolchain): BuiltFile[] {
  const guest = buildImage(
    toolchain,
    GUEST_SOURCES.map((source) => join(guestFolder, source)),
  );
  const shared = ["crt0.S", "memory.c", "evidence.c"].map((source) => join(guestFolder, source));
  const program = (name: string): Uint8Array => buildImage(toolchain, [...shared, join(programFolder, name)]);
  return [
    {
      path: "src/guest/image.ts",
      text: `/** The guest's machine code: little-endian words from the start of RAM. Written by guest/build.ts. */\n${formatLines("guestImageLines", guest)}`,
    },
    {
      path: "test/programs/images.ts",
      text: `/** Built programs for the hart's tests. Written by guest/build.ts. */\n${formatLines("workoutLines", program("workout.c"))}\n${formatLines("evidenceLines", program("evidence.c"))}`,
    },
  ];
}
