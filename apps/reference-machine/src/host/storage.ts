// What source and destination share, as two hosts share a storage and a network: a disk image with a journal of its
// writes, and the log of all packets. Both only ever grow, so that a block written twice or a lost packet can be seen.
import { type FileHandle, open, readFile } from "node:fs/promises";
import { join } from "node:path";

export const sectorBytes = 512;

/** One behind virtio-blk, one behind virtio-scsi. */
export const diskNames = ["disk", "scsi"] as const;
export type DiskName = (typeof diskNames)[number];

/** One write to the disk, in the order in which they were done. */
export interface JournalEntry {
  readonly sector: number;
  readonly bytes: Uint8Array;
}

export class SharedDisk {
  readonly sizeBytes: number;
  readonly #image: FileHandle;
  readonly #journal: FileHandle;
  #journalled: Promise<unknown> = Promise.resolve();

  private constructor(image: FileHandle, journal: FileHandle, sizeBytes: number) {
    this.#image = image;
    this.#journal = journal;
    this.sizeBytes = sizeBytes;
  }

  static async create(folder: string, sizeBytes: number): Promise<void> {
    for (const name of diskNames) {
      const image = await open(join(folder, `${name}.img`), "w");
      await image.truncate(sizeBytes);
      await image.close();
    }
  }

  static async open(folder: string, name: DiskName): Promise<SharedDisk> {
    const image = await open(join(folder, `${name}.img`), "r+");
    const journal = await open(join(folder, `${name}.journal`), "a");
    return new SharedDisk(image, journal, (await image.stat()).size);
  }

  async read(sector: number, into: Uint8Array): Promise<void> {
    await this.#image.read(into, 0, into.length, sector * sectorBytes);
  }

  async write(sector: number, bytes: Uint8Array): Promise<void> {
    const entry = new Uint8Array(8 + bytes.length);
    const view = new DataView(entry.buffer);
    view.setUint32(0, sector);
    view.setUint32(4, bytes.length);
    entry.set(bytes, 8);
    await this.#image.write(bytes, 0, bytes.length, sector * sectorBytes);
    this.#journalled = this.#journalled.then(() => this.#journal.write(entry));
    await this.#journalled;
  }

  async flush(): Promise<void> {
    await this.#image.datasync();
  }

  async close(): Promise<void> {
    await this.#image.close();
    await this.#journal.close();
  }
}

export async function readJournal(folder: string, name: DiskName): Promise<JournalEntry[]> {
  const bytes = await readFile(join(folder, `${name}.journal`));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: JournalEntry[] = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4);
    entries.push({ sector: view.getUint32(at), bytes: bytes.subarray(at + 8, at + 8 + length) });
    at += 8 + length;
  }
  return entries;
}

/** The network: every frame that was sent, in order, behind its length. */
export class SharedNetwork {
  readonly #log: FileHandle;
  #queue: Promise<unknown> = Promise.resolve();
  frames = 0;

  private constructor(log: FileHandle) {
    this.#log = log;
  }

  static async open(folder: string): Promise<SharedNetwork> {
    return new SharedNetwork(await open(join(folder, "packets.log"), "a"));
  }

  send(frame: Uint8Array): void {
    const record = new Uint8Array(4 + frame.length);
    new DataView(record.buffer).setUint32(0, frame.length);
    record.set(frame, 4);
    this.frames++;
    this.#queue = this.#queue.then(() => this.#log.write(record));
  }

  /** Waits until all that was sent is in the log. */
  async drain(): Promise<void> {
    await this.#queue;
  }

  async close(): Promise<void> {
    await this.drain();
    await this.#log.close();
  }
}

export async function readPackets(folder: string): Promise<Uint8Array[]> {
  const bytes = await readFile(join(folder, "packets.log"));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames: Uint8Array[] = [];
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = view.getUint32(at);
    frames.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return frames;
}

export async function readDisk(folder: string, name: DiskName): Promise<Uint8Array> {
  return readFile(join(folder, `${name}.img`));
}
