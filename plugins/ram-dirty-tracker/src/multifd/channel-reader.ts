// Reads one multifd channel: hello, packets, and their pages. At a SYNC it stops, until all channels and the main stream
// have met. Source: wire reference 7.1 to 7.4.
import { Cursor, isMigrationError, MigrationError } from "@godwit/core";
import type { ListedBlock } from "../ram-sink.ts";
import { pageName } from "../records.ts";
import type { PageCompression, StreamCodec } from "../stream-codec.ts";
import { decodeHello, helloBytes, type MultifdHello } from "./hello.ts";
import {
  compressionFlag,
  compressionName,
  decodePacket,
  type MultifdPacket,
  packetError,
  packetFlag,
  packetHeaderBytes,
  packetPages,
} from "./packet.ts";

/** Where pages go. Throws `MigrationError`; the reader adds channel, packet and offset. */
export interface PageTarget<B extends ListedBlock> {
  find(idstr: string): B | undefined;
  /** Refuses a block that takes no pages. */
  opening(block: B): void;
  /** A part of a page's content: `bytes` from `from` to `to`, for `at` of the block. */
  store(block: B, at: number, bytes: Uint8Array, from: number, to: number): void;
  /** A page is whole. */
  arrive(block: B, offset: number): void;
  /** A page is of zeros. */
  fill(block: B, offset: number, byte: number): void;
}

export interface ChannelReaderInit<B extends ListedBlock> {
  readonly pageBytes: number;
  readonly compression: PageCompression;
  readonly target: PageTarget<B>;
  /** Looks at the hello; refuses a wrong one with `MULTIFD_HELLO`. */
  greet(hello: MultifdHello): void;
  /** For tools: each packet's header, before its pages. */
  onPacket?(packet: MultifdPacket): void;
}

type Step = "hello" | "packet" | "data" | "sync";

export class ChannelReader<B extends ListedBlock> {
  readonly #init: ChannelReaderInit<B>;
  readonly #cursor = new Cursor();
  #codec: StreamCodec | undefined;
  #step: Step = "hello";
  #channel: number | undefined;
  #packets = 0;
  #packet: MultifdPacket | undefined;
  #packetOffset = 0;
  #dataOffset = 0;
  #block: B | undefined;
  /** Bytes of the data that are through: only pages that are not compressed are taken as they come. */
  #got = 0;
  #ended = false;

  constructor(init: ChannelReaderInit<B>) {
    this.#init = init;
  }

  /** Its number, once the hello is here. */
  get channel(): number | undefined {
    return this.#channel;
  }

