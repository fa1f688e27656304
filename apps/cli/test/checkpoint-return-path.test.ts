// A source that waits for answers: what it is told, and when.
import { existsSync } from "node:fs";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { listRecordings, type RecordReport, recordStream } from "../src/checkpoint/index.ts";
import { pongMessage, ReturnPathReader, shutMessage } from "../src/checkpoint/return-path.ts";
import { cut, isSame, makeFolder, ramEnd, replayedBytes } from "./checkpoint-support.ts";

const folder = makeFolder();
afterAll(() => folder.remove());

const have = haveStreams();
const silence = { afterEndMs: 300, lostMs: 300 };
const openReturnPath = [8, 0, 1, 0, 0];
const ping = (value: number) => [8, 0, 2, 0, 4, 0, 0, 0, value];
const pong = (value: number) => [0, 2, 0, 4, 0, 0, 0, value];
const shut = (status: number) => [0, 1, 0, 4, 0, 0, 0, status];
/** Header, and the configuration of the q35 streams: type, length, name. */
const configurationEnd = 8 + 1 + 4 + "pc-q35-7.2".length;

/** A real stream, as a source sends it that opens the return path. */
function withReturnPath(name: string, ...commands: readonly number[][]): Uint8Array {
  const bytes = readStream(`${name}.stream`);
  const words = commands.flat();
  const made = new Uint8Array(bytes.length + words.length);
  made.set(bytes.subarray(0, configurationEnd));
  made.set(words, configurationEnd);
  made.set(bytes.subarray(configurationEnd), configurationEnd + words.length);
  return made;
}

/** A source that sends all and then waits for SHUT, as QEMU does; what it was told, and what stood on the disk then. */
async function record(bytes: Uint8Array, store: string, patience = silence) {
  const told: { message: number[]; isThere: boolean }[] = [];
  let close: () => void = () => {};
  const closed = new Promise<void>((resolve) => {
    close = resolve;
  });
  const source = async function* () {
    yield* cut(bytes, [50_000]);
    await closed;
  };
  const answer = async (message: Uint8Array): Promise<void> => {
    told.push({ message: [...message], isThere: existsSync(store) });
    if (message[1] === 1) close();
  };
  let report: RecordReport | undefined;
  let error: unknown;
  try {
    report = await recordStream(source(), store, { answer, silence: patience });
  } catch (reason) {
    error = reason;
  }
  return { told, report, error };
}

