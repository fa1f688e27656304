// Post-copy of a real QEMU, from its own stream: discards, the package, and pages that come when the machine has begun.
import { isMigrationError } from "@godwit/core";
import { StreamReader } from "@godwit/core/stream";
import { haveStreams, type ManifestStream, manifest, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { absentPage, ramImage } from "../src/index.ts";
import {
  command,
  discardOf,
  discardPayload,
  type MachineShape,
  type PostcopyMachine,
  postcopyMachine,
  u32Payload,
} from "./support/postcopy.ts";
import { page } from "./support/rig.ts";

const raw = "tiny-postcopy-7.2.stream";
const none = new Uint8Array(0);

function shapeOf(): MachineShape {
  const stream = manifest()
    .flatMap(({ files }) => files)
    .find((file) => file.raw === raw)?.stream as ManifestStream;
  const devices = stream.sections
    .filter(({ kind, idstr }) => kind === "full" && idstr !== "timer")
    .map(({ idstr, instance, version, bytes }) => ({ idstr, instance, version, bytes }));
  return { machineType: "pc-q35-7.2", blocks: stream.ram_blocks, devices };
}

/** The pieces in which the stream went over the wire. */
function pieces(stream: Uint8Array): Uint8Array[] {
  const text = readStream("tiny-postcopy-7.2.timeline.json");
  const timeline = JSON.parse(new TextDecoder().decode(text)) as [number, string, number, number][];
  return timeline.filter(([, way]) => way === "c0>").map(([, , at, length]) => stream.subarray(at, at + length));
}

/** The pages that QEMU's own destination asked for, in its order. */
function qemusRequests(): number[] {
  const rp = readStream("tiny-postcopy-7.2.rp");
  const view = new DataView(rp.buffer, rp.byteOffset, rp.byteLength);
  const starts: number[] = [];
  for (let at = 0; at < rp.length; at += 4 + view.getUint16(at + 2)) {
    const type = view.getUint16(at);
    if (type === 3 || type === 4) starts.push(Number(view.getBigUint64(at + 4)));
  }
  return starts;
}

interface Outline {
  readonly elements: string[];
  readonly packaged: number;
}

/** Sections and commands in their order; runs of PARTs once. */
function outline(stream: Uint8Array): Outline {
  const image = ramImage();
  const reader = new StreamReader({
    open: (head, phase, previous) =>
      head.idstr === "ram" && phase !== "full" ? image.walker.decoder(phase, previous as never) : undefined,
    footerScan: true,
  });
  const events = [...reader.push(stream), ...reader.end()];
  const elements: string[] = [];
  let packaged = 0;
  for (const event of events) {
    if (event.type === "note") continue;
    if (event.type === "command" && event.command === command.packaged) {
      packaged = new DataView(event.payload.buffer, event.payload.byteOffset).getUint32(0);
    }
    const name =
      event.type === "section"
        ? `${event.phase} ${event.phase === "full" ? "device" : event.head.idstr}`
        : event.type === "command"
          ? event.name
          : event.type;
    if (elements.at(-1) !== name || event.type === "command") elements.push(name);
  }
  return { elements, packaged };
}

function missing({ offer }: PostcopyMachine): number {
  return offer.postcopyDestination.missingPages;
}

describe.skipIf(!haveStreams())("post-copy of a real QEMU", () => {
  it("is decoded as it came: LISTEN and RUN at their places, and the rest while the machine runs", async () => {
    const target = postcopyMachine(shapeOf());
    const { postcopyDestination: incoming, memory } = target.offer;
    const log: string[] = [];
    const told: string[] = [];
    let absentAtRun: number | undefined;
    let committed = false;
    const attempt = target.kernel.incoming({
      onCommand({ command: number, name, payload }) {
        log.push(name);
        if (number === command.discard) {
          const { idstr, ranges } = discardOf(payload);
          incoming.discard(idstr, ranges);
        } else if (number === command.listen) incoming.listen((...page) => told.push(page.join()));
        else if (number === command.run) absentAtRun = missing(target);
      },
    });
    const stream = readStream(raw);
    let first: unknown;
    let came: Promise<void> | undefined;
    for (const piece of pieces(stream)) {
      attempt.push(piece);
      if (absentAtRun !== undefined && !committed) {
        await attempt.prepare();
        await attempt.commit();
        committed = true;
        // What QEMU's guest touched first was absent, and is here.
        try {
          memory.read(qemusRequests()[0] as number, 4);
        } catch (error) {
          first = error;
        }
        came = target.offer.whenPresent(first);
        expect(target.offer.absent()?.pages).toBeGreaterThan(1800);
      }
    }
    attempt.end();
    expect(log).toEqual([
      "OPEN_RETURN_PATH",
      "PING",
      "POSTCOPY_ADVISE",
      "POSTCOPY_RAM_DISCARD",
      "PING",
      "PACKAGED",
      "POSTCOPY_LISTEN",
      "PING",
      "POSTCOPY_RUN",
      "PING",
    ]);
    expect(absentAtRun).toBe(1844);
    expect(isMigrationError(first) && first.code).toBe("PAGE_ABSENT");
    expect(absentPage(first)).toEqual({ block: "pc.ram", offset: qemusRequests()[0] });
    expect(told).toEqual([`pc.ram,${qemusRequests()[0]},${page}`]);
    await came;
    expect(target.offer.absent()).toBeUndefined();
    const { unaskedPages, requestedPages, ignoredPages, faults } = incoming.statistics();
    expect({ all: unaskedPages + requestedPages, requestedPages, ignoredPages, faults }).toEqual({
      all: absentAtRun,
      requestedPages: 1,
      ignoredPages: 0,
      faults: 1,
    });
    expect(target.offer.statistics().received?.missingPages).toBe(0);

    // An independent reader, for which the last of a page wins.
    const image = ramImage();
    const reader = new StreamReader({
      open: (head, phase, previous) =>
        head.idstr === "ram" && phase !== "full" ? image.walker.decoder(phase, previous as never) : undefined,
      footerScan: true,
    });
    reader.push(stream);
    reader.end();
    for (const { block, memory: bytes } of target.blocks) {
      const theirs = image.blocks.get(block.idstr)?.bytes as Uint8Array;
      expect(Buffer.compare(bytes(), theirs)).toBe(0);
    }
    const guest = target.blocks[0]?.memory() as Uint8Array;
    const view = new DataView(guest.buffer, guest.byteOffset, guest.byteLength);
    const passes = new Set<number>();
    for (let at = 0x20_0000; at < 0x20_0000 + 8 * 2 ** 20; at += page) {
      expect(view.getUint32(at, true)).toBe(at);
      passes.add(view.getUint32(at + 4, true));
    }
    // The guest stood in the middle of one pass over its pages.
    expect(passes.size).toBeLessThanOrEqual(2);
  });

  it("has the order of what is written here", async () => {
    const source = postcopyMachine(shapeOf());
    const { postcopySource } = source.offer;
    const pc = source.blocks[0];
    for (let at = 0; at < 512; at++) pc?.write(at * page, [at & 0xff, 1]);
    const attempt = source.kernel.outgoing();
    const chunks: Uint8Array[] = [];
    const ping = (value: number) => ({ command: command.ping, payload: u32Payload(value) });
    const advise = new Uint8Array(16);
    new DataView(advise.buffer).setUint32(4, page);
    new DataView(advise.buffer).setUint32(12, page);
    chunks.push(
      ...attempt.setup([
        { command: command.openReturnPath, payload: none },
        ping(1),
        { command: command.advise, payload: advise },
      ]),
    );
    chunks.push(...attempt.iterate(4 * 2 ** 20));
    for (let at = 10; at < 30; at++) pc?.write(at * page, [7]);
    chunks.push(...attempt.switchOver());
    for (const { idstr, ranges } of postcopySource.discards()) {
      chunks.push(attempt.command({ command: command.discard, payload: discardPayload(idstr, ranges) }));
    }
    chunks.push(attempt.command(ping(2)));
    chunks.push(
      attempt.package([{ command: command.listen, payload: none }], [ping(3), { command: command.run, payload: none }]),
    );
    chunks.push(attempt.command(ping(4)));
    chunks.push(...attempt.iterate(64 * 1024));
    const last = [...attempt.finish()];
    chunks.push(...last);
    attempt.end(true);
    const [own, theirs] = [outline(new Uint8Array(Buffer.concat(chunks))), outline(readStream(raw))];
    expect(own.elements).toEqual(theirs.elements);
    expect(theirs.packaged).toBe(32566);
    expect(last.at(-1)).toEqual(new Uint8Array([0]));
  });
});
