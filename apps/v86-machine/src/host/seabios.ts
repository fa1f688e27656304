// Debian's SeaBIOS: the machine's firmware. It is never part of this repository; it is taken from where Debian's package
// puts it, from a folder that is named, or from the package itself, fetched with apt.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Seabios {
  readonly bios: Uint8Array;
  readonly vgaBios: Uint8Array;
}

const installed = "/usr/share/seabios";
const biosFile = "bios.bin";
const vgaBiosFile = "vgabios-stdvga.bin";

/** The firmware, or a sentence that says why there is none. */
export type FoundSeabios = { readonly seabios: Seabios } | { readonly problem: string };

/**
 * `GODWIT_SEABIOS` names a folder that holds the files of Debian's package `seabios`; without it, or where it is empty, the
 * installed package is used, or one that apt downloads.
 */
export function findSeabios(): FoundSeabios {
  const named = process.env["GODWIT_SEABIOS"];
  if (named !== undefined && named !== "") {
    const lacking = lackingIn(named);
    if (lacking === undefined) return { seabios: readSeabios(named) };
    return { problem: `no SeaBIOS: the folder ${named}, which GODWIT_SEABIOS names, has no file ${lacking}` };
  }
  const seabios = lackingIn(installed) === undefined ? readSeabios(installed) : downloaded();
  if (seabios !== undefined) return { seabios };
  const lacking = `neither in ${installed} nor to be had from apt`;
  return { problem: `no SeaBIOS: Debian's package seabios is ${lacking} (GODWIT_SEABIOS may name its folder)` };
}

function lackingIn(folder: string): string | undefined {
  return [biosFile, vgaBiosFile].find((name) => !existsSync(join(folder, name)));
}

function readSeabios(folder: string): Seabios {
  const read = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)));
  return { bios: read(biosFile), vgaBios: read(vgaBiosFile) };
}

/** Needs no root: the package is unpacked into a folder that is gone afterwards. */
function downloaded(): Seabios | undefined {
  const folder = mkdtempSync(join(tmpdir(), "godwit-seabios-"));
  try {
    const { status } = spawnSync("apt-get", ["download", "seabios"], { cwd: folder, stdio: "ignore" });
    const file = readdirSync(folder).find((name) => name.endsWith(".deb"));
    if (status !== 0 || file === undefined) return undefined;
    execFileSync("dpkg-deb", ["-x", file, "."], { cwd: folder });
    return readSeabios(join(folder, installed));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
