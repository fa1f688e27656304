// The streams' reader against a folder made here, where every fault can be planted, and against the real one.
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { haveStreams, manifest, readStream, streamsFolder } from "@godwit/test-support/streams";
import { decompress } from "fzstd";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

/** A zstd frame of one stored block: magic, single segment with a one-byte size, then the last, raw block. */
function storedFrame(content: Uint8Array): Uint8Array {
  const blockHeader = (content.length << 3) | 1;
  return Uint8Array.of(
    ...[0x28, 0xb5, 0x2f, 0xfd, 0x20, content.length],
    ...[blockHeader & 0xff, (blockHeader >> 8) & 0xff, blockHeader >> 16],
    ...content,
  );
}

const content = Uint8Array.from("QEVM and so on", (character) => character.charCodeAt(0));
const sha256 = createHash("sha256").update(content).digest("hex");

describe("a folder of streams", () => {
  let folder: string;

  const writeCase = (file: { bytes: number; sha256: string }) => {
    const files = [{ raw: "made.stream", file: "made.stream.zst", zst_bytes: 0, ...file }];
    writeFileSync(join(folder, "MANIFEST.json"), JSON.stringify([{ name: "made", files }]));
    writeFileSync(join(folder, "made.stream.zst"), storedFrame(content));
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "godwit-streams-"));
    vi.stubEnv("GODWIT_STREAMS", folder);
    vi.stubEnv("GODWIT_REQUIRE_STREAMS", "");
    vi.stubEnv("CI", "");
  });

  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    rmSync(folder, { recursive: true });
  });

  it("is the one that GODWIT_STREAMS names", () => {
    expect(streamsFolder()).toBe(folder);
  });

  it("is ../shared/streams beside the repository by default", () => {
    const root = join(import.meta.dirname, "../../..");
    expect(existsSync(join(root, "turbo.json"))).toBe(true);
    for (const unset of [undefined, ""]) {
      vi.stubEnv("GODWIT_STREAMS", unset);
      expect(streamsFolder()).toBe(join(root, "../shared/streams"));
    }
  });

  it("gives the manifest's cases and a file's raw bytes", () => {
    writeCase({ bytes: content.length, sha256 });
    expect(haveStreams()).toBe(true);
    expect(manifest().map(({ name }) => name)).toEqual(["made"]);
    expect(readStream("made.stream")).toStrictEqual(content);
  });

  it("refuses a file of another size than the manifest's", () => {
    writeCase({ bytes: 15, sha256 });
    expect(() => readStream("made.stream")).toThrow("made.stream: expected 15 bytes, found 14");
  });

  it("refuses a file of another content than the manifest's", () => {
    const other = sha256.replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
    writeCase({ bytes: content.length, sha256: other });
    expect(() => readStream("made.stream")).toThrow(`expected SHA-256 ${other}, found ${sha256}`);
  });

  it("refuses a name that the manifest does not hold", () => {
    writeCase({ bytes: content.length, sha256 });
    expect(() => readStream("other.stream")).toThrow("other.stream: no such file in");
  });

  it("throws for a file that the manifest holds and the folder does not", () => {
    writeCase({ bytes: content.length, sha256 });
    rmSync(join(folder, "made.stream.zst"));
    expect(() => readStream("made.stream")).toThrow("made.stream.zst");
  });

  it("says in a line that it is missing", () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    expect(haveStreams()).toBe(false);
    expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining(`${folder}/MANIFEST.json does not exist`));
  });

  it.each([
    ["GODWIT_REQUIRE_STREAMS", "1"],
    ["CI", "true"],
  ])("is not allowed to be missing with %s=%s", (name, value) => {
    vi.stubEnv(name, value);
    expect(() => haveStreams()).toThrow(`${folder}/MANIFEST.json does not exist`);
    expect(() => manifest()).toThrow("MANIFEST.json");
  });
});

describe.skipIf(!haveStreams())("the real streams", () => {
  it("are all there, each named once", () => {
    const files = manifest().flatMap((each) => each.files);
    for (const { file } of files) expect(existsSync(join(streamsFolder(), file)), file).toBe(true);
    expect(new Set(files.map(({ raw }) => raw)).size).toBe(files.length);
    expect(files.length).toBeGreaterThan(0);
  });

  it("decompress to the manifest's bytes, and alike with the runtime's decoder and the library's", () => {
    const small = manifest()
      .flatMap((each) => each.files)
      .filter(({ bytes }) => bytes < 1_000_000);
    for (const { raw, file } of small) {
      const library = decompress(readFileSync(join(streamsFolder(), file)));
      expect(Buffer.compare(readStream(raw), library), raw).toBe(0);
    }
    expect(small.length).toBeGreaterThan(0);
  });
});
