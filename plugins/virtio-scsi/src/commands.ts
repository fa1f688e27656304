// The commands of a disk that move no blocks: what each answers (SPC-4, section 6; SBC-3, section 5).
import { maxRequestBytes, opcode, sectorBytes } from "./constants.ts";
import { type Sense, senseBytesOf, senseOf } from "./sense.ts";

/** What a disk is to its initiator. */
export interface DiskIdentity {
  /** Now: it may change. */
  readonly sectors: number;
  readonly readOnly: boolean;
  /** Up to 36 ASCII characters. */
  readonly serial: string;
  /** 8 and 16 ASCII characters at most. */
  readonly vendor: string;
  readonly product: string;
}

/** Bytes for the initiator, or why there are none; `flush`: the back end is asked to make everything durable. */
export type CommandAnswer = { readonly data: Uint8Array } | { readonly sense: Sense } | "flush";

const nothing: CommandAnswer = { data: new Uint8Array(0) };
const invalidField: CommandAnswer = { sense: senseOf.invalidField };

const page = { supported: 0x00, serial: 0x80, identification: 0x83, limits: 0xb0 } as const;
const readCapacity16 = 0x10;

/** `last`: the sense that the disk keeps for REQUEST SENSE. */
export function answerCommand(disk: DiskIdentity, cdb: Uint8Array, last: Sense): CommandAnswer {
  const view = new DataView(cdb.buffer, cdb.byteOffset, cdb.byteLength);
  const within = (data: Uint8Array, length: number): CommandAnswer => ({ data: data.subarray(0, length) });
  switch (cdb[0]) {
    case opcode.TEST_UNIT_READY:
    case opcode.START_STOP:
      return nothing;
    case opcode.SYNCHRONIZE_CACHE_10:
    case opcode.SYNCHRONIZE_CACHE_16:
      return "flush";
    case opcode.REQUEST_SENSE:
      return within(senseBytesOf(last), view.getUint8(4));
    case opcode.INQUIRY:
      return inquiry(disk, view);
    case opcode.READ_CAPACITY_10:
      // A block is given only with PMI, which is obsolete.
      return view.getUint32(2) === 0 ? { data: capacity10(disk) } : invalidField;
    case opcode.SERVICE_ACTION_IN_16:
      if ((view.getUint8(1) & 0x1f) !== readCapacity16) return invalidField;
      return within(capacity16(disk), view.getUint32(10));
    case opcode.MODE_SENSE_6:
      return modeSense(disk, view, 6, view.getUint8(4));
    case opcode.MODE_SENSE_10:
      return modeSense(disk, view, 10, view.getUint16(7));
    default:
      return { sense: senseOf.invalidOpcode };
  }
}

function inquiry(disk: DiskIdentity, cdb: DataView): CommandAnswer {
  const length = cdb.getUint16(3);
  const vital = (cdb.getUint8(1) & 1) !== 0;
  if (!vital) return cdb.getUint8(2) === 0 ? { data: standardInquiry(disk).subarray(0, length) } : invalidField;
  const serial = ascii(disk.serial);
  const named = serial.length > 0;
  const pages: Readonly<Record<number, Uint8Array>> = {
    [page.supported]: Uint8Array.from(Object.values(page).filter((code) => named || code !== page.serial)),
    ...(named ? { [page.serial]: serial } : {}),
    [page.identification]: named ? Uint8Array.of(2, 0, 0, serial.length, ...serial) : new Uint8Array(0),
    [page.limits]: limits(),
  };
  const found = pages[cdb.getUint8(2)];
  if (found === undefined) return invalidField;
  return {
    data: Uint8Array.of(0, cdb.getUint8(2), found.length >> 8, found.length & 0xff, ...found).subarray(0, length),
  };
}

function limits(): Uint8Array {
  const data = new Uint8Array(60);
  // The longest transfer, in blocks.
  new DataView(data.buffer).setUint32(4, maxRequestBytes / sectorBytes);
  return data;
}

export function standardInquiry({ vendor, product }: Pick<DiskIdentity, "vendor" | "product">): Uint8Array {
  const data = new Uint8Array(36);
  data[2] = 5; // SPC-3
  data[3] = 0x12;
  data[4] = data.length - 5;
  data[7] = 0x02; // commands are queued
  data.set(ascii(vendor.padEnd(8)), 8);
  data.set(ascii(product.padEnd(16)), 16);
  data.set(ascii("1.0 "), 32);
  return data;
}

function capacity10({ sectors }: DiskIdentity): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, Math.min(sectors - 1, 0xffff_ffff));
  view.setUint32(4, sectorBytes);
  return new Uint8Array(view.buffer);
}

function capacity16({ sectors }: DiskIdentity): Uint8Array {
  const view = new DataView(new ArrayBuffer(32));
  view.setBigUint64(0, BigInt(sectors - 1));
  view.setUint32(8, sectorBytes);
  return new Uint8Array(view.buffer);
}

const caching = 0x08;
const allPages = 0x3f;
const pageControl = { changeable: 1, saved: 3 } as const;

/**
 * The header, which tells whether the disk is write-protected, and the caching page. What is answered stands in a cache
 * until SYNCHRONIZE CACHE: a driver that were not told so would never ask for that.
 */
function modeSense({ readOnly }: DiskIdentity, cdb: DataView, form: 6 | 10, length: number): CommandAnswer {
  const wanted = cdb.getUint8(2) & 0x3f;
  const control = cdb.getUint8(2) >> 6;
  if (control === pageControl.saved) return { sense: senseOf.savingPages };
  const subpage = cdb.getUint8(3);
  if ((wanted !== caching || subpage !== 0) && (wanted !== allPages || (subpage !== 0 && subpage !== 0xff))) {
    return invalidField;
  }
  const cachingPage = new Uint8Array(20);
  cachingPage.set([caching, cachingPage.length - 2, control === pageControl.changeable ? 0 : 0x04]);
  const protection = readOnly ? 0x80 : 0;
  const header = form === 6 ? [0, 0, protection, 0] : [0, 0, 0, protection, 0, 0, 0, 0];
  const data = Uint8Array.of(...header, ...cachingPage);
  // The length does not count itself.
  if (form === 6) data[0] = data.length - 1;
  else data[1] = data.length - 2;
  return { data: data.subarray(0, length) };
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
