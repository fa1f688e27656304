// libvirt's save file: a header of its own, the domain's XML and a cookie, then the stream. The header is in the byte
// order of the host that wrote it. Source: libvirt's virQEMUSaveHeader.
import { CliFault } from "../faults.ts";

export type LibvirtCompression = "none" | "gzip" | "bzip2" | "xz" | "lzop" | "zstd" | "sparse" | `unknown (${number})`;

/** What stands around a stream in its file. */
export interface LibvirtWrapper {
  readonly kind: "libvirt";
  /** The domain's name, where the XML has one. */
  readonly domain: string | undefined;
  /** How libvirt says that the stream is packed; `sparse` is mapped-ram. */
  readonly compression: LibvirtCompression;
  readonly version: number;
  /** The guest ran when it was saved. */
  readonly wasRunning: boolean;
  /** The save was never finished: libvirt writes another magic at its end. */
  readonly unfinished: boolean;
  readonly byteOrder: "little" | "big";
  /** Header, XML and cookie: where the stream begins. Bytes. */
  readonly headerBytes: number;
  readonly xml: string;
  readonly cookie: string | undefined;
}

export const libvirtFixedBytes = 92;
const magicBytes = 16;
/** More XML than any domain has; the header's length is a claim like any other. Bytes. */
const dataBoundBytes = 4 << 20;
const newestVersion = 3;

const formats = ["none", "gzip", "bzip2", "xz", "lzop", "zstd", "sparse"] as const;

const magics = { finished: "LibvirtQemudSave", unfinished: "LibvirtQemudPart" } as const;

/** Whether the file begins as one of libvirt's, as far as the bytes go; four decide. */
export function startsLikeLibvirt(head: Uint8Array): boolean {
  const text = new TextDecoder("latin1").decode(head.subarray(0, magicBytes));
  return text.length >= 4 && Object.values(magics).some((magic) => magic.startsWith(text));
}

/** How many bytes the header has with all that belongs to it. `fixed`: its first 92. Exit 1 where it cannot be. */
export function libvirtBytes(fixed: Uint8Array, name: string): number {
  const { dataBytes } = fixedOf(fixed, name);
  return libvirtFixedBytes + dataBytes;
}

/** `header`: as many bytes as `libvirtBytes` says. */
export function libvirtWrapper(header: Uint8Array, name: string): LibvirtWrapper {
  const { dataBytes, cookieOffset, ...fixed } = fixedOf(header, name);
  const data = header.subarray(libvirtFixedBytes, libvirtFixedBytes + dataBytes);
  const xml = textUpToZero(data.subarray(0, cookieOffset > 0 ? cookieOffset : data.length));
  return {
    kind: "libvirt",
    domain: /<name>([^<]*)<\/name>/.exec(xml)?.[1]?.replace(/&(amp|lt|gt|quot|apos);/g, entity),
    ...fixed,
    headerBytes: libvirtFixedBytes + dataBytes,
    xml,
    cookie: cookieOffset > 0 ? textUpToZero(data.subarray(cookieOffset)) : undefined,
  };
}

function fixedOf(header: Uint8Array, name: string) {
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  // A version is a small number in the right order, and a huge one in the other.
  const isLittle = view.getUint32(magicBytes, true) <= view.getUint32(magicBytes, false);
  const [version, dataBytes, wasRunning, format, cookieOffset] = [0, 4, 8, 12, 16].map((at) =>
    view.getUint32(magicBytes + at, isLittle),
  ) as [number, number, number, number, number];
  const wrong = (why: string): CliFault =>
    new CliFault("LIBVIRT_HEADER", `the libvirt save header of ${name} is damaged: ${why}`, {
      exit: 1,
      hint: "virsh save-image-dumpxml tells whether libvirt reads it",
    });
  if (version < 1 || version > newestVersion) throw wrong(`version ${version}, and 1 to ${newestVersion} are known`);
  if (dataBytes === 0 || dataBytes > dataBoundBytes) {
    throw wrong(`${dataBytes} bytes of XML, and there may be 1 to ${dataBoundBytes}`);
  }
  if (cookieOffset >= dataBytes) throw wrong(`its cookie is said to begin at ${cookieOffset} of ${dataBytes} bytes`);
  const unfinished = new TextDecoder("latin1").decode(header.subarray(0, magicBytes)) === magics.unfinished;
  return {
    version,
    dataBytes,
    cookieOffset,
    wasRunning: wasRunning !== 0,
    compression: (formats[format] ?? `unknown (${format})`) as LibvirtCompression,
    unfinished,
    byteOrder: isLittle ? ("little" as const) : ("big" as const),
  };
}

function textUpToZero(bytes: Uint8Array): string {
  const zero = bytes.indexOf(0);
  return new TextDecoder().decode(zero < 0 ? bytes : bytes.subarray(0, zero));
}

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
const entity = (_: string, name: string): string => entities[name] as string;
