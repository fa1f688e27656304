import { execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  constants,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import type net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Channel } from "@godwit/transport";
import { connect, fd, listen } from "@godwit/transport/fd";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { channelOver } from "../src/socket-channel.ts";

const folder = mkdtempSync(join(tmpdir(), "godwit-fd-"));
const child = join(folder, "child.mjs");
let names = 0;
const fresh = (): string => join(folder, `name-${names++}`);

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

beforeAll(() => {
  // Node 20 runs no TypeScript.
  const bun = here("../../../node_modules/.bin/bun");
  const flags = ["--target=node", "--conditions=godwit:source", `--outfile=${child}`];
  execFileSync(bun, ["build", here("fd-child.ts"), ...flags], { stdio: "ignore" });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
}

async function readAll(channel: Channel): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of channel.receive()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function accepted(uri: string): Promise<Channel> {
  const listener = await listen(uri);
  const channel = await listener.accept();
  await listener.close();
  return channel;
}

/** Both ends of a pipe, as descriptors. */
function pipe(): { readonly readFd: number; readonly writeFd: number } {
  const path = fresh();
  execFileSync("mkfifo", [path]);
  // With this one open no other waits for its counterpart.
  const both = openSync(path, constants.O_RDWR);
  const readFd = openSync(path, constants.O_RDONLY);
  const writeFd = openSync(path, constants.O_WRONLY);
  closeSync(both);
  return { readFd, writeFd };
}

async function inherited(mode: string): Promise<{ channel: Channel; exit: Promise<number | null> }> {
  const run = "deno" in process.versions ? ["run", "-A"] : [];
  const started = spawn(process.execPath, [...run, child, mode], { stdio: ["ignore", "inherit", "inherit", "pipe"] });
  const exit = new Promise<number | null>((resolve) => started.once("exit", resolve));
  return { channel: channelOver(started.stdio[3] as net.Socket), exit };
}

describe("an inherited socket", () => {
  it("carries bytes both ways, and their ends", async () => {
    const { channel, exit } = await inherited("echo");
    const sent = pattern(2_000_000);
    const sending = (async () => {
      for (let at = 0; at < sent.length; at += 70_000) await channel.send(sent.subarray(at, at + 70_000));
    })();
    const chunks: Uint8Array[] = [];
    let got = 0;
    for await (const chunk of channel.receive()) {
      chunks.push(chunk);
      got += chunk.length;
      if (got >= sent.length) break;
    }
    await sending;
    expect(Buffer.compare(Buffer.concat(chunks), sent)).toBe(0);
    await channel.close();
    expect(await exit).toBe(0);
  });

  it("ends for the peer when it is aborted", async () => {
    const { channel, exit } = await inherited("abort");
    await channel.send(Uint8Array.of(1));
    expect((await readAll(channel)).length).toBe(0);
    expect(await exit).toBe(0);
  });
});

describe("an inherited pipe", () => {
  it("carries bytes whole and in order, and its end", async () => {
    const { readFd, writeFd } = pipe();
    const [a, b] = [await connect(`fd:${writeFd}`), await accepted(`fd:${readFd}`)];
    const sent = pattern(1_000_000);
    const sending = (async () => {
      for (let at = 0; at < sent.length; at += 70_000) await a.send(sent.subarray(at, at + 70_000));
      await a.close();
    })();
    const got = await readAll(b);
    await sending;
    expect(Buffer.compare(got, sent)).toBe(0);
    await b.close();
  });

  it("makes a sender wait while nobody reads, and is broken by abort", async () => {
    const { readFd, writeFd } = pipe();
    const a = await connect(`fd:${writeFd}`);
    await a.send(new Uint8Array(10_000));
    let sentBytes = 10_000;
    const sending = (async () => {
      for (;;) {
        await a.send(new Uint8Array(10_000));
        sentBytes += 10_000;
      }
    })().catch((error: unknown) => error);
    for (let before = -1; before !== sentBytes; ) {
      before = sentBytes;
      for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(sentBytes).toBeLessThan(1024 * 1024);
    const reason = new Error("enough");
    a.abort(reason);
    expect(await sending).toBe(reason);
    const b = await accepted(`fd:${readFd}`);
    // What was under way may be lost, such as what `cat` holds on Deno; nothing comes that was not sent.
    const got = (await readAll(b)).length;
    expect(got).toBeGreaterThan(0);
    expect(got).toBeLessThanOrEqual(sentBytes + 10_000);
    await b.close();
  });
});

describe("an inherited file", () => {
  it("is written and read from where it stands", async () => {
    const path = fresh();
    writeFileSync(path, "header");
    const out = await connect(`fd:${openSync(path, "a")}`);
    await out.send(new TextEncoder().encode(" and"));
    await out.send(new TextEncoder().encode(" stream"));
    await out.close();
    expect(readFileSync(path, "utf8")).toBe("header and stream");
    const incoming = await accepted(`fd:${openSync(path, "r")}`);
    expect(new TextDecoder().decode(await readAll(incoming))).toBe("header and stream");
    await incoming.close();
  });

  it("may be a device", async () => {
    const out = await connect(`fd:${openSync("/dev/null", "w")}`);
    await out.send(pattern(100_000));
    await out.close();
  });
});

describe("a descriptor that was taken over", () => {
  const isOpen = (fd: number): boolean => {
    try {
      fstatSync(fd);
      return true;
    } catch {
      return false;
    }
  };

  async function closed(fd: number): Promise<void> {
    while (isOpen(fd)) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  it("is closed with its channel, or broken with it", async () => {
    for (const end of ["close", "abort"] as const) {
      const { readFd, writeFd } = pipe();
      const written = openSync(fresh(), "w");
      const [a, b, c] = [
        await connect(`fd:${writeFd}`),
        await accepted(`fd:${readFd}`),
        await connect(`fd:${written}`),
      ];
      for (const channel of [a, c]) await channel.send(Uint8Array.of(1));
      for (const channel of [a, b, c]) {
        if (end === "close") await channel.close();
        else channel.abort(new Error("enough"));
      }
      for (const fd of [readFd, writeFd, written]) await closed(fd);
    }
  });

  it("is closed when its channel is broken while somebody waits for its bytes", async () => {
    const { readFd, writeFd } = pipe();
    const reader = (await accepted(`fd:${readFd}`)).receive()[Symbol.asyncIterator]();
    writeSync(writeFd, Uint8Array.of(1));
    expect((await reader.next()).value).toEqual(Uint8Array.of(1));
    closeSync(writeFd);
    expect((await reader.next()).done).toBe(true);
    await closed(readFd);

    const silent = pipe();
    const channel = await accepted(`fd:${silent.readFd}`);
    const reason = new Error("enough");
    const waiting = channel.receive()[Symbol.asyncIterator]().next();
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    channel.abort(reason);
    expect(await waiting.catch((error: unknown) => error)).toBe(reason);
    await closed(silent.readFd);
    closeSync(silent.writeFd);
  });

  it("is closed once: by then the number may be another file's", async () => {
    const number = openSync(fresh(), "w");
    const channel = await connect(`fd:${number}`);
    await channel.send(Uint8Array.of(1));
    await channel.close();
    const others = Array.from({ length: 20 }, () => openSync(fresh(), "w"));
    expect(others).toContain(number);
    channel.abort(new Error("too late"));
    await channel.close();
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(others.map(isOpen)).toEqual(others.map(() => true));
    for (const other of others) closeSync(other);
  });
});

describe("fd addresses", () => {
  it("are numbers of open descriptors that a stream can go through", async () => {
    for (const uri of ["fd:", "fd:x", "fd:-1", "fd:1.5", "fd:99999999"]) {
      await expect(connect(uri), uri).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS", found: uri });
      await expect(listen(uri), uri).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS", found: uri });
    }
    const directory = openSync(folder, "r");
    await expect(fd.connect(`fd:${directory}`)).rejects.toMatchObject({ code: "TRANSPORT_UNSUPPORTED" });
    closeSync(directory);
    await expect(fd.connect("tcp:a:1")).rejects.toMatchObject({ code: "TRANSPORT_UNSUPPORTED" });
  });
});
