// The archive that Linux starts from, and the order of a kernel's modules.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { consoleMode, cpio, folderMode, programMode } from "../src/cpio.ts";
import { type LinuxKernel, moduleOrder } from "../src/linux-kernel.ts";

const folder = mkdtempSync(join(tmpdir(), "godwit-initramfs-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Where a field of eight hexadecimal digits stands in an entry's header, behind the magic. Source: newc. */
const fields = ["ino", "mode", "uid", "gid", "nlink", "mtime", "filesize", "maj", "min", "rmaj", "rmin", "namesize"];

/** Reads an archive as the kernel does: header, name and content, each padded to four bytes. */
function entriesOf(archive: Uint8Array): Record<string, string | number>[] {
  const entries: Record<string, string | number>[] = [];
  const text = Buffer.from(archive).toString("latin1");
  for (let at = 0; at < text.length; ) {
    expect(text.slice(at, at + 6)).toBe("070701");
    const of = (name: string): number => {
      const from = at + 6 + 8 * fields.indexOf(name);
      return Number.parseInt(text.slice(from, from + 8), 16);
    };
    const [nameBytes, bytes] = [of("namesize"), of("filesize")];
    const name = text.slice(at + 110, at + 110 + nameBytes - 1);
    const from = (at + 110 + nameBytes + 3) & ~3;
    entries.push({
      name,
      mode: of("mode"),
      device: `${of("rmaj")}:${of("rmin")}`,
      content: text.slice(from, from + bytes),
    });
    at = (from + bytes + 3) & ~3;
  }
  return entries;
}

it("holds folders, devices and files, each at a multiple of four", () => {
  const archive = cpio([
    { path: "dev", mode: folderMode },
    { path: "dev/console", mode: consoleMode, device: [5, 1] },
    { path: "init", mode: programMode, bytes: new TextEncoder().encode("12345") },
  ]);
  expect(archive.length % 4).toBe(0);
  expect(entriesOf(archive)).toEqual([
    { name: "dev", mode: 0o040755, device: "0:0", content: "" },
    { name: "dev/console", mode: 0o020600, device: "5:1", content: "" },
    { name: "init", mode: 0o100755, device: "0:0", content: "12345" },
    { name: "TRAILER!!!", mode: 0, device: "0:0", content: "" },
  ]);
});

/** A kernel whose modules say only what they depend on. */
function kernelWith(modules: Readonly<Record<string, string>>): LinuxKernel {
  const paths = Object.entries(modules).map(([name, depends]): [string, string] => {
    const path = join(folder, `${name}.ko`);
    writeFileSync(path, `\x7fELF\0license=GPL\0depends=${depends}\0name=${name}\0`);
    return [name, path];
  });
  return { release: "6.1", imagePath: "", modules: new Map(paths) };
}

it("loads each module behind those that it depends on, and each once", () => {
  const kernel = kernelWith({ ring: "", virtio: "", modern: "virtio", pci: "ring,modern,virtio", blk: "virtio,ring" });
  const order = moduleOrder(kernel, ["pci", "blk"]).map((path) => path.slice(folder.length + 1, -".ko".length));
  expect(order).toEqual(["ring", "virtio", "modern", "pci", "blk"]);
});

it("names a module that the kernel has not", () => {
  expect(() => moduleOrder(kernelWith({ pci: "virtio" }), ["pci"])).toThrow("Linux 6.1 has no module virtio");
});
