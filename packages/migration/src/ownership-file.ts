// Ownership records as files, for Node, Bun and Deno: the caller hands in `node:fs/promises`, and says which folder.
import { migrationError } from "./codes.ts";
import { type OwnershipLog, recordConflict } from "./ownership/log.ts";
import { checkedMachine, checkedRecord, isSameRecord, type OwnershipRecord } from "./ownership/record.ts";

/** What is used of `node:fs/promises`. */
export interface OwnershipFiles {
  readdir(folder: string): Promise<string[]>;
  readFile(path: string, encoding: "utf8"): Promise<string>;
  mkdtemp(prefix: string): Promise<string>;
  open(path: string, flags: string): Promise<OwnershipFile>;
  /** Gives a file a second name, and fails with `EEXIST` where that name is taken. */
  link(existing: string, added: string): Promise<void>;
  rm(path: string, how: { readonly recursive: true; readonly force: true }): Promise<void>;
}

export interface OwnershipFile {
  writeFile(text: string): Promise<void>;
  /** Resolves when all that was written is on the disk. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface OwnershipFilesOptions {
  /** The module `node:fs/promises`. */
  readonly fs: OwnershipFiles;
  /** An existing folder on a disk of this host, of a file system with hard links. */
  readonly folder: string;
  /**
   * Whether the folder itself is synced after a record got its name. Default true. Windows cannot do that and needs
   * false; what a power cut does to a name there is for its file system to say.
   */
  readonly syncFolder?: boolean;
}

/** How often a folder is looked at anew when the file found in it is gone: each time somebody else has written. */
const maxLooks = 100;

/**
 * A log in a folder. Each record is a file of its own, `<machine>.<revision>.json`, and the one with the highest revision
 * counts: it is written under another name and synced, and then gets its name by a link, which fails where the name is
 * taken. So there is a whole record at every moment, and of two processes that write at once one fails:
 * `OWNERSHIP_CONFLICT`. A power cut may bring the record before back, but only while `write` has not resolved. What a
 * killed process was writing is removed when a record has got that far.
 *
 * A folder that is missing is an error of the file system, and no empty log.
 */
export function fileOwnershipLog(options: OwnershipFilesOptions): OwnershipLog {
  return new FileOwnershipLog(options);
}

class FileOwnershipLog implements OwnershipLog {
  readonly #fs: OwnershipFiles;
  readonly #folder: string;
  readonly #syncFolder: boolean;

  constructor({ fs, folder, syncFolder }: OwnershipFilesOptions) {
    this.#fs = fs;
    this.#folder = folder;
    this.#syncFolder = syncFolder ?? true;
  }

  async read(machine: string): Promise<OwnershipRecord | undefined> {
    return (await this.#latest(checkedMachine(machine))).record;
  }

  async write(record: OwnershipRecord, previous: OwnershipRecord | undefined): Promise<void> {
    const { machine } = checkedRecord(record, checkedMachine(record.machine));
    const latest = await this.#latest(machine);
    if (!isSameRecord(latest.record, previous)) throw recordConflict(previous, latest.record);
    const revision = latest.revision + 1;
    const temporary = await this.#fs.mkdtemp(`${this.#folder}/${machine}.writing-${revision}-`);
    try {
      const written = `${temporary}/record.json`;
      await this.#writeSynced(written, formatFile(record));
      await this.#name(written, machine, revision);
      if (this.#syncFolder) await this.#sync(this.#folder, "r");
      // A writer so slow that its revision came and went meanwhile has named a file that is old already.
      const now = await this.#latest(machine);
      if (now.revision !== revision) throw recordConflict(previous, now.record);
    } catch (error) {
      throw codeOf(error) === "ENOENT" ? await this.#overtaken(error, previous, machine, revision) : error;
    } finally {
      await this.#remove(temporary);
    }
    await this.#tidy(machine, revision);
  }

  /** Somebody else has written this revision and tidied this writer's folder away, unless the error is the disk's. */
  async #overtaken(error: unknown, previous: OwnershipRecord | undefined, machine: string, revision: number) {
    const now = await this.#latest(machine);
    return now.revision >= revision ? recordConflict(previous, now.record) : error;
  }

  /**
   * Removes the records before this one, and what killed processes were writing. Whether a writer lives is not asked:
   * the revision that it writes is in its folder's name, and one that is not above this record's can only fail, as that
   * name is taken. The folder of a writer of a later revision may be in use, and stays until a record has got that far.
   */
  async #tidy(machine: string, revision: number): Promise<void> {
    for (const name of await this.#fs.readdir(this.#folder)) {
      if (!name.startsWith(`${machine}.`)) continue;
      const [, record, writing] =
        /^(?:([1-9][0-9]*)\.json|writing-([1-9][0-9]*)-.*)$/.exec(name.slice(machine.length + 1)) ?? [];
      if (Number(record) < revision || Number(writing) <= revision) await this.#remove(`${this.#folder}/${name}`);
    }
  }