  /** It stands at a SYNC. What comes meanwhile is kept: whoever reads the connection does better not to. */
  get isHeld(): boolean {
    return this.#step === "sync";
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  /** Keeps no reference to `bytes`. */
  push(bytes: Uint8Array): void {
    this.#cursor.append(bytes);
    this.#run();
    this.#cursor.release();
  }

  /** No more bytes come, which is good behind any packet. `STREAM_TRUNCATED`. */
  end(): void {
    this.#ended = true;
    const { available, offset } = this.#cursor;
    if (this.#step === "sync" || (this.#step === "packet" && available === 0)) return;
    throw new MigrationError("STREAM_TRUNCATED", "a multifd channel ends in the middle of an element", {
      path: this.#path(this.#step === "hello" ? "hello" : this.#step === "data" ? "data" : "header"),
      offset: offset + available,
    });
  }

  /** All have met. */
  release(): void {
    this.#step = "packet";
    this.#run();
    this.#cursor.release();
  }

  #run(): void {
    try {
      while (this.#read());
    } catch (error) {
      // A name is complete from its channel on; what a sink or a codec refuses has no offset of its own.
      if (!isMigrationError(error)) throw error;
      throw error.at({ section: "ram/0", path: this.#path(""), offset: this.#cursor.offset });
    }
  }

  /** Reads one element; false where it has not arrived. */
  #read(): boolean {
    const cursor = this.#cursor;
    switch (this.#step) {
      case "hello": {
        if (cursor.available < helloBytes) return false;
        const hello = decodeHello(cursor);
        this.#init.greet(hello);
        this.#channel = hello.channel;
        this.#step = "packet";
        return true;
      }
      case "packet":
        if (cursor.available < packetHeaderBytes(this.#init.pageBytes)) return false;
        this.#readPacket(cursor);
        return true;
      case "data":
        if (!this.#readData(cursor)) return false;
        this.#closePacket();
        return true;
      case "sync":
        return false;
    }
  }

  #readPacket(cursor: Cursor): void {
    this.#packetOffset = cursor.offset;
    const packet = decodePacket(cursor, this.#init.pageBytes);
    this.#packet = packet;
    const { method } = this.#init.compression;
    const found = packet.flags & packetFlag.compression;
    // A packet without data may leave the method out: QEMU 9.0 and later do so where it only synchronises.
    if (found !== compressionFlag[method] && (packet.normalPages > 0 || found !== 0)) {
      const detail = "the pages are compressed in another way than agreed";
      throw packetError("flags", this.#packetOffset + 8, detail, method, compressionName(packet.flags));
    }
    if (packet.normalPages + packet.zeroPages > 0) this.#checkPages(packet);
    this.#init.onPacket?.(packet);
    this.#got = 0;
    this.#dataOffset = cursor.offset;
    this.#step = "data";
    if (packet.normalPages === 0) this.#closePacket();
  }

  #checkPages(packet: MultifdPacket): void {
    const { pageBytes, compression, target } = this.#init;
    const block = target.find(packet.idstr);
    if (block === undefined) {
      throw new MigrationError("RAM_BLOCK_UNKNOWN", "a packet names a RAM block that is not here", {
        path: "ramblock",
        offset: this.#packetOffset + 64,
        found: `"${packet.idstr}"`,
      });
    }
    target.opening(block);
    this.#block = block;
    const last = BigInt(block.length - pageBytes);
    for (let i = 0; i < packet.normalPages + packet.zeroPages; i++) {
      const offset = packet.offsets[i] as bigint;
      if (offset <= last && offset % BigInt(pageBytes) === 0n) continue;
      throw new MigrationError("RAM_OFFSET", "a page lies outside its RAM block, or is none", {
        path: `offsets[${i}]`,
        offset: this.#packetOffset + 320 + 8 * i,
        expected: `a page of at most 0x${last.toString(16)}`,
        found: `0x${offset.toString(16)}`,
      });
    }
    const size = packet.normalPages * pageBytes;
    const isPlain = compression.method === "none";
    const bound = isPlain ? size : 2 * packetPages(pageBytes) * pageBytes;
    const found = packet.nextPacketBytes;
    if (packet.normalPages === 0 || (isPlain ? found === size : found > 0 && found <= bound)) return;
    throw packetError(
      "next_packet_size",
      this.#packetOffset + 20,
      "the data cannot be that of the pages",
      `${isPlain ? "" : "1 to "}${bound} bytes`,
      `${found} bytes`,
    );
  }

  /** True when the data is through. */
  #readData(cursor: Cursor): boolean {
    const packet = this.#packet as MultifdPacket;
    if (this.#init.compression.method === "none") return this.#readPlain(cursor, packet);
    if (cursor.available < packet.nextPacketBytes) return false;
    const data = cursor.take(packet.nextPacketBytes);
    const size = packet.normalPages * this.#init.pageBytes;
    const pages = this.#decompress(data, size);
    for (let i = 0; i < packet.normalPages; i++) this.#store(packet, i, 0, pages, i * this.#init.pageBytes);
    return true;
  }

  #readPlain(cursor: Cursor, packet: MultifdPacket): boolean {
    const { pageBytes } = this.#init;
    while (this.#got < packet.nextPacketBytes && cursor.available > 0) {
      const at = this.#got % pageBytes;
      const taken = Math.min(cursor.available, pageBytes - at);
      this.#store(packet, Math.floor(this.#got / pageBytes), at, cursor.bytes, cursor.pos, taken);
      cursor.pos += taken;
      this.#got += taken;
    }
    return this.#got === packet.nextPacketBytes;
  }

  /** A part of page number `index`, from its byte `at` on. */
  #store(packet: MultifdPacket, index: number, at: number, bytes: Uint8Array, from: number, taken?: number): void {
    const { pageBytes, target } = this.#init;
    const block = this.#block as B;
    const offset = Number(packet.offsets[index]);
    const length = taken ?? pageBytes;
    target.store(block, offset + at, bytes, from, from + length);
    if (at + length === pageBytes) target.arrive(block, offset);
  }

  #decompress(data: Uint8Array, size: number): Uint8Array {
    const { decompressor, method } = this.#init.compression;
    this.#codec ??= decompressor?.();
    if (this.#codec === undefined) {
      throw new MigrationError("PAGE_CODEC", `nothing here decompresses ${method}`, { path: "data", expected: method });
    }
    const { idstr, offsets } = this.#packet as MultifdPacket;
    const path = `data[${pageName(idstr, Number(offsets[0]))}]`;
    try {
      const pages = this.#codec.push(data, size);
      if (pages.length === size) return pages;
      throw new MigrationError("PAGE_CODEC", "the data is not that of the packet's pages", {
        expected: `${size} bytes`,
        found: `${pages.length} bytes`,
      });
    } catch (error) {
      throw isMigrationError(error) ? error.at({ path, offset: this.#dataOffset }) : error;
    }
  }

  /** Zero pages follow the normal ones; SYNC counts behind both. */
  #closePacket(): void {
    const { flags, normalPages, zeroPages, offsets } = this.#packet as MultifdPacket;
    for (let i = normalPages; i < normalPages + zeroPages; i++) {
      this.#init.target.fill(this.#block as B, Number(offsets[i]), 0);
    }
    this.#packets++;
    this.#step = flags & packetFlag.sync ? "sync" : "packet";
  }

  #path(element: string): string {
    const channel = `channels[${this.#channel ?? "?"}]`;
    const place = this.#step === "hello" ? channel : `${channel}.packets[${this.#packets}]`;
    return element === "" ? place : `${place}.${element}`;
  }
}
