import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { arrivalQueue } from "../src/arrivals.ts";
import { listen as listenExec } from "../src/exec.ts";
import { listen as listenFile } from "../src/file.ts";
import { memoryPair } from "../src/index.ts";

describe("an address by which one connection comes", () => {
  it("tells whoever waits for a second one that nobody else comes", async () => {
    const arrivals = arrivalQueue("fd:3");
    const [only] = memoryPair();
    arrivals.offerOnly(only);
    expect(await arrivals.accept()).toBe(only);
    await expect(arrivals.accept()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED", found: "fd:3" });
    arrivals.close();
    await expect(arrivals.accept()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
  });

  it("is that of a file, and that of a command", async () => {
    const folder = await mkdtemp(join(tmpdir(), "godwit-"));
    try {
      const path = join(folder, "stream");
      await writeFile(path, "QEVM");
      for (const listener of [await listenFile(`file:${path}`), await listenExec("exec:true")]) {
        const channel = await listener.accept();
        await expect(listener.accept()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
        channel.abort(new Error("enough"));
        await listener.close();
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
