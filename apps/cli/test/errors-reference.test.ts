// docs/errors.md is what the lists of codes say today, and no code of the command line is missing in it.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { errorChapters, errorsText } from "./reference/errors.ts";
import { commandFaults } from "./reference/remedies.ts";

const sources = fileURLToPath(new URL("../src/", import.meta.url));
const files = readdirSync(sources, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));

describe("docs/errors.md", () => {
  it("is what `bun run reference` writes", () => {
    const committed = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
    expect(committed === errorsText(), "bun run reference writes another page").toBe(true);
  });

  it("has every code that a verb refuses with, and no other", () => {
    const refused = files.flatMap((name) => {
      const text = readFileSync(`${sources}${name}`, "utf8");
      return Array.from(text.matchAll(/new CliFault\(\s*"([A-Z_]+)"/g), ([, code]) => code as string);
    });
    expect(refused.length).toBeGreaterThan(60);
    expect([...new Set(refused)].sort()).toEqual(Object.keys(commandFaults).sort());
  });

  it("says of each what it means and what to do, in words that do not name the code", () => {
    const all = errorChapters().flatMap(({ codes }) => codes);
    expect(all.length).toBeGreaterThan(200);
    for (const { code, says, remedy } of all) {
      expect(says.length, code).toBeGreaterThan(10);
      expect(remedy.length, code).toBeGreaterThan(5);
      expect(`${says} ${remedy}`, code).not.toContain(code);
    }
  });

  it("names each code once", () => {
    for (const { title, codes } of errorChapters()) {
      const names = codes.map(({ code }) => code);
      expect(names.length, title).toBe(new Set(names).size);
    }
  });
});
