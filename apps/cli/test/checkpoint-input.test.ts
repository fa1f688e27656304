// Recordings of a checkpoint file, read as the streams that they hold.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { recordStream } from "../src/checkpoint/index.ts";
import type { Inspection } from "../src/inspect/inspection.ts";
import { runCli } from "./run-cli.ts";

const names = ["q35-bare-7.2.stream", "q35-bare-kvm-7.2.stream"];

describe.skipIf(!haveStreams())("a checkpoint file", () => {
  const folder = mkdtempSync(join(tmpdir(), "godwit-checkpoint-input-"));
  const at = (name: string): string => join(folder, name);
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeAll(async () => {
    for (const [i, raw] of names.entries()) {
      const bytes = readStream(raw);
      writeFileSync(at(`${i}.stream`), bytes);
      async function* chunks() {
        yield bytes;
      }
      await recordStream(chunks(), at("vm.checkpoint"), { name: ["first", "second"][i] as string });
    }
  });
  const json = async (...args: string[]): Promise<Inspection> =>
    JSON.parse((await runCli([...args, "--json"])).stdout) as Inspection;

  it("is read by verbs as the stream that it holds", async () => {
    const file = await json("inspect", at("1.stream"));
    const last = await json("inspect", at("vm.checkpoint"));
    const { stream, ...rest } = last;
    expect({ ...rest, stream: 0 }).toEqual({ ...file, stream: 0 });
    expect(stream.checkpoint?.recording).toBe("second");
    expect(stream.checkpoint?.recordings.map(({ name, machineType }) => [name, machineType])).toEqual([
      ["first", "pc-q35-7.2"],
      ["second", "pc-q35-7.2"],
    ]);
    const { stdout } = await runCli(["inspect", at("vm.checkpoint")]);
    expect(stdout).toMatch(/recordings +first, .* pages new\n +\* second, /);
    expect((await runCli(["verify", at("vm.checkpoint")])).code).toBe(0);
  });

  it("gives another recording by its name, and two of them to be compared", async () => {
    const first = await json("inspect", `${at("vm.checkpoint")}#first`);
    expect(first.stream.checkpoint?.recording).toBe("first");
    expect(first.sections).toEqual((await json("inspect", at("0.stream"))).sections);
    const same = await runCli(["diff", `${at("vm.checkpoint")}#first`, at("0.stream")]);
    expect(same.code).toBe(0);
    const other = await runCli(["diff", `${at("vm.checkpoint")}#first`, `${at("vm.checkpoint")}#second`]);
    expect(other.code).toBe(1);
  });

  it("is told where it cannot be read by its index, and where there is no such recording", async () => {
    const piped = await runCli(["inspect", "-"], { stdin: new Uint8Array(readFileSync(at("vm.checkpoint"))) });
    expect(piped.code).toBe(1);
    expect(piped.stderr).toContain("checkpoint file of recordings");
    const nothing = await runCli(["inspect", `${at("vm.checkpoint")}#third`, "--json"]);
    expect(JSON.parse(nothing.stdout).error.code).toBe("CHECKPOINT_NAME");
    expect(nothing.code).not.toBe(3);
    const plain = await runCli(["inspect", `${at("0.stream")}#first`, "--json"]);
    expect([plain.code, JSON.parse(plain.stdout).error.code]).toEqual([2, "INPUT_RECORDING"]);
  });
});
