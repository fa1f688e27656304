// Real streams and dumps as the planner takes them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dumpSide, type Side } from "@godwit/core/compatibility";
import { readStream as rawStream, streamsFolder } from "@godwit/test-support/streams";
import type { Input } from "../src/io/input.ts";
import { catalogueWith } from "../src/model/catalogue.ts";
import { readStream } from "../src/model/read-stream.ts";
import type { RetargetSection, RetargetSource, RetargetTarget } from "../src/retarget/types.ts";

/** As the file of that name would be read. */
function inputOf(name: string, bytes: Uint8Array): Input {
  return {
    name,
    compression: "none",
    sizeBytes: bytes.length,
    async *chunks() {
      yield bytes;
    },
    tail: (count) => bytes.slice(-count),
    readAt: () => undefined,
    close() {},
  };
}

export type OpenedSource = RetargetSource & RetargetTarget & { readonly sections: readonly RetargetSection[] };

async function sourceOf(name: string, bytes: Uint8Array): Promise<OpenedSource> {
  const sections: RetargetSection[] = [];
  const commands: { command: number }[] = [];
  const { configuration, vmdesc } = await readStream(
    inputOf(name, bytes),
    { catalogue: catalogueWith(), holdBytes: 1 << 26, footerScan: true },
    { section: (section) => void sections.push(section), command: (command) => void commands.push(command) },
  );
  return { configuration, commands, sections, vmdesc };
}

const opened = new Map<string, Promise<OpenedSource>>();

/** A supplied stream, read once. */
export function suppliedSource(name: string): Promise<OpenedSource> {
  const found = opened.get(name) ?? sourceOf(name, rawStream(`${name}.stream`));
  opened.set(name, found);
  return found;
}

/** A supplied dump: `pc-q35-7.2.qemu-10.0`. */
export function suppliedDump(name: string): Side {
  const path = join(streamsFolder(), "dump-vmstate", `${name}.json`);
  return dumpSide(readFileSync(path, "utf8"), name);
}
