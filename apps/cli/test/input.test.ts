// Inputs: what a file is that is no stream, libvirt's wrapper, compression that is whole, cut, joined, or a bomb.
import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { haveStreams, readStream, streamsFolder } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { decompressed } from "../src/io/decompress.ts";
import { openInput } from "../src/io/input.ts";
import { kindOf } from "../src/io/kinds.ts";
import { silent, type Terminal } from "../src/io/terminal.ts";
import { zstdFrames } from "../src/io/zstd-frames.ts";
import { changed, Folder, joined, smallStream } from "./bad-input-support.ts";
import { type Run, runCli } from "./run-cli.ts";

const { bytes: stream, at } = smallStream();

interface Told {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly offset?: number;
}
const errorOf = ({ stdout }: Run): Told => (JSON.parse(stdout) as { error: Told }).error;
const verifyFile = (path: string): Promise<Run> => runCli(["verify", path, "--json"]);

const at257 = (text: string): Uint8Array => joined(new Uint8Array(257).fill(0x41), text, new Uint8Array(200));
const elf = (type: number): Uint8Array =>
  joined("\x7fELF", [2, 1, 1, 0], new Uint8Array(8), [type, 0], new Uint8Array(100));

/** What people give by mistake, and what the sentence says. */
const mistakes: readonly (readonly [kind: string, content: Uint8Array, says: string])[] = [
  ["qcow2", joined("QFI\xfb", [0, 0, 0, 3], new Uint8Array(600)), "qcow2 disk image"],
  ["vmdk", joined("KDMV", new Uint8Array(600)), "VMDK"],
  ["vdi", joined(new Uint8Array(0x40), [0x7f, 0x10, 0xda, 0xbe]), "VDI"],
  ["vhdx", joined("vhdxfile", new Uint8Array(60)), "VHDX"],
  ["vhd", joined("conectix", new Uint8Array(60)), "VHD"],
  ["qed", joined("QED\0", new Uint8Array(60)), "QED"],
  ["luks", joined("LUKS\xba\xbe", new Uint8Array(60)), "LUKS"],
  ["elf-core", elf(4), "ELF core"],
  ["elf-core", changed(joined(elf(0).slice(0, 5), [2], elf(0).slice(6)), 17, 4), "ELF core"],
  ["elf", elf(2), "ELF program"],
  ["kdump", joined("KDUMP   ", [6, 0, 0, 0], new Uint8Array(60)), "vmcore"],
  ["xz", joined([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], new Uint8Array(60)), "xz-compressed"],
  ["bzip2", joined("BZh91AY&SY", new Uint8Array(60)), "bzip2-compressed"],
  ["lzop", joined([0x89, 0x4c, 0x5a, 0x4f, 0, 0x0d, 0x0a, 0x1a, 0x0a], new Uint8Array(60)), "lzop-compressed"],
  ["lz4", joined([0x04, 0x22, 0x4d, 0x18], new Uint8Array(60)), "lz4-compressed"],
  ["lzma", joined([0x5d, 0, 0, 0x80, 0, 0xff], new Uint8Array(60)), "lzma-compressed"],
  ["zip", joined("PK\x03\x04", new Uint8Array(60)), "zip archive"],
  ["7z", joined([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c], new Uint8Array(60)), "7z archive"],
  ["tar", at257("ustar\x0000"), "tar archive"],
  ["multifd-channel", joined([0x11, 0x22, 0x33, 0x44, 0, 0, 0, 1], new Uint8Array(60)), "channel of a multifd"],
  ["godwit-conversation", joined("GDWT", [0, 0, 0, 1]), "two Godwit peers"],
  ["xen", joined("LinuxGuestRecord", new Uint8Array(60)), "Xen"],
  ["virtualbox", joined("\x7fVirtualBox SavedState V2.0\n", new Uint8Array(60)), "VirtualBox"],
  ["vmware", joined([0xd2, 0xbe, 0xd2, 0xbe, 8, 0, 0, 0]), "VMware"],
  ["dump-vmstate", joined('{\n  "vmschkmachine": {\n    "Name": "pc-q35-7.2"\n  }}'), "-dump-vmstate"],
  ["vmdesc", joined('{"page_size": 4096, "devices": []}'), "vmdesc"],
  ["json", joined('{"hello": 1}'), "is JSON"],
  ["domain-xml", joined('<?xml version="1.0"?>\n<domain type="kvm"><name>a</name></domain>'), "domain's XML"],
  ["text", joined("#!/bin/sh\nqemu-system-x86_64\n"), "is text"],
  ["disk", joined(new Uint8Array(510).fill(0x90), [0x55, 0xaa], new Uint8Array(512)), "raw disk image"],
  ["disk", joined(new Uint8Array(512), "EFI PART", new Uint8Array(504)), "raw disk image"],
  ["zeros", new Uint8Array(4096), "zero bytes"],
];

