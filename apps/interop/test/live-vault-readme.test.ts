// What the README of the command line says of vaults, word for word: its example, and its lines for QMP.
import { readFileSync } from "node:fs";
import { haveStreams } from "@godwit/test-support/streams";
import { createVault, type Vault } from "godwit/vault";
import { describe, expect, it } from "vitest";
import { counts, goesOn } from "../src/counts.ts";
import { Qemu } from "../src/qemu.ts";
import { haveQemu } from "./support/live.ts";
import { tinyOptions, tinyStream } from "./support/tiny.ts";
import { endOf, stateOf } from "./support/vault-run.ts";

const target = "x86_64";
const have = haveStreams() && haveQemu(target);
const commandLine = new URL("../../cli/", import.meta.url);

interface Line {
  readonly execute: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** The lines for QMP, in the order of the page; files of `/run` stand in `folder`. */
function linesFor(folder: string): Line[] {
  const readme = readFileSync(new URL("README.md", commandLine), "utf8");
  const lines = readme.split("\n").filter((line) => line.startsWith('{"execute"'));
  return lines.map((line) => JSON.parse(line.replace("/run", folder)) as Line);
}

describe.skipIf(!have)("the README's vault, with live QEMU", { timeout: 180_000 }, () => {
  it("takes a guest and hands it on", async () => {
    const example = new URL("examples/hand-over.ts", commandLine).href;
    const { hold, handOn } = (await import(/* @vite-ignore */ example)) as {
      hold(vault: Vault, uri: string): Promise<void>;
      handOn(vault: Vault, uri: string): Promise<void>;
    };
    await using source = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    await using next = await Qemu.start({ target, options: tinyOptions(), incoming: true });
    const [capabilities, migrate, goOn, incoming, ...others] = linesFor(source.folder);
    expect(others).toEqual([]);
    const say = (qemu: Qemu, line: Line | undefined) => qemu.qmp(line?.execute ?? "", line?.arguments);
    const vault = createVault();
    const held = hold(vault, `unix:${source.folder}/vault.sock`);
    await say(source, capabilities);
    await say(source, migrate);
    await source.until(async () => (await stateOf(source)).migration === "pre-switchover", "pre-switchover");
    await say(source, goOn);
    await held;
    expect(await endOf(source)).toEqual({ migration: "completed", guest: "postmigrate" });
    await say(next, incoming);
    await handOn(vault, `unix:${source.folder}/next.sock`);
    await next.until(() => counts(next.serial).length >= 1, "counting");
    expect(goesOn(source.serial, next.serial).gaps).toEqual([]);
  });
});
