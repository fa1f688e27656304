// The README's example is a file that runs, over real sockets and by a real clock; its tables are those of the code.
import { readFileSync } from "node:fs";
import { migrationErrorCodes } from "@godwit/migration";
import { expect, it, vi } from "vitest";
import { receive, send } from "../examples/move.ts";
import { TestMachine } from "./support/machine.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("shows the example as it is", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(new URL("../examples/move.ts", import.meta.url), "utf8"));
});

it("runs it", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  try {
    const here = new TestMachine({ pages: 64 });
    const there = new TestMachine({ pages: 64, running: false });
    here.fill(1);
    let isListening: (uri: string) => void = () => {};
    const uri = new Promise<string>((resolve) => {
      isListening = resolve;
    });
    const receiving = receive(there, "tcp:127.0.0.1:0", isListening);
    const [source, destination] = await Promise.all([send(here, await uri), receiving]);
    expect([source.state.status, destination.state.status]).toEqual(["completed", "completed"]);
    expect(Buffer.compare(there.memory, here.memory)).toBe(0);
    expect(log.mock.calls[0]?.[0]).toMatch(/^round 1: \d+ bytes sent, 0 dirty again$/);
  } finally {
    log.mockRestore();
  }
});

it("names every error code", () => {
  const named = Array.from(readme.matchAll(/^\| `([A-Z_]+)`/gm), ([, code]) => code);
  expect(named).toEqual(Object.keys(migrationErrorCodes));
});
