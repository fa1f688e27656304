// The README's examples are files that run, and its table of codes is the code's.
import { readFileSync } from "node:fs";
import { createKernel, type Kernel, virtualClock } from "@godwit/core";
import { multifdReceiver, ramErrorCodes } from "@godwit/ram-dirty-tracker";
import { expect, it } from "vitest";
import { toChannels, zlib } from "../examples/channels.ts";
import { addRam } from "../examples/memory.ts";
import { page, pattern } from "./support/rig.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const kernel = (): Kernel =>
  createKernel({
    machineType: "example-1",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });

it("shows the examples as they are", () => {
  const shown = Array.from(readme.matchAll(/```ts\n([\s\S]*?)```/g), ([, code]) => code);
  const files = ["memory.ts", "channels.ts"].map((name) =>
    readFileSync(new URL(`../examples/${name}`, import.meta.url), "utf8"),
  );
  expect(shown).toEqual(files);
});

it("runs the first: what the guest wrote is there after a move, by deltas where it wrote again", async () => {
  const [here, there] = [kernel(), kernel()];
  const [source, target] = [addRam(here, 64 * page), addRam(there, 64 * page)];
  source.guest.write(0x8000_1000, pattern(1));
  const attempt = here.outgoing();
  const chunks = [...attempt.setup()];
  for (const round of [1, 2, 3]) {
    attempt.pending(true);
    chunks.push(...attempt.iterate(1 << 30));
    source.guest.write(0x8000_1004, Uint8Array.of(round, 2, 3));
  }
  here.clock.stop();
  chunks.push(...attempt.complete());
  attempt.end(true);
  const incoming = there.incoming();
  for (const chunk of chunks) incoming.push(chunk);
  incoming.end();
  await incoming.prepare();
  await incoming.commit();
  expect(target.guest.read(0x8000_1000, page)).toEqual(source.guest.read(0x8000_1000, page));
  expect(target.guest.read(0x8000_1000, 8)).toEqual(
    Uint8Array.of(...pattern(1).subarray(0, 4), 3, 2, 3, pattern(1)[7] ?? 0),
  );
  expect(source.statistics().sent).toMatchObject({ xbzrlePages: 2, normalPages: 2, zeroPages: 63 });
  expect(target.statistics().received).toMatchObject({ xbzrlePages: 2, missingPages: 0 });
});

it("runs the second: its channels are read with the same functions", () => {
  const pieces: Uint8Array[][] = [[], []];
  const sender = toChannels(pieces.map((list) => ({ write: (bytes: Uint8Array) => void list.push(bytes) })));
  sender.begin();
  for (const at of [0, 1, 2]) sender.page("pc.ram", at * page, pattern(at), 0);
  sender.synchronise();
  const memory = new Uint8Array(4 * page);
  const receiver = multifdReceiver(
    { channels: 2, sync: "section", compression: zlib },
    {
      find: (idstr) => ({ idstr, length: memory.length }),
      opening() {},
      store: (_, at, bytes, from, to) => memory.set(bytes.subarray(from, to), at),
      arrive() {},
      fill() {},
    },
  );
  for (const list of pieces) {
    const input = receiver.accept();
    for (const bytes of list) input.push(bytes);
  }
  expect(receiver.mayPass("eos")).toBe(true);
  for (const at of [0, 1, 2]) expect(memory.subarray(at * page, (at + 1) * page)).toEqual(pattern(at));
});

it("names the plugin's own error codes, with what each means", () => {
  const named = Array.from(readme.matchAll(/^\| `([A-Z_]+)`\s*\| (.*?)\s*\|$/gm), ([, code, text]) => [code, text]);
  expect(named).toEqual(Object.entries(ramErrorCodes));
});
