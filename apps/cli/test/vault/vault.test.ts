// Machines of real QEMU streams in a vault: taken in, looked at, and handed on.
import { type OutgoingAttempt, Writer } from "@godwit/core";
import { findVmdesc, StreamReader, writeFooter, writeHead } from "@godwit/core/stream";
import {
  decodeCommand,
  openReturnPath,
  ping,
  postcopyAdvise,
  postcopyListen,
  postcopyRun,
  ramDiscards,
} from "@godwit/migration/qemu";
import { type RamPhase, type RamSection, ramImage } from "@godwit/ram-dirty-tracker";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { createVault, type Vault, type VaultOptions } from "../../src/vault/index.ts";

async function filled(stream: Uint8Array, options: VaultOptions = {}, chunkBytes = 65_536): Promise<Vault> {
  const vault = createVault(options);
  const attempt = vault.incoming({ onCommand: () => {} });
  for (let at = 0; at < stream.length; at += chunkBytes) {
    expect(attempt.streamEnd, `at ${at}`).not.toBe("whole");
    attempt.push(stream.subarray(at, at + chunkBytes));
  }
  expect(attempt.streamEnd).toBe("whole");
  attempt.end();
  await attempt.prepare();
  expect(vault.isEmpty).toBe(true);
  await attempt.commit();
  return vault;
}

function emptied(attempt: OutgoingAttempt): { bytes: Uint8Array; last: Uint8Array } {
  const chunks: Uint8Array[] = [...attempt.setup()];
  while (attempt.pending(true).mustPrecopyBytes + attempt.pending(false).canPostcopyBytes > 0) {
    chunks.push(...attempt.iterate(1 << 20));
  }
  chunks.push(...attempt.complete());
  attempt.end(true);
  return { bytes: Buffer.concat(chunks), last: chunks.at(-1) as Uint8Array };
}

/** What a stream is made of: everything but its rounds of RAM. */
function partsOf(stream: Uint8Array) {
  const image = ramImage({ pageBytes: 4096 });
  const bodies: [string, string][] = [];
  let machineType = "";
  const reader = new StreamReader({
    vmdesc: findVmdesc(stream)?.vmdesc ?? "none",
    footerScan: true,
    open: ({ idstr }, phase, previous) =>
      idstr === "ram" ? image.walker.decoder(phase as RamPhase, previous as RamSection | undefined) : undefined,
  });
  for (const event of [...reader.push(stream), ...reader.end()]) {
    if (event.type === "configuration") machineType = event.configuration.machineType;
    if (event.type !== "section" || event.head.idstr === "ram") continue;
    const { sectionId, idstr, instance, version } = event.head;
    bodies.push([
      `${event.phase} ${sectionId} ${idstr}/${instance} v${version}`,
      Buffer.from(event.value as Uint8Array).toString("hex"),
    ]);
  }
  const ram = [...image.blocks].map(([idstr, { bytes }]) => [idstr, Buffer.from(bytes)] as const);
  return { machineType, bodies, ram };
}

function expectSameMachine(stream: Uint8Array, other: Uint8Array): void {
  const [a, b] = [partsOf(stream), partsOf(other)];
  expect(b.machineType).toBe(a.machineType);
  expect(b.bodies.map(([name]) => name)).toEqual(a.bodies.map(([name]) => name));
  for (const [i, [name, body]] of a.bodies.entries()) expect(b.bodies[i]?.[1] === body, name).toBe(true);
  expectSameRam(a, b);
}

type Parts = ReturnType<typeof partsOf>;

function expectSameRam(a: Pick<Parts, "ram">, b: Pick<Parts, "ram">): void {
  expect(b.ram.map(([idstr]) => idstr)).toEqual(a.ram.map(([idstr]) => idstr));
  for (const [i, [idstr, bytes]] of a.ram.entries()) expect(bytes.equals(b.ram[i]?.[1] as Buffer), idstr).toBe(true);
}

