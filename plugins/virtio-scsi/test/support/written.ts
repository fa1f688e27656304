// Sections "scsi-disk" with a request in flight, as QEMU 7.2 wrote them: a disk over a back end whose every access fails,
// `rerror=stop,werror=stop`, and a driver that asks. Zeros are left out: all but some tens of bytes of an element's 49,168.

interface Written {
  readonly about: string;
  /** Length of the section. */
  readonly bytes: number;
  /** What is not zero: offset, and bytes in hexadecimal. */
  readonly runs: readonly (readonly [at: number, hex: string])[];
}

/** The section's bytes. */
export function sectionBytes({ bytes, runs }: Written): Uint8Array {
  const section = new Uint8Array(bytes);
  for (const [at, hex] of runs) section.set(Buffer.from(hex, "hex"), at);
  return section;
}

/** Every value of a byte. */
const counted = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0")).join("");

export const written = {
  read10: {
    about: "READ(10) of 2 blocks from 5, stopped by rerror=stop",
    bytes: 49323,
    runs: [
      [4, "700006"],
      [11, "0a"],
      [16, "29"],
      [104, "0128"],
      [110, "05000002"],
      [121, "5566778800000002"],
      [133, "020000000100000002"],
      [149, "f00020"],
      [157, "600120"],
      [8341, "b00020"],
      [16541, "6c"],
      [16558, "04"],
      [32925, "33"],
      [49308, "0500000002"],
    ],
  },
  write10: {
    about: "WRITE(10) of 2 blocks from 5 in request queue 2 of 3, stopped by werror=stop",
    bytes: 49323,
    runs: [
      [4, "700006"],
      [11, "0a"],
      [16, "29"],
      [104, "012a"],
      [110, "05000002"],
      [121, "556677880000000200000002"],
      [137, "0200000001"],
      [149, "f00420"],
      [8341, "b00020"],
      [8349, "f00020"],
      [16541, "6c"],
      [32925, "33"],
      [32942, "04"],
      [49308, "0500000002"],
    ],
  },
  writeAndVerify16: {
    about: "WRITE AND VERIFY(16)",
    bytes: 49323,
    runs: [
      [4, "700006"],
      [11, "0a"],
      [16, "29"],
      [104, "018e"],
      [114, "050000000200005566778800000002"],
      [133, "020000000200000001"],
      [149, "f00420"],
      [8341, "b00020"],
      [8349, "f00020"],
      [16541, "6c"],
      [32925, "33"],
      [32942, "04"],
      [49308, "0500000002"],
    ],
  },
  writeSame10: {
    about: "WRITE SAME(10): moves no blocks by itself",
    bytes: 49307,
    runs: [
      [4, "700006"],
      [11, "0a"],
      [16, "29"],
      [104, "0141"],
      [110, "07000002"],
      [121, "5566778800000002"],
      [133, "020000000200000001"],
      [149, "f00220"],
      [8341, "b00020"],
      [8349, "f00020"],
      [16541, "6c"],
      [32925, "33"],
      [32942, "02"],
    ],
  },
  synchronize: {
    about: "SYNCHRONIZE CACHE(10)",
    bytes: 49307,
    runs: [
      [4, "700006"],
      [11, "0a"],
      [16, "29"],
      [104, "0135"],
      [124, "1100000002"],
      [133, "050000000100000001"],
      [149, "a00520"],
      [8341, "600520"],
      [16541, "6c"],
      [32925, "33"],
    ],
  },
  writeWithBuffer: {
    about:
      "a WRITE(10) whose buffer of 2048 bytes has the 1024 of its two sectors; loaded into QEMU and saved again by it",
    bytes: 50347,
    runs: [
      [4, "700006"],
      [11, "0a"],
      [16, "29"],
      [104, "012a"],
      [110, "05000002"],
      [121, "5566778800000002"],
      [133, "020000000200000001"],
      [149, "f00420"],
      [8341, "b00020"],
      [8349, "f00020"],
      [16541, "6c"],
      [32925, "33"],
      [32942, "04"],
      [49308, `05000000020000080000${counted.repeat(8).slice(2, 2048)}`],
    ],
  },
  readWithData: {
    about: "a READ(10) that goes on with 512 bytes of a buffer of 1024; loaded into QEMU and saved again by it",
    bytes: 49839,
    runs: [
      [4, "700006"],
      [11, "0a"],
      [16, "29"],
      [104, "0228"],
      [110, "05000002"],
      [121, "5566778800000002"],
      [133, "020000000100000002"],
      [149, "f00020"],
      [157, "600120"],
      [8341, "b00020"],
      [16541, "6c"],
      [16558, "04"],
      [32925, "33"],
      [49308, "050000000200000400000002"],
    ],
  },
  longSense: {
    about: "252 bytes of sense data; loaded into QEMU and saved again by it",
    bytes: 49501,
    runs: [
      [4, "700006"],
      [11, "0a"],
      [16, "29"],
      [103, "fc0128"],
      [110, "05000002"],
      [121, "5566778800000002"],
      [133, "020000000100000002"],
      [149, "f00020"],
      [157, "600120"],
      [8341, "b00020"],
      [16541, "6c"],
      [16558, "04"],
      [32925, "33"],
      [49308, "0500000002"],
      [
        49318,
        "0510534353494465766963652f73656e7365000000010102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c",
      ],
    ],
  },
  packed: {
    about: "an adapter that offers packed rings",
    bytes: 49327,
    runs: [
      [4, "700006"],
      [11, "0a"],
      [16, "29"],
      [104, "0128"],
      [110, "05000002"],
      [121, "5566778800000002"],
      [136, "01020000000100000002"],
      [153, "f00020"],
      [161, "600120"],
      [8345, "b00020"],
      [16545, "6c"],
      [16562, "04"],
      [32929, "33"],
      [49312, "0500000002"],
    ],
  },
} as const satisfies Readonly<Record<string, Written>>;
