// Verbs on a stream that stands in something: libvirt's save file, a compressed file, a recording.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { recordStream } from "../src/checkpoint/index.ts";
import { runCli } from "./run-cli.ts";

/** A verb and what it prints, with the stream's own name left out; its result as bytes where that is its result. */
const verbs: Readonly<Record<string, (stream: string) => string[]>> = {
  inspect: (stream) => ["inspect", stream, "--section", "timer", "--json"],
  verify: (stream) => ["verify", stream, "--json"],
  diff: (stream) => ["diff", stream, stream, "--json"],
  extract: (stream) => ["extract", stream, "--raw", "timer/0"],
  edit: (stream) => ["edit", stream, "-o", "-", "--rename-machine", "pc-q35-7.1"],
  convert: (stream) => ["convert", stream, "-"],
  schema: (stream) => ["schema", stream, "--as", "dump", "--section", "hpet"],
};

/** Source: libvirt's public layout of a save file; version 2, uncompressed, no XML to speak of. */
function libvirtFile(stream: Uint8Array): Uint8Array {
  const xml = "<domain><name>vm</name></domain>\0";
  const header = Buffer.alloc(92);
  header.write("LibvirtQemudSave", 0, "latin1");
  [2, xml.length, 1, 0].forEach((word, i) => void header.writeUInt32LE(word, 16 + 4 * i));
  return Buffer.concat([header, Buffer.from(xml), stream]);
}

describe.skipIf(!haveStreams())("what a stream may stand in", () => {
  const folder = mkdtempSync(join(tmpdir(), "godwit-wrapped-"));
  const files: Record<string, string> = {};
  const put = (name: string, bytes: Uint8Array): void => {
    files[name] = join(folder, name);
    writeFileSync(files[name], bytes);
  };
  beforeAll(async () => {
    const bytes = readStream("q35-bare-7.2.stream");
    put("plain", bytes);
    put("libvirt", libvirtFile(bytes));
    put("gzip", gzipSync(bytes));
    files["checkpoint"] = join(folder, "checkpoint");
    async function* chunks() {
      yield bytes;
    }
    await recordStream(chunks(), files["checkpoint"]);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const ofTheStream = (document: string): string => {
    const { stream: _, notes: __, ...rest } = JSON.parse(document) as Record<string, unknown>;
    return JSON.stringify(rest);
  };
  const told = async (verb: string, kind: string) => {
    const { code, stdout, bytes } = await runCli(verbs[verb]?.(files[kind] as string) ?? []);
    // What tells of the file is another thing; what tells of the stream is the same.
    const about = /"(name|compression|wrapper|checkpoint|stream|a|b)": (null|"[^"]*"|\{[^{}]*(\[[^\]]*\])?[^{}]*\}),?/g;
    const notes = /"notes": \[[^\]]*\],?/g;
    const plain = stdout.replaceAll(files[kind] as string, "FILE").replace(/\s+/g, " ");
    const text = verb === "inspect" ? ofTheStream(stdout) : plain.replace(about, "").replace(notes, "");
    return { code, text, bytes: Buffer.from(bytes).toString("base64") };
  };

  it.each(Object.keys(verbs))("%s of one is as of the stream in it", async (verb) => {
    const expected = await told(verb, "plain");
    expect(expected.code).toBe(0);
    expect(expected.text.length + expected.bytes.length).toBeGreaterThan(20);
    for (const kind of ["libvirt", "gzip", "checkpoint"]) {
      const found = await told(verb, kind);
      expect(found.code, kind).toBe(0);
      expect(found.text === expected.text, `${kind}: ${found.text.slice(0, 600)}`).toBe(true);
      expect(found.bytes === expected.bytes, kind).toBe(true);
    }
  });
});
