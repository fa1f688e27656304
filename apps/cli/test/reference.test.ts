// docs/cli.md is what the verbs' help says today.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import manifest from "../package.json" with { type: "json" };
import { verbs } from "../src/program.ts";
import { referenceText } from "./reference/reference.ts";
import { runCli } from "./run-cli.ts";

it("is what `bun run reference` writes", async () => {
  const committed = readFileSync(new URL("../../../docs/cli.md", import.meta.url), "utf8");
  expect(committed === (await referenceText()), "bun run reference writes another page").toBe(true);
});

it("each verb's file has the verb's name, its help has examples that run the program, and every one takes --json", async () => {
  for (const [name, load] of Object.entries(verbs)) {
    const verb = await load();
    expect(verb.name).toBe(name);
    const { code, stdout } = await runCli([name, "--help"]);
    expect(code).toBe(0);
    expect(stdout).toContain("--json");
    expect(verb.examples.length).toBeGreaterThan(0);
    for (const [line] of verb.examples) {
      expect(line).toMatch(new RegExp(`\\bgodwit ${name}\\b`));
      expect(stdout).toContain(line);
    }
  }
});

it("--version tells the package's", async () => {
  expect(await runCli(["--version"])).toMatchObject({ code: 0, stdout: `${manifest.version}\n` });
});

it("wrong use exits 2 and says what there is", async () => {
  const { code, stderr } = await runCli(["inspekt"]);
  expect(code).toBe(2);
  expect(stderr).toContain("unknown command 'inspekt'");
  expect((await runCli(["inspect"])).code).toBe(2);
  expect((await runCli(["inspect", "x", "--nothing"])).code).toBe(2);
  expect((await runCli(["constructor"])).code).toBe(2);
  const json = await runCli(["inspect", "x", "--nothing", "--json"]);
  expect(JSON.parse(json.stdout).error.code).toBe("USAGE");
});
