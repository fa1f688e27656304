// `godwit record` and `godwit replay` against a source and a destination of ours, over tcp and unix.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import type { Channel, Transport } from "@godwit/transport";
import { tcp } from "@godwit/transport/tcp";
import { unix } from "@godwit/transport/unix";
import { afterAll, describe, expect, it } from "vitest";
import { listRecordings, recordStream } from "../src/checkpoint/index.ts";
import { pongMessage, shutMessage } from "../src/checkpoint/return-path.ts";
import { cut, isSame, makeFolder, ramEnd, whole } from "./checkpoint-support.ts";
import { runCli } from "./run-cli.ts";

const folder = makeFolder();
afterAll(() => folder.remove());

const have = haveStreams();
const stream = have ? readStream("q35-bare-7.2.stream") : new Uint8Array(0);
const openReturnPath = Uint8Array.of(8, 0, 1, 0, 0);
const configurationEnd = 8 + 1 + 4 + "pc-q35-7.2".length;
const withReturnPath = new Uint8Array(
  Buffer.concat([stream.subarray(0, configurationEnd), openReturnPath, stream.subarray(configurationEnd)]),
);
let sockets = 0;
const freshSocket = (): string => `unix:${folder.of(`socket-${sockets++}`)}`;
let ports = 20_000 + (process.pid % 20_000);

