// The README's example is a file that runs; its tables are those of the code.
import { readFileSync } from "node:fs";
import { marker, vfioErrorCodes, vfioPci } from "@godwit/vfio-config-subflag";
import { expect, it } from "vitest";
import { machine, sent } from "../examples/machine.ts";
import { at, testConfig } from "./support/config.ts";
import { outline, vfioSections } from "./support/walk.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("shows the example as it is", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(new URL("../examples/machine.ts", import.meta.url), "utf8"));
});

it("runs it", async () => {
  const delivered: string[] = [];
  const { config } = testConfig();
  const here = machine(config, (vector) => delivered.push(`here ${vector}`));
  const there = machine(config, (vector) => delivered.push(`there ${vector}`));
  here.kernel.resume();
  here.nic.function.msixWrite(12, 4, 0);
  here.nic.function.configWrite(at.msix + 2, 2, 0x8000);
  here.nic.function.driver.work(1000);
  const chunks: Uint8Array[] = [];
  for (const chunk of sent(here, 300 * 1024)) {
    chunks.push(chunk);
    here.nic.function.driver.work(1);
  }
  await there.kernel.load(new Uint8Array(Buffer.concat(chunks)));
  expect([...there.routes]).toEqual([0]);
  there.kernel.resume();
  expect(there.nic.function.driver.jobs).toBe(here.nic.function.driver.jobs);
  expect([delivered.filter((line) => line === "here 0").length > 1000, delivered.at(-1)]).toEqual([true, "there 0"]);
  const outlines = vfioSections(new Uint8Array(Buffer.concat(chunks))).map(outline);
  expect(outlines.at(-2)).toMatch(/^end: CONFIG\(1\) DATA /);
  expect(outlines.at(-1)).toBe("full: CONFIG(2) END_OF");
});

it("names every error code and every marker", () => {
  const rows = Array.from(readme.matchAll(/^\| `([A-Z0-9_]+)`/gm), ([, name]) => name);
  expect(rows).toEqual([...Object.keys(vfioErrorCodes), ...Object.keys(marker)]);
});

it("bears the package's name and version", () => {
  const { name, version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  const { config } = testConfig();
  const { nic } = machine(config, () => {});
  expect(nic.registration.idstr).toBe("0000:00:05.0/vfio");
  const plugin = vfioPci({
    path: "0000:00:06.0",
    container: { stop() {}, start() {}, checkCapabilities() {}, add: () => () => {}, sent() {}, checkPeers() {} },
    config: { config },
    driver: () => nic.function.driver,
    interrupts: { attach() {}, detach() {}, signal() {} },
    after: [],
  });
  expect(plugin).toMatchObject({ name, version, contract: 2 });
});
