// Post-copy in the kernel: commands at their places, the package, a machine that is taken over while its memory comes.
import {
  type BodyDecoder,
  type Cursor,
  createKernel,
  type IncomingAttempt,
  type IterableInit,
  type Kernel,
  MigrationError,
  type StagedIterable,
  type StreamCommand,
  u32,
  virtualClock,
  vmstate,
} from "@godwit/core";
import { describe, expect, it } from "vitest";

const word = vmstate({ name: "word", version: 1, fields: { x: u32 } });
const none = new Uint8Array(0);
const ping = (value: number): StreamCommand => ({ command: 2, payload: Uint8Array.of(0, 0, 0, value) });
const listen: StreamCommand = { command: 4, payload: none };
const run: StreamCommand = { command: 5, payload: none };

/** A handler whose state is a count of bytes; each section holds a be32 length and so many bytes of 7. */
class Bytes implements StagedIterable {
  came = 0;
  readonly #all: number;
  readonly #log: string[];
  readonly #waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  constructor(all: number, log: string[]) {
    this.#all = all;
    this.#log = log;
  }
  decoder(): BodyDecoder {
    const staged = this;
    let left: number | undefined;
    return {
      resume(cursor: Cursor): boolean {
        if (left === undefined) {
          if (cursor.available < 4) return false;
          left = cursor.u32();
        }
        const taken = Math.min(left, cursor.available);
        cursor.pos += taken;
        left -= taken;
        staged.came += taken;
        if (staged.came >= staged.#all) for (const { resolve } of staged.#waiting) resolve();
        return left === 0;
      },
      value: () => undefined,
      path: () => "bytes",
      fork: () => this.decoder(),
    };
  }
  commit(): void {
    this.#log.push("commit");
  }
  settled(): void {
    this.#log.push("settled");
  }
  revert(): void {
    this.#log.push("revert");
  }
  discard(): void {
    this.#log.push("discard");
    for (const { reject } of this.#waiting) reject(new MigrationError("ATTEMPT_ENDED", "over"));
  }
  present(): Promise<void> {
    if (this.came >= this.#all) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }
  finish(): void {
    if (this.came < this.#all) throw new MigrationError("STREAM_TRUNCATED", "some bytes have not come");
  }
  offer(): Bytes {
    return this;
  }
}

const total = 1000;

function iterable(idstr: string, log: string[], postcopy: boolean): IterableInit {
  let left = 0;
  const send = (out: Parameters<IterableInit["setup"]>[0], budget: number): boolean => {
    const bytes = Math.min(left, budget);
    out.u32(bytes);
    out.raw(new Uint8Array(bytes).fill(7));
    left -= bytes;
    return left === 0;
  };
  return {
    idstr,
    version: 1,
    ...(postcopy && { postcopy: true as const }),
    setup(out) {
      left = total;
      out.u32(0);
    },
    pending: () => ({ mustPrecopyBytes: postcopy ? 0 : left, canPostcopyBytes: postcopy ? left : 0 }),
    iterate: (out, budget) => send(out, budget),
    complete: (out) => send(out, left),
    cleanup: (completed) => log.push(`${idstr} ${completed}`),
    stage: () => new Bytes(total, log),
  };
}

interface Side {
  readonly kernel: Kernel;
  readonly log: string[];
  x: number;
}

function side(check?: (view: { offer<T>(of: string): T }, x: number) => unknown): Side {
  const log: string[] = [];
  const kernel = createKernel({
    machineType: "m",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  kernel.iterable(iterable("ram", log, true));
  kernel.iterable(iterable("vfio", log, false));
  const own: Side = { kernel, log, x: 5 };
  kernel.device(word, {
    after: ["ram"],
    save: () => ({ x: own.x }),
    ...(check && { check: ({ x }, view) => check(view as never, x) as undefined }),
    load: ({ x }) => {
      log.push("load");
      own.x = x;
    },
  });
  return own;
}

/** The pieces of a stream up to the package, and what follows it. */
function streamOf(source: Side) {
  const attempt = source.kernel.outgoing();
  const before = [...attempt.setup([ping(1)]), ...attempt.iterate(100), ...attempt.switchOver()];
  before.push(attempt.command(ping(2)));
  const packaged = attempt.package([listen], [ping(3), run]);
  return { attempt, before, packaged };
}

function errorOf(work: () => unknown): MigrationError {
  try {
    work();
  } catch (error) {
    return error as MigrationError;
  }
  throw new Error("nothing was thrown");
}

const push = (attempt: IncomingAttempt, chunks: Iterable<Uint8Array>): void => {
  for (const chunk of chunks) attempt.push(chunk);
};

describe("an outgoing attempt in post-copy", () => {
  it("writes commands, the package with its length, the rest, and EOF as the last chunk without a vmdesc", () => {
    const source = side();
    const { attempt, before, packaged } = streamOf(source);
    expect([...packaged.subarray(0, 5)]).toEqual([8, 0, 7, 0, 4]);
    const view = new DataView(packaged.buffer, packaged.byteOffset, packaged.length);
    expect(view.getUint32(5)).toBe(packaged.length - 9);
    expect([...packaged.subarray(9, 14)]).toEqual([8, 0, 4, 0, 0]);
    expect([...packaged.subarray(-14)]).toEqual([8, 0, 2, 0, 4, 0, 0, 0, 3, 8, 0, 5, 0, 0]);
    expect(attempt.pending(false)).toEqual({ mustPrecopyBytes: 0, canPostcopyBytes: 900 });
    const after = [...attempt.iterate(500), ...attempt.finish()];
    expect(after.at(-1)).toEqual(Uint8Array.of(0));
    attempt.end(true);
    expect(attempt.sections.map(({ idstr, phase }) => `${idstr} ${phase}`)).toEqual([
      "ram start",
      "vfio start",
      "ram part",
      "vfio end",
      "timer full",
      "word full",
      "ram part",
      "ram end",
    ]);
    const whole = Buffer.concat([...before, packaged, ...after]);
    for (const { offset, phase } of attempt.sections) {
      expect(whole[offset]).toBe(["start", "part", "end", "full"].indexOf(phase) + 1);
    }
  });

  it("keeps its phases in order, and a command out of a section", () => {
    const source = side();
    const attempt = source.kernel.outgoing();
    const early = [
      () => attempt.command(ping(1)),
      () => [...attempt.switchOver()],
      () => attempt.package([], []),
      () => [...attempt.finish()],
    ];
    for (const call of early) expect(errorOf(call).code).toBe("ATTEMPT_ENDED");
    push({ push() {} } as unknown as IncomingAttempt, attempt.setup());
    for (const call of early.slice(2)) expect(errorOf(call).code).toBe("ATTEMPT_ENDED");
    expect([...attempt.switchOver()].length).toBe(1);
    expect(errorOf(() => [...attempt.complete()]).code).toBe("ATTEMPT_ENDED");
    expect(errorOf(() => [...attempt.iterate(1)]).code).toBe("ATTEMPT_ENDED");
    source.kernel.resume();
    expect(errorOf(() => attempt.package([], [])).code).toBe("CLOCK_RUNNING");
    attempt.end(false);
    expect(source.log).toEqual(["ram false", "vfio false"]);
  });

  it("without post-copy, too, gives EOF and what follows it apart from all before", () => {
    const attempt = side().kernel.outgoing();
    push({ push() {} } as unknown as IncomingAttempt, attempt.setup());
    const chunks = [...attempt.complete()];
    expect(chunks.at(-1)?.[0]).toBe(0);
    expect(chunks.at(-1)?.[1]).toBe(6);
    expect(chunks.at(-2)?.at(-5)).toBe(0x7e);
    attempt.end(true);
  });
});

describe("commands at the destination", () => {
  it.each([1, 5, 1 << 20])("are told at their places, in chunks of %i", (chunkBytes) => {
    const source = side();
    const { attempt, before, packaged } = streamOf(source);
    const stream = Buffer.concat([...before, packaged, ...attempt.finish()]);
    const target = side();
    const seen: unknown[] = [];
    let pushed = 0;
    const incoming = target.kernel.incoming({
      onCommand: ({ command, name, payload, offset }) => {
        seen.push([command, name, payload.at(-1), stream.subarray(offset, offset + 3).toString("hex")]);
        expect(offset).toBeLessThan(pushed);
      },
    });
    for (let at = 0; at < stream.length; at += chunkBytes) {
      const chunk = stream.subarray(at, at + chunkBytes);
      pushed += chunk.length;
      incoming.push(chunk);
    }
    incoming.end();
    expect(seen).toEqual([
      [2, "PING", 1, "080002"],
      [2, "PING", 2, "080002"],
      [7, "PACKAGED", packaged[8], "080007"],
      [4, "POSTCOPY_LISTEN", undefined, "080004"],
      [2, "PING", 3, "080002"],
      [5, "POSTCOPY_RUN", undefined, "080005"],
    ]);
    incoming.discard();
  });

  it("find all before them taken in, and nothing behind", async () => {
    const source = side();
    source.x = 77;
    const { attempt, before, packaged } = streamOf(source);
    const target = side();
    let prepared: Promise<void> | undefined;
    const incoming = target.kernel.incoming({
      onCommand({ command }) {
        // Devices stand before RUN in the package, PARTs of RAM behind it: all in one push.
        if (command === 5) prepared = incoming.prepare();
      },
    });
    incoming.push(Buffer.concat([...before, packaged, ...attempt.iterate(300)]));
    await prepared;
    await incoming.commit();
    expect(target.x).toBe(77);
    push(incoming, attempt.finish());
    incoming.end();
    expect(target.log).toEqual(["commit", "commit", "load", "settled", "settled"]);
  });

  it("are refused by who does not ask for them, and what the hook throws ends the attempt", () => {
    const { before } = streamOf(side());
    const plain = side().kernel.incoming();
    expect(errorOf(() => push(plain, before)).code).toBe("COMMAND_UNEXPECTED");
    const target = side();
    const incoming = target.kernel.incoming({
      onCommand() {
        throw new MigrationError("COMMAND_UNEXPECTED", "not this one");
      },
    });
    const error = errorOf(() => push(incoming, before));
    expect([error.code, error.location.side, error.location.section]).toEqual([
      "COMMAND_UNEXPECTED",
      "destination",
      "command",
    ]);
    expect(errorOf(() => incoming.push(none)).code).toBe("ATTEMPT_ENDED");
  });
});

describe("the package", () => {
  const changed = (by: number) => {
    const { attempt, before, packaged } = streamOf(side());
    const view = new DataView(packaged.buffer, packaged.byteOffset, packaged.length);
    view.setUint32(5, view.getUint32(5) + by);
    return [...before, packaged, ...attempt.iterate(10), ...attempt.finish()];
  };

  it.each([-1, 1, 3, -4, 2 ** 30])("ends where its content does: %i bytes off is refused", (by) => {
    const incoming = side().kernel.incoming({ onCommand() {} });
    const error = errorOf(() => push(incoming, changed(by)));
    expect([error.code, error.location.side]).toEqual(["LENGTH_BOUND", "destination"]);
  });

  it("holds no other", () => {
    const { before, packaged } = streamOf(side());
    const twice = Uint8Array.of(8, 0, 7, 0, 4, 0, 0, 0, packaged.length, ...packaged);
    const incoming = side().kernel.incoming({ onCommand() {} });
    expect(errorOf(() => push(incoming, [...before, twice])).code).toBe("SECTION_ORDER");
  });

  it("is the last place for devices, and START, and handlers that cannot follow", () => {
    const word1 = Uint8Array.of(
      4,
      0,
      0,
      0,
      9,
      4,
      0x77,
      0x6f,
      0x72,
      0x65,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      1,
      0,
      0,
      0,
      1,
      0x7e,
      0,
      0,
      0,
      9,
    );
    for (const late of [word1, Uint8Array.of(3, 0, 0, 0, 2, 0, 0, 0, 0)]) {
      const { before, packaged } = streamOf(side());
      const incoming = side().kernel.incoming({ onCommand() {} });
      push(incoming, [...before, packaged]);
      expect(["SECTION_ORDER", "SECTION_UNKNOWN"]).toContain(errorOf(() => incoming.push(late)).code);
    }
  });
});

describe("an incoming attempt in post-copy", () => {
  it("waits in prepare for what a check misses, and asks again", async () => {
    const { attempt, before, packaged } = streamOf(side());
    const asked: number[] = [];
    const target = side((view) => {
      const { came } = view.offer<Bytes>("ram");
      asked.push(came);
      return came < total ? { missing: { block: "ram", offset: 0 } } : undefined;
    });
    const incoming = target.kernel.incoming({ onCommand() {} });
    push(incoming, [...before, packaged]);
    let done = false;
    const preparing = incoming.prepare().then(() => {
      done = true;
    });
    await Promise.resolve();
    expect(errorOf(() => incoming.fork()).code).toBe("ATTEMPT_ENDED");
    await expect(incoming.commit()).rejects.toMatchObject({ code: "ATTEMPT_ENDED" });
    push(incoming, attempt.iterate(500));
    expect(done).toBe(false);
    push(incoming, attempt.iterate(500));
    await preparing;
    expect(asked).toEqual([100, total]);
    await incoming.commit();
    push(incoming, attempt.finish());
    incoming.end();
  });

  it("takes a PAGE_ABSENT of staged memory for such a miss, whatever the device adds to it", async () => {
    const { attempt, before, packaged } = streamOf(side());
    const target = side((view) => {
      if (view.offer<Bytes>("ram").came >= total) return;
      const error = new MigrationError("PAGE_ABSENT", "not here", { cause: { block: "ram", offset: 0 } });
      throw error.at({ path: "vqs[0]" });
    });
    const incoming = target.kernel.incoming({ onCommand() {} });
    push(incoming, [...before, packaged]);
    const preparing = incoming.prepare();
    push(incoming, attempt.finish());
    incoming.end();
    await preparing;
    await incoming.commit();
    expect(target.log.at(-1)).toBe("settled");
    expect(errorOf(() => incoming.push(none)).code).toBe("ATTEMPT_ENDED");
  });

  it("rejects prepare when it is discarded meanwhile, and the machine is as before", async () => {
    const { before, packaged } = streamOf(side());
    const target = side(() => ({ missing: { block: "ram", offset: 0 } }));
    const incoming = target.kernel.incoming({ onCommand() {} });
    push(incoming, [...before, packaged]);
    const preparing = incoming.prepare();
    incoming.discard();
    await expect(preparing).rejects.toMatchObject({ code: "ATTEMPT_ENDED" });
    expect(target.log).toEqual(["discard", "discard"]);
    target.kernel.device({ ...word, name: "thawed" }, { save: () => ({ x: 0 }), load: () => {} });
  });

  it("needs the package before it is prepared", async () => {
    const { before } = streamOf(side());
    const target = side();
    const incoming = target.kernel.incoming({ onCommand() {} });
    push(incoming, before);
    await expect(incoming.prepare()).rejects.toMatchObject({ code: "ATTEMPT_ENDED" });
    incoming.push(Uint8Array.of(8, 0, 4, 0, 0));
    await expect(incoming.prepare()).rejects.toMatchObject({
      code: "SECTION_MISSING",
      location: { section: "timer/0" },
    });
  });

  it("outlives a bad connection once the machine runs, in the middle of a section and behind an END", async () => {
    const { attempt, before, packaged } = streamOf(side());
    const target = side();
    const incoming = target.kernel.incoming({ onCommand() {} });
    push(incoming, [...before, packaged]);
    expect(errorOf(() => incoming.end()).code).toBe("STREAM_TRUNCATED");
    const again = side();
    const second = again.kernel.incoming({ onCommand() {} });
    push(second, [...before, packaged]);
    expect(errorOf(() => target.kernel.incoming().restart()).code).toBe("ATTEMPT_ENDED");
    await second.prepare();
    await second.commit();
    const [part] = [...attempt.iterate(400)] as [Uint8Array];
    second.push(part.subarray(0, 50));
    second.restart();
    expect(errorOf(() => second.push(Uint8Array.of(0x55))).code).toBe("SECTION_TYPE");
    expect(errorOf(() => second.push(part)).code).toBe("SECTION_TYPE");
    second.restart();
    const end = [...attempt.finish()];
    push(second, end.slice(0, 1));
    expect(errorOf(() => second.end()).code).toBe("STREAM_TRUNCATED");
    second.restart();
    push(second, [part, ...end]);
    second.end();
    expect(again.log).toEqual(["commit", "commit", "load", "settled", "settled"]);
    again.kernel.device({ ...word, name: "thawed" }, { save: () => ({ x: 0 }), load: () => {} });
  });

  it("keeps the registry frozen until the last byte, and lets go of it when it is thrown away", async () => {
    const { before, packaged } = streamOf(side());
    const target = side();
    const incoming = target.kernel.incoming({ onCommand() {} });
    push(incoming, [...before, packaged]);
    await incoming.prepare();
    await incoming.commit();
    const add = () => target.kernel.device({ ...word, name: "more" }, { save: () => ({ x: 0 }), load: () => {} });
    expect(errorOf(add).code).toBe("REGISTRY_FROZEN");
    incoming.discard();
    incoming.discard();
    add();
    expect(target.log).toEqual(["commit", "commit", "load", "settled", "settled", "discard", "discard"]);
  });
});
