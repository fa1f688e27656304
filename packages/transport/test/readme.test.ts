// The README's examples are files that run, and its tables are those of the code.
import { readFileSync } from "node:fs";
import { type MessagePort, Worker } from "node:worker_threads";
import { transportErrorCodes } from "@godwit/transport";
import { expect, it, vi } from "vitest";
import { channelOf, channelTo } from "../examples/worker.ts";

const text = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const readme = text("README.md");

it("shows the examples as they are", () => {
  const shown = Array.from(readme.matchAll(/```ts\n([\s\S]*?)```/g), ([, code]) => code);
  expect(shown).toEqual([text("examples/tcp.ts"), text("examples/worker.ts")]);
});

it("runs the first", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  try {
    await import("../examples/tcp.ts");
    expect(log.mock.calls).toEqual([[Uint8Array.of(1, 2, 3)]]);
  } finally {
    log.mockRestore();
  }
});

it("runs the second, across a thread that hands back the port that it is given", async () => {
  const program = `
    const { parentPort } = require("node:worker_threads");
    parentPort.once("message", ({ port }) => parentPort.postMessage({ port }, [port]));`;
  const worker = new Worker(program, { eval: true });
  try {
    const back = new Promise<{ port: MessagePort }>((resolve) => worker.once("message", resolve));
    const here = channelTo(worker);
    // Nothing is granted before the other end is a channel, too.
    const sending = here.send(Uint8Array.of(1, 2, 3));
    const there = channelOf(await back);
    expect((await there.receive()[Symbol.asyncIterator]().next()).value).toEqual(Uint8Array.of(1, 2, 3));
    await sending;
    await Promise.all([here.close(), there.close()]);
  } finally {
    await worker.terminate();
  }
});

it("names every entry and every error code", () => {
  const { exports } = JSON.parse(text("package.json")) as { exports: Record<string, unknown> };
  const entries = Object.keys(exports).filter((entry) => entry !== "./package.json");
  const named = (pattern: RegExp) => Array.from(readme.matchAll(pattern), ([, name]) => name as string).sort();
  expect(named(/^\| `(@godwit\/[^`]+)`/gm)).toEqual(
    entries.map((entry) => `@godwit/transport${entry.slice(1)}`).sort(),
  );
  expect(named(/^\| `([A-Z_]+)`/gm)).toEqual(Object.keys(transportErrorCodes).sort());
});
