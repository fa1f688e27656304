/**
 * Assembles the guests and formats them as TypeScript. The assembler is pinned, since the built bytes are committed beside
 * the source and compared in a test: clang of major version 14 (Debian 12's). No linker: one section each, no relocation.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const toolMajor = 14;

/** The pinned assembler, or undefined where it is not installed. */
export function findClang(): string | undefined {
  return ["clang-14", "clang"].find((command) => {
    const { status, stdout } = spawnSync(command, ["--version"], { encoding: "utf8" });
    return status === 0 && Number(/clang version (\d+)\./.exec(stdout)?.[1]) === toolMajor;
  });
}

const guests = [
  { name: "s390x", flags: ["--target=s390x-linux-gnu", "-march=z13"] },
  { name: "ppc64", flags: ["--target=powerpc64-linux-gnu", "-mcpu=pwr9"] },
] as const;

/** The text of `src/guest-images.ts`; the same tool gives the same text, wherever it runs. */
export function builtImages(clang: string): string {
  const folder = mkdtempSync(join(tmpdir(), "godwit-guests-"));
  try {
    const images = guests.map(({ name, flags }) => {
      const object = join(folder, `${name}.o`);
      const source = fileURLToPath(new URL(`${name}.S`, import.meta.url));
      execFileSync(clang, [...flags, "-c", source, "-o", object]);
      return `\nexport const ${name}Lines: readonly string[] = [\n${lines(textOf(readFileSync(object)))}];\n`;
    });
    return `// Machine code of the guests. Written by guest/write-images.ts from guest/*.S.\n${images.join("")}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The section `.text` of a big-endian ELF64 object without relocations. */
function textOf(object: Uint8Array): Uint8Array {
  const view = new DataView(object.buffer, object.byteOffset, object.byteLength);
  const [table, size, count, names] = [Number(view.getBigUint64(40)), 58, 60, 62].map((at, i) =>
    i === 0 ? at : view.getUint16(at),
  ) as [number, number, number, number];
  const place = (header: number) => ({
    offset: Number(view.getBigUint64(header + 24)),
    length: Number(view.getBigUint64(header + 32)),
  });
  const strings = place(table + names * size).offset;
  for (let header = table; header < table + count * size; header += size) {
    const at = strings + view.getUint32(header);
    const name = String.fromCharCode(...object.subarray(at, object.indexOf(0, at)));
    if (name.startsWith(".rel") && place(header).length > 0) throw new Error(`${name}: a guest has no relocations`);
    if (name !== ".text") continue;
    const { offset, length } = place(header);
    return object.slice(offset, offset + length);
  }
  throw new Error("an object without .text");
}

const bytesPerLine = 32;

function lines(image: Uint8Array): string {
  const digits = Array.from(image, (byte) => byte.toString(16).padStart(2, "0"));
  let text = "";
  for (let at = 0; at < digits.length; at += bytesPerLine) {
    text += `  "${digits.slice(at, at + bytesPerLine).join("")}",\n`;
  }
  return text;
}
