// The README's examples are files that run; its text and theirs are the same.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it, vi } from "vitest";

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

it("names commands that exist", () => {
  const { scripts } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as { scripts: Record<string, string> };
  const named = [...readme.matchAll(/`(?:npm|bun run|bun) ([a-z:]+)`/g)].map(([, name]) => name as string);
  expect(named.length).toBeGreaterThan(5);
  for (const name of named) expect(scripts).toHaveProperty([name]);
});
