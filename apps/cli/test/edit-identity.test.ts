// An edit that sets every section's values to what they are gives the stream's own bytes, for each of the real streams.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { decodeRecord, isMigrationError } from "@godwit/core";
import { layoutByVmdesc, recordToJson } from "@godwit/core/tools";
import { haveStreams, type ManifestFile, manifest, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { recordStream } from "../src/checkpoint/index.ts";
import { type OpenJson, pathsIn, placeOf } from "../src/edit/json-path.ts";
import { silent, type Terminal } from "../src/io/terminal.ts";
import { vmdescOf } from "../src/model/open-stream.ts";
import type { Section } from "../src/model/read-stream.ts";
import { cut } from "./checkpoint-support.ts";
import { workshop } from "./edit-support.ts";

/** Streams without a vmdesc, and one of the same QEMU and machine that has one. */
const others: Readonly<Record<string, string>> = {
  "q35-bare-novmdesc-7.2.stream": "q35-bare-7.2.stream",
  "tiny-postcopy-7.2.stream": "tiny-precopy-7.2.stream",
};

const largeBytes = 10 << 20;

/** An assignment of a field's own value, in whatever reads the section; undefined where there is none to assign. */
function own(section: Section): string | undefined {
  const { key, body = new Uint8Array(0), described, listed, head } = section;
  if (described !== undefined && !isMigrationError(described)) {
    const record = decodeRecord(described.description, body, { version: head.version, checks: false });
    const json = recordToJson(described.description, record) as OpenJson;
    // The last one: whatever is put in the wrong place before it would show.
    const path = [...pathsIn(json)]
      .filter((one) => !one.includes("$version"))
      .findLast((one) => typeof placeOf(json, one)?.value !== "object");
    return path && `${key}#${path}=${JSON.stringify(placeOf(json, path)?.value)}`;
  }
  const leaf =
    listed &&
    layoutByVmdesc(listed, body).values.findLast(({ value }) => typeof value === "number" || typeof value === "bigint");
  return leaf && `${key}#${leaf.path}=${leaf.value}`;
}

const files: ManifestFile[] = haveStreams()
  ? manifest().flatMap(({ files: all }) => all.filter(({ stream }) => stream !== undefined))
  : [];

describe.skipIf(!haveStreams())("every stream, with every section edited to what it is", () => {
  it.each(files.map((file) => [file.raw, file] as const))(
    "%s: every section set to what it is, the same bytes",
    async (raw, { sha256, bytes }) => {
      const { put, edit, get, part, files: left, folder } = workshop();
      const other = others[raw];
      put(raw);
      if (other !== undefined) put(other);
      const terminal = { folder, progress: () => silent, note() {} } as unknown as Terminal;
      const givenVmdesc = other === undefined ? undefined : await vmdescOf(other, terminal);
      const { sections } = await part(raw, { givenVmdesc });
      const sets = sections.filter(({ phase }) => phase === "full").flatMap((one) => own(one) ?? []);
      expect(sets.length).toBeGreaterThan(10);
      const given = other === undefined ? [] : ["--vmdesc", other];
      // Files are written by the smaller ones: what a file is asked for, and that it is on the disk, costs more than all else.
      const output = bytes < largeBytes ? "out" : "-";
      const run = await edit([raw, "-o", output, ...sets.flatMap((one) => ["--set", one]), ...given]);
      expect([run.code, output === "-" ? run.stdout : run.stderr]).toEqual([0, ""]);
      expect((run.stdout + run.stderr).match(/^byte \d+: set /gm)?.length).toBe(sets.length);
      const result = output === "-" ? run.bytes : get("out");
      expect(createHash("sha256").update(result).digest("hex")).toBe(sha256);
      expect(left()).toEqual([raw, ...given.slice(1), ...(output === "-" ? [] : ["out"])].sort());
    },
  );

  it("from a pipe, through what is kept on the way, it is the same; nothing of that stays", async () => {
    const { edit, get, files: left } = workshop();
    const bytes = readStream("q35-bare-7.2.stream");
    async function* pieces(): AsyncIterable<Uint8Array> {
      for (let at = 0; at < bytes.length; at += 4001) yield bytes.subarray(at, at + 4001);
    }
    const run = await edit(["-", "-o", "out", "--set", "timer#cpu_ticks_offset=0"], { stdin: pieces() });
    expect([run.code, run.stderr]).toEqual([0, ""]);
    expect(left()).toEqual(["out"]);
    expect(get("out").length).toBe(bytes.length);
  });

  it("from a recording in a checkpoint file it is the same", async () => {
    const { edit, get, put, folder } = workshop();
    const bytes = readStream("q35-bare-7.2.stream");
    put("vm", bytes);
    await recordStream(cut(bytes), join(folder, "vm.checkpoint"));
    for (const [from, to] of [
      ["vm", "plain"],
      ["vm.checkpoint", "recorded"],
    ] as const) {
      const run = await edit([from, "-o", to, "--rename-machine", "pc-q35-7.1"]);
      expect([run.code, run.stderr]).toEqual([0, ""]);
    }
    expect(Buffer.compare(get("plain"), get("recorded"))).toBe(0);
  });

  it.skipIf(process.platform === "win32")("from a pipe, what is kept has no name that a kill could leave", async () => {
    const { edit, files: left } = workshop();
    const bytes = readStream("q35-bare-7.2.stream");
    const seen: string[][] = [];
    async function* pieces(): AsyncIterable<Uint8Array> {
      for (let at = 0; at < bytes.length; at += 100_000) {
        yield bytes.subarray(at, at + 100_000);
        seen.push(left());
      }
    }
    const run = await edit(["-", "-o", "out", "--set", "timer#cpu_ticks_offset=0"], { stdin: pieces() });
    expect(run.code).toBe(0);
    expect(seen).toEqual([[], [], [], []]);
  });
});
