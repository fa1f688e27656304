// The sending side of multifd: pages are gathered to packets, which go to the channels in turn.
import { MigrationError } from "@godwit/core";
import { checkPageBytes, defaultPageBytes } from "../records.ts";
import { noCompression, type PageCompression, type StreamCodec } from "../stream-codec.ts";
import { encodeHello, noUuid } from "./hello.ts";
import { compressionFlag, encodePacket, multifdPacket, packetFlag, packetPages } from "./packet.ts";
import type { MultifdSync } from "./receiver.ts";

export interface MultifdSenderInit {
  /** Takes the bytes of each channel, which are its own from then on. One function a channel, one at least. */
  readonly channels: readonly ((bytes: Uint8Array) => void)[];
  readonly sync: MultifdSync;
  /**
   * zero-page-detection. `records`: QEMU's `legacy`, zero pages are records of the main stream, and the only way up to
   * 8.2; `packets`: QEMU's `multifd`, their offsets stand in packets (9.0 and later).
   */
  readonly zeroPages: "records" | "packets";
  /** Bytes of a target page. The default is 4096. */
  readonly pageBytes?: number;
  /** The machine's UUID, 16 bytes. The default is none: zeros. */
  readonly uuid?: Uint8Array;
  /** The default is none. */
  readonly compression?: PageCompression;
}

export interface MultifdSender {
  readonly sync: MultifdSync;
  readonly zeroPages: "records" | "packets";
  readonly pageBytes: number;
  /** Bytes that went to the channels. */
  readonly bytes: number;
  /** The hello of every channel: an attempt begins. */
  begin(): void;
  /** Copies the page at `at` of `bytes`; gives the copy's place, which stands until the next page. */
  page(
    idstr: string,
    offset: number,
    bytes: Uint8Array,
    at: number,
  ): { readonly bytes: Uint8Array; readonly at: number };
  /** Only with `zeroPages: "packets"`. */
  zeroPage(idstr: string, offset: number): void;
  /** What is gathered goes out, and a SYNC on every channel. The caller sees to the main stream's marker. */
  synchronise(): void;
}

/** `DEFINITION_INVALID` without channels. */
export function multifdSender(init: MultifdSenderInit): MultifdSender {
  return new PacketSender(init);
}

class PacketSender implements MultifdSender {
  readonly sync: MultifdSync;
  readonly zeroPages: "records" | "packets";
  readonly pageBytes: number;
  readonly #channels: readonly ((bytes: Uint8Array) => void)[];
  readonly #uuid: Uint8Array;
  readonly #compression: PageCompression;
  readonly #capacity: number;
  /** One compressed stream a channel, from its first packet to its last. */
  #codecs: (StreamCodec | undefined)[] = [];
  #next = 0;
  #packetNumber = 0n;
  #bytes = 0;
  #idstr = "";
  #normal: number[] = [];
  #zero: number[] = [];
  #content: Uint8Array;

  constructor({
    channels,
    sync,
    zeroPages,
    pageBytes = defaultPageBytes,
    uuid = noUuid,
    compression = noCompression,
  }: MultifdSenderInit) {
    checkPageBytes(pageBytes);
    if (channels.length < 1 || channels.length > 255 || uuid.length !== 16) {
      throw new MigrationError("DEFINITION_INVALID", "multifd has 1 to 255 channels, and a UUID of 16 bytes", {
        side: "define",
        path: "multifd",
        found: `${channels.length} channels, a UUID of ${uuid.length} bytes`,
      });
    }
    this.sync = sync;
    this.zeroPages = zeroPages;
    this.pageBytes = pageBytes;
    this.#channels = channels;
    this.#uuid = uuid;
    this.#compression = compression;
    this.#capacity = packetPages(pageBytes);
    this.#content = new Uint8Array(this.#capacity * pageBytes);
  }

  get bytes(): number {
    return this.#bytes;
  }

  begin(): void {
    this.#codecs = this.#channels.map(() => this.#compression.compressor?.());
    this.#next = 0;
    this.#packetNumber = 0n;
    this.#bytes = 0;
    this.#normal = [];
    this.#zero = [];
    for (const channel of this.#channels.keys()) this.#write(channel, encodeHello({ uuid: this.#uuid, channel }));
  }

  page(
    idstr: string,
    offset: number,
    bytes: Uint8Array,
    at: number,
  ): { readonly bytes: Uint8Array; readonly at: number } {
    this.#gather(idstr);
    const own = this.#normal.length * this.pageBytes;
    this.#content.set(bytes.subarray(at, at + this.pageBytes), own);
    this.#normal.push(offset);
    return { bytes: this.#content, at: own };
  }

  zeroPage(idstr: string, offset: number): void {
    this.#gather(idstr);
    this.#zero.push(offset);
  }

  synchronise(): void {
    this.#flush();
    for (const channel of this.#channels.keys()) {
      // QEMU 9.0 and later: all but the flag is zero. Older receivers take it as well.
      this.#writePacket(channel, { flags: packetFlag.sync, pagesAlloc: 0, idstr: "", normal: [], zero: [], bytes: 0 });
    }
  }

  /** Room for one more page of the block: a packet holds pages of one. */
  #gather(idstr: string): void {
    if (idstr !== this.#idstr || this.#normal.length + this.#zero.length === this.#capacity) this.#flush();
    this.#idstr = idstr;
  }

  #flush(): void {
    const [normal, zero] = [this.#normal, this.#zero];
    if (normal.length + zero.length === 0) return;
    const channel = this.#next;
    this.#next = (channel + 1) % this.#channels.length;
    const pages = this.#content.subarray(0, normal.length * this.pageBytes);
    const codec = this.#codecs[channel];
    // A packet without normal pages has no data, and the channel's stream does not hear of it.
    const data = codec === undefined || pages.length === 0 ? pages : codec.push(pages, 2 * this.#content.length);
    const flags = compressionFlag[this.#compression.method];
    this.#writePacket(channel, {
      flags,
      pagesAlloc: this.#capacity,
      idstr: this.#idstr,
      normal,
      zero,
      bytes: data.length,
    });
    if (data.length > 0) this.#write(channel, data);
    // Whoever takes it may keep it, be it a channel or a codec.
    if (pages.length > 0) this.#content = new Uint8Array(this.#content.length);
    this.#normal = [];
    this.#zero = [];
  }

  #writePacket(
    channel: number,
    packet: {
      readonly flags: number;
      readonly pagesAlloc: number;
      readonly idstr: string;
      readonly normal: readonly number[];
      readonly zero: readonly number[];
      readonly bytes: number;
    },
  ): void {
    const { flags, pagesAlloc, idstr, normal, zero, bytes } = packet;
    const header = multifdPacket(
      {
        flags,
        pagesAlloc,
        packetNumber: this.#packetNumber++,
        idstr,
        normalOffsets: normal,
        zeroOffsets: zero,
        nextPacketBytes: bytes,
      },
      this.pageBytes,
    );
    this.#write(channel, encodePacket(header));
  }

  #write(channel: number, bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    (this.#channels[channel] as (bytes: Uint8Array) => void)(bytes);
  }
}
