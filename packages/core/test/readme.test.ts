// The README's examples are files that run; its text and theirs are the same.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it, vi } from "vitest";
import { createKernel, decodeState, encodeState, since, u8, virtualClock, vmstate } from "../src/index.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const readme = readFileSync(`${root}README.md`, "utf8");

it("shows the examples as they are", () => {
  const shown = [...readme.matchAll(/<!-- (\S+) -->\n```ts\n([\s\S]*?)```/g)];
  expect(shown.map(([, path]) => path)).toEqual([
    "packages/core/examples/uart.ts",
    "packages/core/examples/machine.ts",
  ]);
  for (const [, path, text] of shown) expect(text).toBe(readFileSync(`${root}${path}`, "utf8"));
  expect(shown[0]?.[2]?.trimEnd().split("\n").length).toBeLessThanOrEqual(20);
});

it("runs the examples, and they print what it says", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  try {
    await import("../examples/machine.ts");
    expect(log.mock.calls).toEqual([
      [
        [72, 105],
        ["timer/0", "uart/0"],
      ],
    ]);
  } finally {
    log.mockRestore();
  }
});

it("shows in core's README pieces of a file that runs", async () => {
  const core = readFileSync(`${root}packages/core/README.md`, "utf8");
  const shown = [...core.matchAll(/<!-- (examples\/\S+) -->\n```ts\n([\s\S]*?)```/g)];
  expect(shown).toHaveLength(3);
  for (const [, path, text] of shown) {
    expect(readFileSync(`${root}packages/core/${path}`, "utf8")).toContain(text?.trimEnd());
  }
  const { Irqchip } = await import("../examples/irqchip.ts");
  const machine = () => {
    const kernel = createKernel({
      machineType: "shown",
      clock: virtualClock(() => 0n),
      machine: { pause() {}, resume() {}, reset() {} },
    });
    return { kernel, irqchip: new Irqchip(kernel) };
  };
  const [source, destination] = [machine(), machine()];
  source.irqchip.levels = Uint16Array.of(1, 2);
  Object.assign(source.irqchip.channels[1] ?? {}, { level: 7 });
  source.irqchip.boost.level = 3;
  destination.kernel.restore(source.kernel.snapshot());
  const { levels, channels, boost } = destination.irqchip;
  expect([[...levels], channels.map(({ level }) => level), boost.level]).toEqual([[1, 2], [0, 7], 3]);
  expect(channels.every(({ owner }) => owner === destination.irqchip)).toBe(true);
});

it("runs the timer chip: its deadlines are saved, and nothing drifts", async () => {
  const { clock, fired, Pit, passHostTime, pit, timers } = await import("../examples/pit.ts");
  const chip = new Pit();
  chip.load(decodeState(pit, encodeState(pit, { period: 100n, next: 100n })));
  clock.start();
  for (const ns of [130n, 100n, 69n]) {
    passHostTime(ns);
    timers.runDue();
  }
  expect(fired).toEqual([130n, 230n]);
  expect(chip.save()).toEqual({ period: 100n, next: 300n });
});

it("names commands that exist", () => {
  const { scripts } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as { scripts: Record<string, string> };
  const named = [...readme.matchAll(/`(?:npm|bun run|bun) ([a-z:]+)`/g)].map(([, name]) => name as string);
  expect(named.length).toBeGreaterThan(5);
  for (const name of named) expect(scripts).toHaveProperty([name]);
});

it("keeps its promise about the next release", () => {
  const old = vmstate({ name: "uart", version: 1, fields: { lcr: u8 } });
  const next = vmstate({
    name: "uart",
    version: 2,
    minimumVersion: 1,
    fields: { lcr: u8, scratch: since(2, u8, { absent: 0 }) },
  });
  expect(decodeState(next, encodeState(old, { lcr: 3 }), { version: 1 })).toEqual({ lcr: 3, scratch: 0 });
  const save = encodeState(next, { lcr: 3, scratch: 9 });
  expect(() => decodeState(old, save, { version: 2 })).toThrow(
    'SECTION_VERSION: "uart" cannot be read in this version; expected 1; found 2',
  );
});