/** Once somebody listens there. */
async function connected(transport: Transport, uri: string): Promise<Channel> {
  for (;;) {
    try {
      return await transport.connect(uri);
    } catch (error) {
      if ((error as { code?: string }).code !== "TRANSPORT_REFUSED") throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Runs `record` and a source beside it. */
async function recorded(args: readonly string[], source: (channel: Channel) => Promise<void>, uri = freshSocket()) {
  const running = runCli(["record", uri, ...args], { folder: folder.path });
  const channel = await connected(uri.startsWith("tcp:") ? tcp : unix, uri);
  try {
    await source(channel);
    return await running;
  } finally {
    channel.abort(new Error("the test is over"));
  }
}

const sendAll = (bytes: Uint8Array) => async (channel: Channel) => {
  await channel.send(bytes);
  await channel.close();
};

/** Runs `replay` and a destination beside it. */
async function replayed(args: readonly string[], destination: (channel: Channel) => Promise<void>, transport = unix) {
  const listener = await transport.listen(transport === tcp ? "tcp:127.0.0.1:0" : freshSocket());
  const [file, ...options] = args as [string, ...string[]];
  const running = runCli(["replay", file, listener.uri, ...options], { folder: folder.path });
  const channel = await listener.accept();
  try {
    await destination(channel);
    return await running;
  } finally {
    channel.abort(new Error("the test is over"));
    await listener.close();
  }
}

describe.skipIf(!have)("record", () => {
  it("keeps what a source sends, over unix and tcp, and tells it", async () => {
    const first = await recorded(["-o", "a.checkpoint", "--json"], sendAll(stream));
    expect(first).toMatchObject({ code: 0 });
    expect(first.stderr).toMatch(/^listening on unix:.*socket-\d+\n$/);
    const report = JSON.parse(first.stdout);
    expect(report).toEqual({
      address: expect.stringMatching(/^unix:/),
      file: folder.of("a.checkpoint"),
      fileBytes: readFileSync(folder.of("a.checkpoint")).length,
      recording: {
        name: "1",
        createdMs: expect.any(Number),
        machine: "pc-q35-7.2",
        pageBytes: 4096,
        pages: 51,
        newPages: 51,
        streamBytes: stream.length,
        whole: true,
        returnPath: false,
      },
      answered: true,
      lost: null,
    });
    const second = await recorded(["-o", "a.checkpoint", "--name", "b"], sendAll(stream), `tcp:127.0.0.1:${ports++}`);
    expect(second.code).toBe(0);
    expect(second.stdout).toMatch(/^recording "b" of pc-q35-7\.2: 323\.2 kB, 51 pages\nnew pages: 0 \(0\.0%\)\n/);
    expect((await listRecordings(folder.of("a.checkpoint"))).map(({ name }) => name)).toEqual(["1", "b"]);
  });

  it("listens on every address where QEMU's users leave the host out", async () => {
    for (const written of ["tcp::", "tcp:0:"]) {
      const port = ports++;
      const running = runCli(["record", `${written}${port}`, "-o", `every-${port}.checkpoint`], {
        folder: folder.path,
      });
      const channel = await connected(tcp, `tcp:127.0.0.1:${port}`);
      await sendAll(stream)(channel);
      expect(await running).toMatchObject({ code: 0 });
      expect(await listRecordings(folder.of(`every-${port}.checkpoint`))).toHaveLength(1);
    }
  });

  it("answers a source that waits for it", async () => {
    const said: number[] = [];
    const { code } = await recorded(["-o", "rp.checkpoint"], async (channel) => {
      await channel.send(withReturnPath);
      for await (const chunk of channel.receive()) said.push(...chunk);
    });
    expect({ code, said }).toEqual({ code: 0, said: [...shutMessage(0)] });
  });

  it("ends with 1 and leaves nothing when the stream is cut, none, or comes by several connections", async () => {
    const names = () => folder.names().filter((name) => name.startsWith("bad"));
    const truncated = await recorded(["-o", "bad", "--json"], sendAll(stream.subarray(0, 100_000)));
    expect(truncated.code).toBe(1);
    expect(JSON.parse(truncated.stdout).error).toMatchObject({
      code: "STREAM_TRUNCATED",
      section: "ram/0",
      offset: expect.any(Number),
      hint: expect.stringMatching(/cancelled/),
    });
    const none = await recorded(["-o", "bad"], sendAll(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n")));
    expect(none.code).toBe(1);
    expect(none.stderr).toMatch(/nothing was recorded: this is not a QEMU migration stream.*\(MAGIC_WRONG\)/);
    const uri = freshSocket();
    const several = await recorded(
      ["-o", "bad"],
      async (channel) => {
        await channel.send(stream.subarray(0, 1000));
        const other = await unix.connect(uri);
        for await (const _ of other.receive());
      },
      uri,
    );
    expect(several.code).toBe(1);
    expect(several.stderr).toMatch(/a second connection was made \(RECORD_CHANNELS\)\n {2}as multifd/);
    expect(names()).toEqual([]);
  });

  it("waits for the first who says something: others may look whether somebody listens", async () => {
    for (const uri of [freshSocket(), `tcp:127.0.0.1:${ports++}`]) {
      const transport = uri.startsWith("tcp:") ? tcp : unix;
      const running = runCli(["record", uri, "-o", "knocked", "--json"], { folder: folder.path });
      await (await connected(transport, uri)).close();
      (await connected(transport, uri)).abort(new Error("only a look"));
      const silent = await connected(transport, uri);
      const channel = await connected(transport, uri);
      await channel.send(stream.subarray(0, 1000));
      // Whoever wants to listen there, too, is refused, and does no harm.
      const second = await runCli(["record", uri, "-o", "not"], { folder: folder.path });
      expect(second).toMatchObject({ code: 2, stderr: expect.stringMatching(/TRANSPORT_ADDRESS/) });
      await (await connected(transport, uri)).close();
      await sendAll(stream.subarray(1000))(channel);
      const { code, stdout } = await running;
      silent.abort(new Error("the test is over"));
      expect(code).toBe(0);
      expect(JSON.parse(stdout).recording).toMatchObject({ streamBytes: stream.length, whole: true });
    }
    expect(folder.names()).not.toContain("not");
  });

  it("ends with 1 and keeps it where it cannot tell whether it is whole", async () => {
    const odd = stream.slice(0, -1);
    odd[ramEnd(odd) - 6] = 0x11;
    const { code, stderr } = await recorded(["-o", "odd.checkpoint"], sendAll(odd));
    expect(code).toBe(1);
    expect(stderr).toMatch(/from byte \d+ on the stream is kept as it came/);
    expect(stderr).toMatch(/whether the stream is whole cannot be told/);
    expect((await listRecordings(folder.of("odd.checkpoint")))[0]?.whole).toBe(false);
  });

  it("is stopped by a signal, and leaves nothing", async () => {
    const uri = freshSocket();
    const running = runCli(["record", uri, "-o", "stopped"], { folder: folder.path });
    const channel = await connected(unix, uri);
    await channel.send(stream.subarray(0, 50_000));
    while (!folder.names().some((name) => name.startsWith("stopped.recording-"))) await new Promise(setImmediate);
    process.emit("SIGTERM");
    const { code, stderr } = await running;
    channel.abort(new Error("the test is over"));
    expect(code).toBe(1);
    expect(stderr).toMatch(/RECORD_STOPPED/);
    expect(folder.names().filter((name) => name.startsWith("stopped"))).toEqual([]);
    expect(process.listenerCount("SIGTERM")).toBe(0);
  });

  it("ends with 2 when it is used wrongly", async () => {
    const run = (...args: string[]) => runCli(["record", ...args], { folder: folder.path });
    for (const [args, message] of [
      [["unix:x"], /--output/],
      [["rdma:host:1", "-o", "x"], /URI_SCHEME/],
      [["tcp:nowhere", "-o", "x"], /TRANSPORT_ADDRESS/],
      [[freshSocket(), "-o", "no-such-folder/x"], /no such file or folder \(FILE_UNUSABLE\)/],
      [[freshSocket(), "-o", "x", "--page-size", "1000"], /OPTION_SIZE/],
      [[freshSocket(), "-o", "x", "--page-index", "much"], /OPTION_SIZE/],
    ] as const) {
      const { code, stderr } = await run(...args);
      expect({ code, args }).toEqual({ code: 2, args });
      expect(stderr).toMatch(message);
    }
    const nowhere = await run(`unix:${folder.of("no-such-folder/socket")}`, "-o", "x");
    expect(nowhere.stderr).toMatch(
      /\(TRANSPORT_ADDRESS\)\n {2}(there is no such folder|something stands there|it may not)/,
    );
    expect((await run("tcp:nowhere:x", "-o", "x")).stderr).toMatch(
      /nowhere:x \(TRANSPORT_ADDRESS\)\n {2}it must be host:port/,
    );
    const living = spawn("sleep", ["60"]);
    try {
      writeFileSync(folder.of(`busy.recording-${living.pid}-0123abcd`), "");
      const busy = await run(freshSocket(), "-o", "busy");
      expect(busy.code).toBe(2);
      expect(busy.stderr).toMatch(
        /another recording is under way, into .*busy\.recording-\d+-0123abcd \(CHECKPOINT_BUSY\)\n {2}.*where that is no godwit/,
      );
    } finally {
      living.kill();
    }
    await recordStream(cut(stream), folder.of("named"), { name: "monday" });
    const twice = await run(freshSocket(), "-o", "named", "--name", "monday");
    expect(twice.code).toBe(2);
    expect(twice.stderr).toMatch(/has a recording "monday" already \(CHECKPOINT_NAME\)/);
    expect(folder.names()).not.toContain("x");
  });
});

describe.skipIf(!have)("replay", () => {
  const file = folder.of("two.checkpoint");
  const other = have ? readStream("q35-bare-kvm-7.2.stream") : stream;

  it("sends a recording, by its number or its name, over unix and tcp", async () => {
    await recordStream(cut(stream), file, { name: "monday" });
    await recordStream(cut(other), file, { name: "tuesday" });
    for (const [options, expected, transport] of [
      [[], other, unix],
      [["--name", "monday"], stream, tcp],
      [["--recording", "1"], stream, unix],
      [["--recording", "2"], other, tcp],
    ] as const) {
      let taken = new Uint8Array(0);
      const run = await replayed(
        ["two.checkpoint", ...options],
        async (channel) => {
          taken = (await whole(channel.receive())) as typeof taken;
        },
        transport,
      );
      expect(run).toMatchObject({ code: 0, stdout: expect.stringMatching(/the destination cannot say whether/) });
      expect(isSame(taken, expected)).toBe(true);
    }
  });

  it("hears what the destination says", async () => {
    await recordStream(cut(withReturnPath), folder.of("rp"), { silence: { afterEndMs: 1, lostMs: 1 } });
    const takeAndSay = (status: number) => async (channel: Channel) => {
      let bytes = 0;
      for await (const chunk of channel.receive()) {
        bytes += chunk.length;
        if (bytes === withReturnPath.length) break;
      }
      await channel.send(pongMessage(1));
      await channel.send(shutMessage(status));
    };
    const loaded = await replayed(["rp", "--json"], takeAndSay(0));
    expect(loaded.code).toBe(0);
    expect(JSON.parse(loaded.stdout)).toEqual({
      file: folder.of("rp"),
      recording: "1",
      streamBytes: withReturnPath.length,
      confirmed: true,
    });
    const refused = await replayed(["rp"], takeAndSay(1));
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/did not load the stream.*\(REPLAY_REFUSED\)/);
    const silent = await replayed(["rp"], async (channel) => {
      for await (const _ of channel.receive()) break;
      channel.abort(new Error("out of memory"));
    });
    expect(silent.code).toBe(1);
    expect(silent.stderr).toMatch(/the destination broke off/);
  });

  it("does not give a damaged recording's end", async () => {
    await recordStream(cut(stream), folder.of("damaged"));
    const bytes = readFileSync(folder.of("damaged"));
    (bytes[100_000] as number) ^= 1;
    writeFileSync(folder.of("damaged"), bytes);
    let taken = 0;
    const { code, stderr } = await replayed(["damaged"], async (channel) => {
      for await (const chunk of channel.receive()) taken += chunk.length;
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/CHECKPOINT_CHECKSUM/);
    expect(stderr).toContain(folder.of("damaged"));
    expect(taken).toBeLessThan(stream.length);
  });

  it("ends with 2 when it is used wrongly, with 1 where nothing is there", async () => {
    const dead = freshSocket();
    for (const [args, exit, message] of [
      [["nothing", dead], 2, /FILE_UNUSABLE/],
      [["two.checkpoint", "ssh:host"], 2, /URI_SCHEME/],
      [["two.checkpoint", dead, "--recording", "3"], 2, /OPTION_RECORDING/],
      [["two.checkpoint", dead, "--recording", "0"], 2, /OPTION_RECORDING/],
      [["two.checkpoint", dead, "--recording", "1", "--name", "a"], 2, /OPTION_BOTH/],
      [
        ["two.checkpoint", dead, "--name", "sunday"],
        2,
        /no recording "sunday" \(CHECKPOINT_NAME\)\n.*: monday, tuesday/,
      ],
      [["two.checkpoint", dead], 1, /TRANSPORT_REFUSED/],
    ] as const) {
      const { code, stderr } = await runCli(["replay", ...args], { folder: folder.path });
      expect({ code, args }).toEqual({ code: exit, args });
      expect(stderr).toMatch(message);
    }
  });
});
