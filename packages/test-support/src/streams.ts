// The real streams, saved by QEMU, that tests read: where they are, what is known of them, and their bytes, verified.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { ManifestCase, ManifestFile } from "./manifest.ts";
import { absent, environmentValue } from "./required.ts";
import { decompressZstd, unpacksFast } from "./zstd.ts";

export type {
  ManifestCase,
  ManifestFile,
  ManifestMappedBlock,
  ManifestRamBlock,
  ManifestRamRecords,
  ManifestSection,
  ManifestSectionKind,
  ManifestStream,
} from "./manifest.ts";

const repositoryRoot = fileURLToPath(new URL("../../../", import.meta.url));

/** The folder of the streams: `GODWIT_STREAMS`, else `../shared/streams` beside the repository. */
export function streamsFolder(): string {
  return resolve(repositoryRoot, environmentValue("GODWIT_STREAMS") ?? "../shared/streams");
}

/**
 * Whether the streams are there, for `describe.skipIf(!haveStreams())`; says so in a line when they are not.
 * With `GODWIT_REQUIRE_STREAMS=1` or `CI=true` it throws instead, so that no run in CI passes by skipping.
 */
export function haveStreams(): boolean {
  const path = manifestPath();
  if (existsSync(path)) return true;
  const problem = `no QEMU streams: ${path} does not exist (GODWIT_STREAMS names their folder)`;
  return absent("streams", problem, "the tests that read them");
}

/** All cases of MANIFEST.json. Throws where the folder is missing. */
export function manifest(): readonly ManifestCase[] {
  const cases: unknown = JSON.parse(readFileSync(manifestPath(), "utf8"));
  if (!Array.isArray(cases)) throw new Error(`${manifestPath()} holds no list of cases`);
  return cases as ManifestCase[];
}

/** The raw bytes of the file that the manifest calls `rawName`, with its size and SHA-256 checked. */
export function readStream(rawName: string): Uint8Array {
  const file = findFile(rawName);
  const bytes = unpacksFast ? unpacked(file) : readFileSync(kept(file));
  if (bytes.length !== file.bytes) {
    throw new Error(`${rawName}: expected ${file.bytes} bytes, found ${bytes.length}`);
  }
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  if (sha256 !== file.sha256) {
    throw new Error(`${rawName}: expected SHA-256 ${file.sha256}, found ${sha256}`);
  }
  // A plain view: Node's Buffer would compare unequal to a Uint8Array of the same bytes in tests.
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** A file of the stream, to be given to programs: the supplied one, packed, where the runtime unpacks it fast. */
export function streamFile(rawName: string): string {
  const file = findFile(rawName);
  return unpacksFast ? join(streamsFolder(), file.file) : kept(file);
}

const unpacked = ({ file }: ManifestFile): Uint8Array => decompressZstd(readFileSync(join(streamsFolder(), file)));

/** Unpacked once for all tests of this checkout, which read it from many processes. */
function kept(file: ManifestFile): string {
  // What is kept stands for a file that is there.
  statSync(join(streamsFolder(), file.file));
  const folder = join(repositoryRoot, "node_modules/.cache/godwit-streams");
  const path = join(folder, file.sha256);
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    const own = `${path}.${process.pid}`;
    writeFileSync(own, unpacked(file));
    renameSync(own, path);
  }
  return path;
}

function findFile(rawName: string): ManifestFile {
  for (const { files } of manifest()) {
    const file = files.find(({ raw }) => raw === rawName);
    if (file) return file;
  }
  throw new Error(`${rawName}: no such file in ${manifestPath()}`);
}

function manifestPath(): string {
  return join(streamsFolder(), "MANIFEST.json");
}
