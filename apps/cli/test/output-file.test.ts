// A file that is there whole or not at all, whatever happens on the way.
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { haveStreams } from "@godwit/test-support/streams";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { encodeHeader } from "../src/checkpoint/format.ts";
import { createOutputFile, type OutputFile } from "../src/io/output-file.ts";
import { workshop } from "./edit-support.ts";

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "godwit-output-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function written(path: string, folder: string): OutputFile {
  const file = createOutputFile(path, folder);
  file.write(new TextEncoder().encode("new"));
  return file;
}

describe("an output file", () => {
  it("stands at its place once it is complete, and no earlier", () => {
    const folder = newFolder();
    writeFileSync(join(folder, "out"), "old");
    const file = written("out", folder);
    expect(readFileSync(join(folder, "out"), "utf8")).toBe("old");
    file.commit();
    file.discard();
    expect(readFileSync(join(folder, "out"), "utf8")).toBe("new");
    expect(readdirSync(folder)).toEqual(["out"]);
  });

  it("does not take the place of a checkpoint file, which may hold many recordings", () => {
    const folder = newFolder();
    writeFileSync(join(folder, "out"), Buffer.concat([encodeHeader(), new Uint8Array(100)]));
    expect(() => createOutputFile("out", folder)).toThrow(/recordings would be lost/);
    expect(readdirSync(folder)).toEqual(["out"]);
  });

  it("leaves nothing where it cannot take its place", () => {
    const folder = newFolder();
    const file = written("out", folder);
    mkdirSync(join(folder, "out"));
    expect(() => file.commit()).toThrow(/out cannot be written/);
    file.discard();
    expect(readdirSync(folder)).toEqual(["out"]);
  });

  it.skipIf(process.platform === "win32")("keeps the mode of what it replaces: a guest's memory stays private", () => {
    const folder = newFolder();
    const out = join(folder, "out");
    writeFileSync(out, "old");
    for (const mode of [0o600, 0o666]) {
      chmodSync(out, mode);
      const file = written("out", folder);
      const [partial = ""] = readdirSync(folder).filter((name) => name !== "out");
      expect(statSync(join(folder, partial)).mode & 0o777).toBe(mode);
      file.commit();
      expect(statSync(out).mode & 0o777).toBe(mode);
    }
  });

  it.skipIf(process.platform === "win32")("replaces what a link leads to, and not the link", () => {
    const folder = newFolder();
    mkdirSync(join(folder, "there"));
    writeFileSync(join(folder, "there", "file"), "old");
    symlinkSync(join(folder, "there", "file"), join(folder, "link"));
    written("link", folder).commit();
    expect(lstatSync(join(folder, "link")).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(folder, "there", "file"), "utf8")).toBe("new");
  });
});

describe.skipIf(!haveStreams())("an edit that a signal stops", () => {
  it("leaves nothing, and ends as the signal would have ended it", async () => {
    const { put, edit, files } = workshop();
    const stream = put("q35-bare-7.2.stream");
    const kill = vi.spyOn(process, "kill").mockReturnValue(true);
    onTestFinished(() => kill.mockRestore());
    let isRunning = true;
    const running = edit([stream, "-o", "out", "--rename-machine", "x"]).finally(() => {
      isRunning = false;
    });
    while (isRunning && !files().some((name) => name.endsWith(".partial"))) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    process.emit("SIGTERM");
    expect(kill.mock.calls).toEqual([[process.pid, "SIGTERM"]]);
    expect(files()).toEqual([stream]);
    await running;
    expect(files()).toEqual([stream]);
    expect(process.listenerCount("SIGTERM")).toBe(0);
  });
});