  async #latest(machine: string): Promise<{ readonly revision: number; readonly record: OwnershipRecord | undefined }> {
    for (let look = 0; look < maxLooks; look++) {
      const revision = Math.max(0, ...(await this.#revisions(machine)));
      if (revision === 0) return { revision, record: undefined };
      const path = this.#path(machine, revision);
      const text = await this.#readOrGone(path);
      if (text !== undefined) return { revision, record: parseFile(text, machine, path) };
    }
    throw migrationError("OWNERSHIP_CONFLICT", "the ownership record changes all the time", {
      expected: "one process that writes",
      found: `a new record at each of ${maxLooks} looks`,
    });
  }

  async #revisions(machine: string): Promise<number[]> {
    const names = await this.#fs.readdir(this.#folder);
    return names.flatMap((name) => {
      const [, revision] = /^([1-9][0-9]*)\.json$/.exec(name.slice(machine.length + 1)) ?? [];
      return name.startsWith(`${machine}.`) && revision !== undefined ? [Number(revision)] : [];
    });
  }

  async #readOrGone(path: string): Promise<string | undefined> {
    try {
      return await this.#fs.readFile(path, "utf8");
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  async #name(written: string, machine: string, revision: number): Promise<void> {
    try {
      await this.#fs.link(written, this.#path(machine, revision));
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
      throw migrationError("OWNERSHIP_CONFLICT", "somebody else has changed the ownership record", { cause: error });
    }
  }

  async #writeSynced(path: string, text: string): Promise<void> {
    const file = await this.#fs.open(path, "wx");
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async #sync(path: string, flags: string): Promise<void> {
    const file = await this.#fs.open(path, flags);
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** What cannot be removed is clutter, and no reason to say that a record which is durable were not. */
  async #remove(path: string): Promise<void> {
    await this.#fs.rm(path, { recursive: true, force: true }).catch(() => {});
  }

  #path(machine: string, revision: number): string {
    return `${this.#folder}/${machine}.${revision}.json`;
  }
}

/** One line of JSON, one of its checksum. */
function formatFile(record: OwnershipRecord): string {
  const line = JSON.stringify({ format: 1, ...record });
  return `${line}\n${checksum(line)}\n`;
}

function parseFile(text: string, machine: string, path: string): OwnershipRecord {
  const [line, sum, end, ...rest] = text.split("\n");
  if (line === undefined || sum !== checksum(line) || end !== "" || rest.length > 0) {
    throw migrationError("OWNERSHIP_RECORD", `${path} is torn, or no ownership record`);
  }
  const { format, ...record } = { ...parseJson(line, path) };
  if (format === 1) return checkedRecord(record, machine);
  throw migrationError("OWNERSHIP_RECORD", `${path} is of another format`, { expected: "1", found: String(format) });
}

function parseJson(line: string, path: string): { readonly format?: unknown } {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw migrationError("OWNERSHIP_RECORD", `${path} is no ownership record`, { cause });
  }
}

/** CRC-32 (ISO 3309) of the text's UTF-16 units, low byte first: against broken disks, not against forgers. */
function checksum(text: string): string {
  let crc = 0xffff_ffff;
  for (let i = 0; i < 2 * text.length; i++) {
    crc ^= (text.charCodeAt(i >> 1) >> (8 * (i & 1))) & 0xff;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1;
  }
  return (~crc >>> 0).toString(16).padStart(8, "0");
}

function codeOf(error: unknown): unknown {
  return typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
}