describe("a file of another kind", () => {
  it.each(mistakes)("%s is told by name", async (kind, content, says) => {
    expect(kindOf(content.subarray(0, 1024))?.kind).toBe(kind);
    using folder = new Folder();
    const run = await verifyFile(folder.file("given", content));
    expect(run.code).toBe(1);
    const error = errorOf(run);
    expect(error.code).toBe("INPUT_KIND");
    expect(error.message).toContain(says);
    expect(error.hint.length).toBeGreaterThan(10);
  });

  it("is told of a pipe as well, a byte at a time", async () => {
    const bytes = mistakes[0]?.[1] as Uint8Array;
    const run = await runCli(["verify", "-", "--json"], { stdin: [...bytes].map((byte) => Uint8Array.of(byte)) });
    expect(run.code).toBe(1);
    expect(errorOf(run).message).toContain("standard input is a qcow2 disk image");
  });

  it("that is packed says how it is unpacked, of a file and of a pipe", async () => {
    using folder = new Folder();
    const xz = mistakes.find(([kind]) => kind === "xz")?.[1] as Uint8Array;
    const path = folder.file("vm.xz", xz);
    expect(errorOf(await verifyFile(path)).hint).toContain(`xz -dc ${path} | godwit ... -`);
    expect(errorOf(await runCli(["verify", "-", "--json"], { stdin: xz })).hint).toContain("xz -dc | godwit ... -");
  });

  it("that is not recognised is no stream for its first bytes", async () => {
    const error = errorOf(await runCli(["verify", "-", "--json"], { stdin: joined([0xf1, 0x02, 0xe3, 0x04], stream) }));
    expect(error).toMatchObject({ code: "MAGIC_WRONG", offset: 0 });
    expect(error.hint).toContain("QEVM");
  });

  it("of no byte is empty", async () => {
    using folder = new Folder();
    for (const run of [
      await verifyFile(folder.file("empty", "")),
      await runCli(["verify", "-", "--json"], { stdin: [] }),
    ]) {
      expect(run.code).toBe(1);
      expect(errorOf(run)).toMatchObject({ code: "INPUT_EMPTY", offset: 0 });
    }
    const packed = await runCli(["verify", "-", "--json"], { stdin: new Uint8Array(gzipSync(new Uint8Array(0))) });
    expect(errorOf(packed).code).toBe("INPUT_EMPTY");
  });

  it("that cannot be opened is wrong use", async () => {
    using folder = new Folder();
    const inner = `${folder.path}/folder`;
    mkdirSync(inner);
    const cases: (readonly [string, string])[] = [
      [inner, "is a folder"],
      [`${folder.path}/nothing`, "there is no such file"],
      [`${folder.file("file", "x")}/below`, "there is no such file"],
    ];
    const closed = folder.file("closed", stream);
    chmodSync(closed, 0);
    // Whoever may read everything reads this one, too.
    if (process.getuid?.() !== 0) cases.push([closed, "it may not be read"]);
    for (const [path, says] of cases) {
      const run = await verifyFile(path);
      expect(run.code, path).toBe(2);
      expect(errorOf(run)).toMatchObject({ code: "INPUT_UNREADABLE" });
      expect(errorOf(run).message).toContain(says);
      expect(run.stderr).not.toMatch(/\n\s+at .*:\d+/);
    }
  });

  it("shows a trace with --debug alone", async () => {
    expect((await runCli(["verify", "-", "--debug"], { stdin: new Uint8Array(9) })).stderr).toMatch(/\n\s+at .*:\d+/);
    expect((await runCli(["verify", "-"], { stdin: new Uint8Array(9) })).stderr).not.toMatch(/\n\s+at .*:\d+/);
  });
});