describe.skipIf(!have)("a source with a return path", () => {
  it("is answered, and told that all is well when the recording is on the disk", async () => {
    const store = folder.of("whole");
    const bytes = withReturnPath("q35-bare-7.2", openReturnPath, ping(1), ping(7));
    const { told, report } = await record(bytes, store, { afterEndMs: 1e6, lostMs: 1e6 });
    expect(told).toEqual([
      { message: pong(1), isThere: false },
      { message: pong(7), isThere: false },
      { message: shut(0), isThere: true },
    ]);
    expect(report).toMatchObject({ answered: true, recording: { returnPath: true, whole: true, pages: 51 } });
    expect(isSame(await replayedBytes(store), bytes)).toBe(true);
  });

  it("is told so, too, when it sends no vmdesc", async () => {
    const store = folder.of("no-vmdesc");
    const bytes = withReturnPath("q35-bare-novmdesc-7.2", openReturnPath, ping(1));
    const { told, report } = await record(bytes, store);
    expect(told.map(({ message }) => message)).toEqual([pong(1), shut(0)]);
    expect(report?.recording).toMatchObject({ whole: true, streamBytes: bytes.length });
  });

  it("is told so when only the vmdesc shows that the stream is whole", async () => {
    const store = folder.of("lost");
    const bytes = withReturnPath("q35-bare-7.2", openReturnPath, ping(1));
    // No type of section.
    bytes[ramEnd(bytes)] = 0x55;
    const { told, report } = await record(bytes, store, { afterEndMs: 300, lostMs: 1e6 });
    expect(told.map(({ message }) => message)).toEqual([pong(1), shut(0)]);
    expect(report).toMatchObject({ lost: undefined, recording: { whole: true } });
  });

  it("is not cut short by bytes that look like the end of a stream, as a guest may have them", async () => {
    const store = folder.of("look-alike");
    const bytes = withReturnPath("q35-bare-7.2", openReturnPath);
    // No type of section: from here on nothing tells where the stream ends.
    bytes[ramEnd(bytes)] = 0x55;
    const more = bytes.slice(ramEnd(bytes));
    const source = async function* () {
      yield bytes;
      yield more;
    };
    const { recording } = await recordStream(source(), store, { silence });
    expect(recording).toMatchObject({ whole: true, streamBytes: bytes.length + more.length });
    expect(isSame(await replayedBytes(store), new Uint8Array(Buffer.concat([bytes, more])))).toBe(true);
  });

  it("keeps its machine where the end cannot be seen", async () => {
    const store = folder.of("unsure");
    const bytes = withReturnPath("q35-bare-novmdesc-7.2", openReturnPath, ping(1));
    // No type of section.
    bytes[ramEnd(bytes)] = 0x55;
    const { told, error } = await record(bytes, store);
    expect(told.map(({ message }) => message)).toEqual([pong(1), shut(1)]);
    expect(error).toMatchObject({ code: "STREAM_TRUNCATED" });
    expect(existsSync(store)).toBe(false);
  });

  it("is told that nothing was recorded when it breaks off", async () => {
    const store = folder.of("broken");
    const bytes = withReturnPath("q35-bare-7.2", openReturnPath);
    const told: number[][] = [];
    const answer = async (message: Uint8Array): Promise<void> => void told.push([...message]);
    await expect(recordStream(cut(bytes.subarray(0, 100_000)), store, { answer })).rejects.toMatchObject({
      code: "STREAM_TRUNCATED",
    });
    expect(told).toEqual([shut(1)]);
    expect(folder.names()).not.toContain("broken");
  });

  it("that is gone before it is told does not undo the recording", async () => {
    const store = folder.of("gone");
    const bytes = withReturnPath("q35-bare-7.2", openReturnPath);
    const answer = (): Promise<void> => Promise.reject(new Error("gone"));
    const report = await recordStream(cut(bytes), store, { answer });
    expect(report.answered).toBe(false);
    expect(await listRecordings(store)).toHaveLength(1);
  });

  it("is not answered where it did not open one", async () => {
    const { told, report } = await (async () => {
      const messages: Uint8Array[] = [];
      const answer = async (message: Uint8Array): Promise<void> => void messages.push(message);
      const bytes = withReturnPath("q35-bare-7.2", ping(1));
      return { told: messages, report: await recordStream(cut(bytes), folder.of("none"), { answer }) };
    })();
    expect(told).toEqual([]);
    expect(report).toMatchObject({ answered: true, recording: { returnPath: false } });
  });
});

describe("the return path", () => {
  it("is read however it is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 9 }),
        fc.nat(255),
        (cuts, status) => {
          const pagesOfBlock = [0, 3, 0, 14, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 16, 0, 1, 97];
          const words = [...pongMessage(1), 0, 7, 0, 0, ...pagesOfBlock, ...shutMessage(status)];
          const reader = new ReturnPathReader();
          for (let at = 0, i = 0; at < words.length; i++) {
            const length = cuts[i % cuts.length] as number;
            expect(reader.shut).toBeUndefined();
            expect(reader.push(Uint8Array.from(words.slice(at, at + length)))).toBe(true);
            at += length;
          }
          expect(reader.shut).toBe(status);
        },
      ),
      { seed: 20_261_121 },
    );
  });

  it("is none where a message is longer than can be", () => {
    expect(new ReturnPathReader().push(Uint8Array.of(0x51, 0x45, 0x56, 0x4d))).toBe(false);
  });
});
