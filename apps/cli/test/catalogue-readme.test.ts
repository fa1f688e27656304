// The README's example of the catalogue is a file that runs, and prints what it says.
import { readFileSync } from "node:fs";
import { expect, it, vi } from "vitest";

it("names the plugin that describes a section", async () => {
  const example = readFileSync(new URL("../examples/catalogue.ts", import.meta.url), "utf8");
  const promised = /console\.log\(.*\); \/\/ (\S+)$/m.exec(example)?.[1];
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  try {
    await import("../examples/catalogue.ts");
    expect(log.mock.calls).toEqual([[promised]]);
  } finally {
    log.mockRestore();
  }
});