interface LibvirtInit {
  readonly magic?: string;
  readonly bigEndian?: boolean;
  readonly format?: number;
  readonly version?: number;
  readonly data?: string;
  readonly dataBytes?: number;
  readonly cookieOffset?: number;
}

const xml = "<domain type='kvm'>\n  <name>web &amp; mail</name>\n</domain>\0<cookie><x/></cookie>\0";

/** As libvirt lays it out; `content` behind it. */
function libvirt(content: Uint8Array, init: LibvirtInit = {}): Uint8Array {
  const { magic = "LibvirtQemudSave", bigEndian = false, format = 0, version = 2, data = xml } = init;
  const header = new Uint8Array(92);
  header.set(joined(magic));
  const view = new DataView(header.buffer);
  const words = [version, init.dataBytes ?? data.length, 1, format, init.cookieOffset ?? data.indexOf("<cookie")];
  for (const [i, word] of words.entries()) view.setUint32(16 + 4 * i, word, !bigEndian);
  return joined(header, data, content);
}

function terminal(stdin: Uint8Array, notes: string[] = []): Terminal {
  return {
    out() {},
    note: (line) => void notes.push(line),
    json() {},
    async write() {},
    style: (_, text) => text,
    progress: () => silent,
    stdin: (async function* () {
      yield stdin;
    })(),
    stdinIsTerminal: false,
    stdoutIsTerminal: false,
    folder: process.cwd(),
    environment: {},
  };
}

describe("a libvirt save file", () => {
  it.each([false, true])("is opened, of a big-endian host: %s", async (bigEndian) => {
    const file = libvirt(stream, { bigEndian });
    const { wrapper, ...input } = await openInput("-", terminal(file));
    expect(wrapper).toMatchObject({
      kind: "libvirt",
      domain: "web & mail",
      compression: "none",
      version: 2,
      wasRunning: true,
      unfinished: false,
      byteOrder: bigEndian ? "big" : "little",
      headerBytes: 92 + xml.length,
      cookie: "<cookie><x/></cookie>",
    });
    expect(wrapper?.xml).toContain("<domain");
    const chunks: Uint8Array[] = [];
    for await (const chunk of input.chunks()) chunks.push(chunk.slice());
    expect(Buffer.compare(joined(...chunks), stream)).toBe(0);
    expect((await runCli(["verify", "-"], { stdin: file })).code).toBe(0);
  });

  it("is sought behind its header", async () => {
    using folder = new Folder();
    const path = folder.file("save", libvirt(stream));
    const input = await openInput(path, terminal(new Uint8Array(0)));
    expect(input.sizeBytes).toBe(stream.length);
    expect(input.tail(10)).toEqual(stream.slice(-10));
    expect(input.tail(1 << 20)).toEqual(stream);
    const four = new Uint8Array(4);
    expect(input.readAt(0, four)).toBe(4);
    expect([...four]).toEqual([...stream.slice(0, 4)]);
    expect(input.readAt(stream.length - 2, four)).toBe(2);
    input.close();
    expect((await verifyFile(path)).code).toBe(0);
  });

  it("may be packed within, and packed itself", async () => {
    const packed = new Uint8Array(gzipSync(stream));
    for (const stdin of [
      libvirt(packed, { format: 1 }),
      libvirt(zstdRaw(stream), { format: 5 }),
      new Uint8Array(gzipSync(libvirt(packed, { format: 1 }))),
    ]) {
      const run = await runCli(["verify", "-", "--json"], { stdin });
      expect(run.code, run.stderr).toBe(0);
      expect(JSON.parse(run.stdout)).toMatchObject({ streamBytes: stream.length, differences: 0 });
    }
    const xz = joined([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], new Uint8Array(60));
    using folder = new Folder();
    const path = folder.file("save", libvirt(xz, { format: 3 }));
    const error = errorOf(await verifyFile(path));
    expect(error).toMatchObject({ code: "INPUT_KIND" });
    expect(error.hint).toContain(`tail -c +${92 + xml.length + 1} ${path} | xz -dc | godwit ... -`);
  });

  it("that was never finished is said to be so, and read", async () => {
    const notes: string[] = [];
    const { wrapper } = await openInput("-", terminal(libvirt(stream, { magic: "LibvirtQemudPart" }), notes));
    expect(wrapper?.unfinished).toBe(true);
    expect(notes.join()).toContain("never finished");
  });

  it("has offsets of the stream in errors, and says so", async () => {
    const cut = stream.slice(0, (at["page"] as number) + 100);
    const run = await runCli(["verify", "-", "--json"], { stdin: libvirt(cut) });
    expect(run.code).toBe(1);
    expect(errorOf(run)).toMatchObject({ code: "STREAM_TRUNCATED", offset: (at["page"] as number) + 8 });
    expect(run.stderr).toContain(`${92 + xml.length} bytes into standard input`);
  });

  it.each([
    ["a version to come", { version: 77 }],
    ["no XML", { dataBytes: 0 }],
    ["more XML than there is", { dataBytes: 100_000 }],
    ["more XML than any domain has", { dataBytes: 0x7fff_ffff }],
    ["a cookie behind its data", { cookieOffset: 5000 }],
  ] as const)("with %s is damaged", async (_, init) => {
    const run = await runCli(["verify", "-", "--json"], { stdin: libvirt(stream, init) });
    expect(run.code).toBe(1);
    expect(errorOf(run).code).toBe("LIBVIRT_HEADER");
  });

  it("may end anywhere in its header", async () => {
    const file = libvirt(stream);
    for (let length = 4; length <= 92 + xml.length; length++) {
      const run = await runCli(["verify", "-", "--json"], { stdin: file.slice(0, length) });
      expect(run.code, `${length} bytes`).toBe(1);
      expect(errorOf(run).code).toBe(length < 92 + xml.length ? "LIBVIRT_HEADER" : "INPUT_EMPTY");
    }
  });
});

