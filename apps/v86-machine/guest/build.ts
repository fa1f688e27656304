/**
 * Assembles the boot sector and formats it as TypeScript. The tools are pinned, since the built bytes are committed
 * beside the source and compared in a test: clang and lld of major version 14 (Debian 12's).
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const toolMajor = 14;

export interface Toolchain {
  readonly clang: string;
  readonly lld: string;
}

/** The pinned assembler and linker, or undefined where they are not installed. */
export function findToolchain(): Toolchain | undefined {
  const clang = ["clang-14", "clang"].find((command) => hasVersion(command, /clang version (\d+)\./));
  const lld = ["ld.lld-14", "ld.lld"].find((command) => hasVersion(command, /LLD (\d+)\./));
  return clang === undefined || lld === undefined ? undefined : { clang, lld };
}

function hasVersion(command: string, pattern: RegExp): boolean {
  const { status, stdout } = spawnSync(command, ["--version"], { encoding: "utf8" });
  return status === 0 && Number(pattern.exec(stdout)?.[1]) === toolMajor;
}

/** The text of `src/guest/boot-sector.ts`; the same tools give the same text, wherever they run. */
export function builtSector({ clang, lld }: Toolchain): string {
  const folder = mkdtempSync(join(tmpdir(), "godwit-boot-sector-"));
  try {
    const source = fileURLToPath(new URL("counter.S", import.meta.url));
    const object = join(folder, "counter.o");
    const image = join(folder, "counter.bin");
    execFileSync(clang, ["--target=i386-unknown-none-elf", "-c", source, "-o", object]);
    execFileSync(lld, ["-m", "elf_i386", "--build-id=none", "-Ttext=0x7c00", "--oformat=binary", "-o", image, object]);
    return formatted(new Uint8Array(readFileSync(image)));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const bytesPerLine = 32;

function formatted(image: Uint8Array): string {
  const digits = Array.from(image, (byte) => byte.toString(16).padStart(2, "0"));
  const lines: string[] = [];
  for (let at = 0; at < digits.length; at += bytesPerLine) {
    lines.push(`  "${digits.slice(at, at + bytesPerLine).join("")}",\n`);
  }
  return `/** The boot sector's ${image.length} bytes. Written by guest/build.ts from guest/counter.S. */\nexport const bootSectorLines: readonly string[] = [\n${lines.join("")}];\n`;
}
