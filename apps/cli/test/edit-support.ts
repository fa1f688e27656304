// Streams in a folder of their own, the verb run on them, and what is in a stream afterwards.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findVmdesc, sectionBytes } from "@godwit/core/stream";
import { readStream } from "@godwit/test-support/streams";
import { expect, onTestFinished } from "vitest";
import { type DevicePart, readDevicePart } from "../src/edit/device-part.ts";
import { openInput } from "../src/io/input.ts";
import { silent, type Terminal } from "../src/io/terminal.ts";
import { catalogueWith } from "../src/model/catalogue.ts";
import type { ReadOptions, Section } from "../src/model/read-stream.ts";
import { type Run, type RunInit, runCli } from "./run-cli.ts";

export interface Workshop {
  readonly folder: string;
  /** A file of these bytes, or of a supplied stream; its name. */
  put(name: string, bytes?: Uint8Array | string): string;
  has(name: string): boolean;
  get(name: string): Uint8Array;
  /** Names of all files. */
  files(): string[];
  /** `godwit edit ...` in the folder. */
  edit(args: readonly string[], init?: RunInit): Promise<Run>;
  part(name: string, options?: Partial<ReadOptions>): Promise<DevicePart>;
}

export function workshop(): Workshop {
  const folder = mkdtempSync(join(tmpdir(), "godwit-edit-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const get = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)));
  return {
    folder,
    put(name, bytes = readStream(name)) {
      writeFileSync(join(folder, name), bytes);
      return name;
    },
    has: (name) => existsSync(join(folder, name)),
    get,
    files: () => readdirSync(folder).sort(),
    edit: (args, init) => runCli(["edit", ...args], { folder, ...init }),
    async part(name, options = {}) {
      const terminal = { folder, progress: () => silent, note() {} } as unknown as Terminal;
      const input = await openInput(name, terminal);
      try {
        return await readDevicePart(input, { catalogue: catalogueWith(), holdBytes: 1 << 26, ...options });
      } finally {
        input.close();
      }
    },
  };
}

export function sectionOf({ sections }: DevicePart, key: string): Section & { readonly body: Uint8Array } {
  const found = sections.find((one) => one.key === key && one.phase === "full");
  return { ...(found ?? expect.unreachable(key)), body: found?.body ?? expect.unreachable(key) };
}

/** Every FULL section's bytes are those that the vmdesc adds up, wherever it can; and nothing else is in the vmdesc. */
export function expectVmdescToTile(part: DevicePart): void {
  const sizes = new Map(part.sections.filter(({ phase }) => phase === "full").map((one) => [one.key, one.bodyBytes]));
  const devices = part.vmdesc?.devices ?? expect.unreachable("a vmdesc");
  expect(devices.map(({ name, instance_id }) => `${name}/${instance_id}`)).toEqual([...sizes.keys()]);
  for (const device of devices) {
    const bytes = sectionBytes(device);
    if (bytes !== undefined)
      expect([device.name, bytes]).toEqual([device.name, sizes.get(`${device.name}/${device.instance_id}`)]);
  }
}

/** The text of a stream's vmdesc. */
export function vmdescTextOf(bytes: Uint8Array): string {
  const { at } = findVmdesc(bytes) ?? expect.unreachable("a vmdesc");
  return Buffer.from(bytes.subarray(at + 5)).toString();
}

/** A stream without what is not RAM: all that stands between the first START and the last END of it. */
export function ramOf(bytes: Uint8Array, { sections }: DevicePart): Uint8Array {
  return new Uint8Array(
    Buffer.concat(
      sections
        .filter(({ head, phase }) => head.idstr === "ram" && phase !== "full")
        .map((one) => bytes.subarray(one.offset, one.offset + one.bytes)),
    ),
  );
}

export const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