/** zstd frames of raw blocks, which need no compressor: RFC 8878. */
function zstdRaw(bytes: Uint8Array, { windowLog = 17, blockBytes = 1 << 16, last = true } = {}): Uint8Array {
  const parts: (readonly number[] | Uint8Array)[] = [[0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog - 10) << 3]];
  for (let from = 0; from === 0 || from < bytes.length; from += blockBytes) {
    const block = bytes.subarray(from, from + blockBytes);
    const word = (block.length << 3) | (last && from + blockBytes >= bytes.length ? 1 : 0);
    parts.push([word & 0xff, (word >> 8) & 0xff, word >> 16], block);
  }
  return joined(...parts);
}

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

async function all(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk.slice());
  return joined(...parts);
}

describe("compressed input", () => {
  const skippable = joined([0x5a, 0x2a, 0x4d, 0x18, 5, 0, 0, 0], "hello");
  const half = stream.length >> 1;
  const frames = joined(zstdRaw(stream.slice(0, half)), skippable, zstdRaw(stream.slice(half)));
  const members = joined(gzipSync(stream.slice(0, half)), gzipSync(stream.slice(half)));

  it.each([1, 7, 4096, 1 << 20])("may be several frames or members, in pieces of %i", async (size) => {
    expect(Buffer.compare(await all(zstdFrames(pieces(frames, size))), stream)).toBe(0);
    expect(Buffer.compare(await all(decompressed("zstd", pieces(frames, size))), stream)).toBe(0);
    expect(Buffer.compare(await all(decompressed("gzip", pieces(members, size))), stream)).toBe(0);
  });

  it("may come over one buffer that is written again and again", async () => {
    async function* reused(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
      const buffer = new Uint8Array(100);
      for (let from = 0; from < bytes.length; from += buffer.length) {
        const piece = bytes.subarray(from, from + buffer.length);
        buffer.set(piece);
        yield buffer.subarray(0, piece.length);
      }
    }
    expect(Buffer.compare(await all(decompressed("gzip", reused(members))), stream)).toBe(0);
    expect(Buffer.compare(await all(decompressed("zstd", reused(frames))), stream)).toBe(0);
    expect(Buffer.compare(await all(zstdFrames(reused(frames))), stream)).toBe(0);
  });

  it.each([
    ["inspect", "-", "--vmdesc", "-"],
    ["verify", "-", "--against", "-"],
    ["diff", "-", "x", "--vmdesc", "-"],
  ])("on standard input is read once, and not asked for twice: %s %s %s %s", async (...args) => {
    const dump = new TextEncoder().encode('{"vmschkmachine": {"Name": "m"}}');
    const stdin = args[0] === "verify" ? dump : stream;
    const run = await runCli([...args, "--json"], { stdin });
    expect([run.code, errorOf(run).code]).toEqual([2, "STDIN_TWICE"]);
  });

  it("on standard input is a stream like any other", async () => {
    for (const stdin of [frames, members]) {
      const run = await runCli(["verify", "-", "--json"], { stdin: pieces(stdin, 777) });
      expect(run.code, run.stderr).toBe(0);
    }
  });

  it.each([
    ["gzip", members],
    ["zstd", frames],
  ] as const)("%s that is cut off or broken is told as the file's fault", async (name, packed) => {
    const broken = name === "gzip" ? changed(packed, 40, (packed[40] as number) ^ 0x55) : changed(packed, 6, 0x07);
    for (const stdin of [packed.slice(0, packed.length - 9), broken]) {
      const run = await runCli(["verify", "-", "--json"], { stdin });
      expect(run.code).toBe(1);
      const error = errorOf(run);
      expect(error).toMatchObject({ code: "INPUT_COMPRESSION" });
      expect(error.hint).toContain(`${name} -t`);
    }
  });

  it("by the library ends where it is cut, at every byte", async () => {
    for (let length = 1; length < frames.length; length += length < 40 || length > frames.length - 40 ? 1 : 97) {
      const boundary = [
        zstdRaw(stream.slice(0, half)).length,
        zstdRaw(stream.slice(0, half)).length + skippable.length,
      ];
      if (boundary.includes(length)) continue;
      await expect(all(zstdFrames(pieces(frames.slice(0, length), 512))), `${length}`).rejects.toThrow();
    }
  });

  it("that asks for a huge window is refused before it is given", async () => {
    const large = zstdRaw(stream, { windowLog: 31 });
    await expect(all(zstdFrames(pieces(large, 4096)))).rejects.toThrow("window of 2147483648 bytes");
    const single = joined([0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 1, 0, 0, 0], large.slice(6));
    await expect(all(zstdFrames(pieces(single, 4096)))).rejects.toThrow("window of 4294967296 bytes");
    const run = await runCli(["verify", "-", "--json"], { stdin: large });
    expect(run.code).toBe(1);
    expect(errorOf(run)).toMatchObject({ code: "INPUT_WINDOW" });
    expect(errorOf(run).hint).toContain("--long=31");
  });

  it("that is a bomb is read no further than its first bytes", async () => {
    // Blocks of one byte, 128 KiB long each: 1 GiB of zeros from 32 KiB.
    const block = (isLast: number): number[] => {
      const word = (1 << 20) | (1 << 1) | isLast;
      return [word & 0xff, (word >> 8) & 0xff, word >> 16, 0];
    };
    const blocks = Array.from({ length: 8191 }, () => block(0));
    const bomb = joined([0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3], ...blocks, block(1));
    let read = 0;
    let made = 0;
    for await (const chunk of zstdFrames(pieces(bomb, 64))) {
      made += chunk.length;
      if (++read === 3) break;
    }
    expect(made).toBeLessThanOrEqual(3 << 17);
    const run = await runCli(["verify", "-", "--json"], { stdin: pieces(bomb, 64) });
    expect(run.code).toBe(1);
    expect(errorOf(run)).toMatchObject({ code: "INPUT_KIND" });
    expect(errorOf(run).message).toContain("zero bytes");
  });
});

describe.skipIf(!haveStreams())("a real zstd file", () => {
  it("is the same by the library as by the runtime", async () => {
    const whole = readStream("q35-bare-7.2.stream");
    const input = await openInput(`${streamsFolder()}/q35-bare-7.2.stream.zst`, terminal(new Uint8Array(0)));
    expect(input.compression).toBe("zstd");
    expect(Buffer.compare(await all(input.chunks()), whole)).toBe(0);
    input.close();
    const packed = readFileSync(`${streamsFolder()}/q35-bare-7.2.stream.zst`);
    expect(Buffer.compare(await all(zstdFrames(pieces(packed, 1000))), whole)).toBe(0);
  });
});