describe.skipIf(!haveStreams())("a vault", () => {
  it.each([
    ["q35-vtd-virtio-7.2", 7],
    ["s390-ccw-virtio-7.2", 4],
    ["pseries-bare-7.2", 5],
    ["q35-bare-kvm-7.2", 0],
  ])("takes %s in and hands the same machine on", async (name, leastDescribed) => {
    const stream = readStream(`${name}.stream`);
    const vault = await filled(stream);
    const described = vault.held.filter(({ how }) => how === "described");
    expect(described.length).toBeGreaterThanOrEqual(leastDescribed);
    for (const { why, how } of vault.held) expect(why === undefined).toBe(how === "described" || how === "part");
    const { bytes, last } = emptied(vault.outgoing());
    expectSameMachine(stream, bytes);
    expect(last[0]).toBe(0);
    // The description of itself, byte for byte.
    const tail = Buffer.from(stream).subarray(findVmdesc(stream)?.at);
    expect(Buffer.compare(Buffer.from(last).subarray(1), tail)).toBe(0);
    // As often as one likes.
    expect(Buffer.compare(emptied(vault.outgoing()).bytes, bytes)).toBe(0);
  });
});

/** As the engine does it: the pages that count no more, and from LISTEN on those that are missing. */
async function followed(stream: Uint8Array, options: VaultOptions, chunkBytes: number) {
  const vault = createVault(options);
  const missing: number[] = [];
  const attempt = vault.incoming({
    onCommand(command) {
      const live = decodeCommand(command, command.offset);
      const { postcopyDestination } = vault.ram;
      if (live.kind === "ram-discard") postcopyDestination.discard(live.idstr, live.ranges);
      if (live.kind === "postcopy-listen") postcopyDestination.listen(() => expect.unreachable());
    },
  });
  for (let at = 0; at < stream.length; at += chunkBytes) {
    attempt.push(stream.subarray(at, at + chunkBytes));
    if (!attempt.isPackaged || !vault.isEmpty) continue;
    await attempt.prepare();
    await attempt.commit();
    missing.push(vault.ram.postcopyDestination.missingPages);
    expect(() => vault.outgoing()).toThrow(/ATTEMPT_ACTIVE/);
  }
  expect(attempt.streamEnd).toBe("whole");
  attempt.end();
  return { vault, missing };
}

describe.skipIf(!haveStreams())("a vault with a vmdesc that is given", () => {
  it("takes a stream that has none", async () => {
    const stream = readStream("q35-bare-novmdesc-7.2.stream");
    const vmdesc = findVmdesc(readStream("q35-bare-7.2.stream"))?.vmdesc;
    const vault = createVault({ vmdesc });
    const attempt = vault.incoming();
    for (let at = 0; at < stream.length; at += 65_536) attempt.push(stream.subarray(at, at + 65_536));
    expect(attempt.streamEnd).toBe("eof");
    attempt.end();
    await attempt.prepare();
    await attempt.commit();
    const { bytes } = emptied(vault.outgoing());
    expect(findVmdesc(bytes)?.vmdesc).toEqual(vmdesc);
    expectSameMachine(Buffer.concat([stream, bytes.subarray(findVmdesc(bytes)?.at ?? 0)]), bytes);
  });

  it("and none: nothing tells where its devices end", () => {
    const stream = readStream("q35-bare-novmdesc-7.2.stream");
    const attempt = createVault().incoming();
    attempt.push(stream);
    expect(attempt.streamEnd).toBe("open");
    expect(() => attempt.end()).toThrow(/SECTION_UNDELIMITED/);
  });
});

