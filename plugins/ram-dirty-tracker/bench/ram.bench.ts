// RAM in GB/s: a ram section written and read, and dirty pages found, beside plain memory copy in the same run.
import { Cursor, type IterableInit, type KernelForPlugins, Writer } from "@godwit/core";
import {
  barrierTracker,
  compareTracker,
  type DirtyTracker,
  dirtyBitmap,
  ram,
  ramBlock,
  ramWalker,
} from "@godwit/ram-dirty-tracker";
import { measure } from "mitata";

const ramBytes = 64 * 1024 * 1024;
const page = 4096;

interface Row {
  readonly what: string;
  /** Bytes of RAM a second, of the median run. */
  readonly gigabytes: number;
}

function handlerOf(memory: Uint8Array, tracker: DirtyTracker): IterableInit {
  let handler: IterableInit | undefined;
  const kernel = {
    iterable(init: IterableInit) {
      handler = init;
      return { idstr: init.idstr, instance: 0, sectionId: 0, remove() {} };
    },
  } as unknown as KernelForPlugins;
  ram({ blocks: [ramBlock({ idstr: "ram", bytes: () => memory, adopt() {}, tracker })] }).setup(kernel);
  return handler as IterableInit;
}

/** Writes the whole RAM as START and END into `out`; gives where END begins. */
function write(handler: IterableInit, out: Writer): number {
  out.pos = 0;
  handler.setup(out, 0);
  const end = out.pos;
  while (!handler.complete(out, ramBytes));
  handler.cleanup(true);
  return end;
}

function read(handler: IterableInit, stream: Uint8Array, chunkBytes: number): void {
  const staged = handler.stage();
  const cursor = new Cursor();
  let previous: unknown;
  let at = 0;
  for (const phase of ["start", "end"] as const) {
    const decoder = staged.decoder(phase, 4, previous);
    while (!decoder.resume(cursor)) {
      cursor.release();
      cursor.append(stream.subarray(at, at + chunkBytes));
      at += chunkBytes;
    }
    previous = decoder.value();
  }
  staged.discard();
}

/** The framing alone: content is looked at where it arrived. */
function walk(stream: Uint8Array): void {
  let last = 0;
  const walker = ramWalker({
    page(_block, _offset, bytes) {
      last = bytes[0] as number;
    },
  });
  const cursor = new Cursor(stream);
  const start = walker.decoder("start");
  start.resume(cursor);
  if (!walker.decoder("end", start.value()).resume(cursor) || last === -1) throw new Error("the section is cut");
}

/** A sync that compares every page and finds each as it was sent. */
function cleanSync(memory: Uint8Array): () => void {
  const tracker = compareTracker(ramBytes);
  const bitmap = dirtyBitmap(tracker.pages);
  tracker.begin();
  tracker.sync(memory, bitmap);
  for (let each = 0; each < tracker.pages; each++) tracker.sent(each, memory, each * page);
  bitmap.clearAll();
  return () => tracker.sync(memory, bitmap);
}

async function rate(what: string, run: () => void): Promise<Row> {
  const { p50 } = await measure(run, { min_cpu_time: 400e6, inner_gc: true });
  return { what, gigabytes: ramBytes / p50 };
}

export default async function benchmark(): Promise<void> {
  const normal = Uint8Array.from({ length: ramBytes }, (_, i) => (i % 251) + 1);
  const zero = new Uint8Array(ramBytes).fill(1).fill(0);
  const copy = new Uint8Array(ramBytes).fill(1);
  const out = new Writer(ramBytes + ramBytes / 64);
  out.bytes.fill(1);

  // Staged memory is fresh, and touching fresh memory first costs more than copying: a read is beside a copy into such.
  const warm = await rate("memory copy", () => copy.set(normal));
  const fresh = await rate("memory copy into fresh memory", () => new Uint8Array(ramBytes).set(normal));
  const rows: (readonly [row: Row, beside: Row])[] = [
    [warm, warm],
    [fresh, fresh],
  ];
  for (const [content, memory] of [
    ["normal", normal],
    ["zero", zero],
  ] as const) {
    const handler = handlerOf(memory, barrierTracker(ramBytes));
    rows.push([await rate(`section write, ${content} pages`, () => void write(handler, out)), warm]);
    write(handler, out);
    const stream = out.written().slice();
    for (const [chunks, chunkBytes] of [
      ["whole", stream.length],
      ["in 64 KiB", 64 * 1024],
    ] as const) {
      const what = `section read, ${content} pages, ${chunks}`;
      rows.push([await rate(what, () => read(handler, stream, chunkBytes)), fresh]);
    }
    rows.push([await rate(`section walk, ${content} pages`, () => walk(stream)), warm]);
  }
  rows.push([await rate("dirty sync, compare tracker, no page dirty", cleanSync(normal)), warm]);

  console.log(`${"64 MiB of RAM".padEnd(46)}${"GB/s".padStart(10)}${"of its copy".padStart(14)}`);
  for (const [{ what, gigabytes }, beside] of rows) {
    const share = (gigabytes / beside.gigabytes).toFixed(2);
    console.log(`${what.padEnd(46)}${gigabytes.toFixed(2).padStart(10)}${share.padStart(14)}`);
  }
}
