// A Linux guest of one process, which writes numbered blocks to a raw disk: Debian's kernel, our program, the options of QEMU.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type CpioEntry, consoleMode, cpio, folderMode, programMode } from "./cpio.ts";
import { findLinuxKernel, type LinuxKernel, moduleOrder } from "./linux-kernel.ts";

export interface LinuxGuest {
  readonly kernelPath: string;
  readonly initramfs: Uint8Array;
}

/** The guest, or a sentence that says why there is none. */
export type FoundLinuxGuest = { readonly guest: LinuxGuest } | { readonly problem: string };

export function findLinuxGuest(): FoundLinuxGuest {
  const found = findLinuxKernel();
  if ("problem" in found) return found;
  const program = builtProgram();
  if (typeof program === "string") return { problem: program };
  return { guest: { kernelPath: found.kernel.imagePath, initramfs: initramfs(found.kernel, program) } };
}

function initramfs(kernel: LinuxKernel, program: Uint8Array): Uint8Array {
  const modules = moduleOrder(kernel, ["virtio_pci", "virtio_blk"]).map((path, index): CpioEntry => {
    return { path: `modules/${String(index).padStart(2, "0")}.ko`, mode: programMode, bytes: readFileSync(path) };
  });
  return cpio([
    { path: "dev", mode: folderMode },
    { path: "dev/console", mode: consoleMode, device: [5, 1] },
    { path: "modules", mode: folderMode },
    ...modules,
    { path: "init", mode: programMode, bytes: program },
  ]);
}

/** The program of guest/linux, or a sentence that says why it cannot be built. */
function builtProgram(): Uint8Array | string {
  const [compiler, linker] = [firstOf("clang-14", "clang"), firstOf("ld.lld-14", "ld.lld")];
  if (compiler === undefined || linker === undefined) return "no Linux guest: it is built by clang and lld";
  const folder = mkdtempSync(join(tmpdir(), "godwit-linux-"));
  try {
    const source = fileURLToPath(new URL("../guest/linux/init.c", import.meta.url));
    const object = join(folder, "init.o");
    const alone = ["-ffreestanding", "-fno-stack-protector", "-fno-pic", "-mno-sse"];
    execFileSync(compiler, [
      "--target=x86_64-linux-gnu",
      "-O2",
      "-Wall",
      "-Werror",
      ...alone,
      "-c",
      source,
      "-o",
      object,
    ]);
    execFileSync(linker, ["-static", "-e", "_start", "-o", join(folder, "init"), object]);
    return new Uint8Array(readFileSync(join(folder, "init")));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const firstOf = (...commands: string[]): string | undefined =>
  commands.find((command) => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0);

/**
 * Two pages more than 96 MiB. Under TCG, QEMU 7.2 was seen to lose writes of a running guest in about one of thirty live
 * migrations to another QEMU 7.2, where RAM was a multiple of 64 pages: the guest's kernel then ran into its own memory, old.
 * With RAM that is none, it was never seen. The guest's evidence is there to judge what is between two QEMUs.
 */
const memoryKiB = 96 * 1024 + 8;

/**
 * A machine of QEMU 7.2 with the guest's disk at `imagePath`. `SERIAL` stands as in `QemuInit`. The image is opened past the
 * page cache, as those who share one between two hosts do; QEMU's own locks on it stay on, so that two that write would be
 * refused.
 */
export function linuxMachine(imagePath: string): readonly string[] {
  return [
    ...`-M pc-q35-7.2,accel=tcg -cpu qemu64 -smp 1 -m ${memoryKiB}K -nodefaults -display none`.split(" "),
    ..."-chardev file,id=ser,path=SERIAL -device isa-serial,chardev=ser".split(" "),
    ...["-blockdev", `driver=file,node-name=image,filename=${imagePath},aio=threads,cache.direct=on`],
    ...["-blockdev", "driver=raw,node-name=disk,file=image,cache.direct=on"],
    ...["-device", "virtio-blk-pci,id=vda,drive=disk,romfile="],
  ];
}

/** What starts the guest in that machine; one that goes on from a stream needs none of it. */
export function linuxBoot(kernelPath: string, initramfsPath: string): readonly string[] {
  return ["-kernel", kernelPath, "-initrd", initramfsPath, "-append", "console=ttyS0 quiet panic=-1"];
}