describe.skipIf(!haveStreams())("a vault in post-copy", () => {
  const stream = haveStreams() ? readStream("tiny-postcopy-7.2.stream") : new Uint8Array(0);
  const precopy = haveStreams() ? readStream("tiny-precopy-7.2.stream") : new Uint8Array(0);
  const vmdesc = findVmdesc(precopy)?.vmdesc;

  it("carries devices that nothing delimits as one run, and has the machine before its pages", async () => {
    const { vault, missing } = await followed(stream, {}, 65_536);
    expect(missing[0]).toBeGreaterThan(100);
    const [run, ...others] = vault.held;
    expect(others).toEqual([]);
    expect(run).toMatchObject({ section: undefined, how: "undelimited" });
    const { bytes } = emptied(vault.outgoing());
    const made = partsOf(bytes);
    expectSameRam(partsOf(stream), made);
    // The sections stand in it as they came, header by header.
    const names = made.bodies.map(([name]) => name);
    expect(names.length).toBeGreaterThan(20);
    expect(names[0]).toMatch(/^full \d+ timer\/0/);
  });

  it("takes them apart by a vmdesc that is given", async () => {
    const { vault } = await followed(stream, { vmdesc }, 65_536);
    expect(vault.held.length).toBeGreaterThan(20);
    expect(vault.held.filter(({ how }) => how === "undelimited")).toEqual([]);
    const carried = emptied((await followed(stream, {}, 4096)).vault.outgoing()).bytes;
    expect(partsOf(emptied(vault.outgoing()).bytes).bodies).toEqual(partsOf(carried).bodies);
  });

  it("is the same whatever the chunks", async () => {
    const whole = emptied((await followed(stream, {}, stream.length)).vault.outgoing()).bytes;
    for (const chunkBytes of [1021, 65_521]) {
      const { vault } = await followed(stream, {}, chunkBytes);
      expect(Buffer.compare(emptied(vault.outgoing()).bytes, whole)).toBe(0);
    }
  });

  it("is empty when somebody gave up its missing pages", async () => {
    const vault = createVault();
    const attempt = vault.incoming({
      onCommand(command) {
        const live = decodeCommand(command, command.offset);
        if (live.kind === "postcopy-listen") vault.ram.postcopyDestination.listen(() => {});
      },
    });
    for (let at = 0; !attempt.isPackaged; at += 65_536) attempt.push(stream.subarray(at, at + 65_536));
    await attempt.prepare();
    await attempt.commit();
    expect(vault.isEmpty).toBe(false);
    attempt.discard();
    expect(() => vault.outgoing()).toThrow(/VAULT_EMPTY/);
  });

  it("hands on by post-copy: the devices in a package, the pages behind it", async () => {
    const vault = await filled(precopy);
    const out = vault.outgoing();
    const chunks = [...out.setup([openReturnPath, postcopyAdvise({ pageSizes: 4096, targetPageBytes: 4096 })])];
    chunks.push(...out.iterate(1 << 20), ...out.switchOver());
    for (const { idstr, ranges } of vault.ram.postcopySource.discards()) {
      for (const command of ramDiscards(idstr, ranges)) chunks.push(out.command(command));
    }
    chunks.push(out.package([postcopyListen], [ping(3), postcopyRun]));
    while (out.pending(true).canPostcopyBytes > 0) chunks.push(...out.iterate(1 << 20));
    chunks.push(...out.finish());
    out.end(true);
    const made: Uint8Array = Buffer.concat(chunks);
    expect(made.at(-1)).toBe(0);
    const { vault: other, missing } = await followed(made, { vmdesc }, 65_536);
    expect(missing[0]).toBeGreaterThan(1000);
    expectSameMachine(precopy, Buffer.concat([emptied(other.outgoing()).bytes]));
  });
});

describe.skipIf(!haveStreams())("what a vault refuses", () => {
  const stream = haveStreams() ? readStream("tiny-precopy-7.2.stream") : new Uint8Array(0);

  it("more RAM than it takes, at the list", () => {
    const attempt = createVault({ ramBytes: 24 << 20 }).incoming();
    expect(() => attempt.push(stream)).toThrow(/LENGTH_BOUND.*ram\/0.*blocks\[1\]\.used_length/);
  });

  it("a second RAM, under another instance: it would bring as much again", () => {
    const start = (sectionId: number, instance: number): Uint8Array => {
      const out = new Writer(64);
      writeHead(out, "start", { sectionId, idstr: "ram", instance, version: 4 });
      out.u64(BigInt(4096 + 4));
      out.u8(1);
      out.raw(Uint8Array.of(0x61));
      out.u64(4096n);
      out.u64(0x10n);
      writeFooter(out, sectionId);
      return out.flush();
    };
    const begin = Uint8Array.of(0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3, 7, 0, 0, 0, 1, 0x6d);
    const attempt = createVault().incoming();
    attempt.push(Buffer.concat([begin, start(2, 0)]));
    expect(() => attempt.push(start(3, 7))).toThrow(/SECTION_DUPLICATE.*ram\/7/);
  });

  it("more of everything else", async () => {
    await expect(filled(stream, { holdBytes: 10_000 })).rejects.toMatchObject({ code: "LENGTH_BOUND" });
  });

  it("a bound that is none", () => {
    expect(() => createVault({ ramBytes: 0 })).toThrow(/OPTION_INVALID/);
    expect(() => createVault({ holdBytes: 1.5 })).toThrow(/OPTION_INVALID/);
  });

  it("to give what it has not, or twice at once", async () => {
    expect(() => createVault().outgoing()).toThrow(/VAULT_EMPTY/);
    const vault = await filled(stream);
    const out = vault.outgoing();
    expect(() => vault.outgoing()).toThrow(/ATTEMPT_ACTIVE/);
    expect(() => vault.incoming()).toThrow(/ATTEMPT_ACTIVE/);
    out.end(false);
    vault.outgoing().end(false);
  });

  it("to give again what somebody has, or may have, until it is said to be here", async () => {
    const vault = await filled(stream);
    for (const completed of [false, true]) {
      const out = vault.outgoing();
      vault.pause();
      out.end(completed);
      expect(() => vault.outgoing()).toThrow(/VAULT_GIVEN/);
      vault.resume();
      vault.outgoing().end(false);
    }
  });

  it("another machine while it holds one that nobody else is known to have", async () => {
    const vault = await filled(stream);
    expect(() => vault.incoming()).toThrow(/VAULT_FULL/);
    const doubtful = vault.outgoing();
    vault.pause();
    doubtful.end(false);
    expect(() => vault.incoming()).toThrow(/VAULT_FULL/);
    vault.resume();
    const given = vault.outgoing();
    vault.pause();
    given.end(true);
    const next = vault.incoming();
    expect(() => vault.clear()).toThrow(/ATTEMPT_ACTIVE/);
    next.discard();
    vault.resume();
    expect(() => vault.incoming()).toThrow(/VAULT_FULL/);
    vault.clear();
    expect(vault.isEmpty).toBe(true);
    vault.incoming().discard();
  });

  it.each([0, 8, 100, 20_000, 500_000])(
    "a stream that is cut %i bytes before its end, and keeps what it had",
    async (missing) => {
      const vault = await filled(stream);
      const before = emptied(vault.outgoing()).bytes;
      const attempt = vault.incoming();
      attempt.push(stream.subarray(0, stream.length - 1 - missing));
      expect(attempt.streamEnd).not.toBe("whole");
      expect(() => attempt.end()).toThrow(/STREAM_TRUNCATED|SECTION_UNDELIMITED/);
      expect(Buffer.compare(emptied(vault.outgoing()).bytes, before)).toBe(0);
    },
  );

  it("a stream that goes wrong within", async () => {
    const bad = stream.slice();
    // The id in the last section's footer.
    const at = (findVmdesc(stream)?.at ?? 0) - 2;
    bad[at] = (bad[at] as number) ^ 0xff;
    const attempt = createVault().incoming();
    attempt.push(bad);
    expect(attempt.streamEnd).toBe("open");
    expect(() => attempt.end()).toThrow(/FOOTER_MISMATCH/);
    expect(() => attempt.push(stream)).toThrow(/ATTEMPT_ENDED/);
  });
});
