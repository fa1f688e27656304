// The README's example of a restart is a file that runs, on a real disk.
import { readFileSync } from "node:fs";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOwnership, type OwnershipRecord } from "@godwit/migration";
import { fileOwnershipLog } from "@godwit/migration/ownership-file";
import { memoryPair } from "@godwit/transport";
import { expect, it } from "vitest";
import { answer, restart } from "../../examples/restart.ts";
import { drive, ManualClock } from "../support/clock.ts";

const machine = "00112233445566778899aabbccddeeff";

it("is shown as it is", () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const shown = Array.from(readme.matchAll(/```ts\n([\s\S]*?)```/g), ([, code]) => code);
  expect(shown).toContain(readFileSync(new URL("../../examples/restart.ts", import.meta.url), "utf8"));
});

it("tells a process that restarts what to do", async () => {
  const folder = async () => fs.mkdtemp(join(tmpdir(), "godwit-restart-"));
  const [here, there] = [await folder(), await folder()];
  try {
    const clock = new ManualClock();
    const nobody = () => Promise.reject(new Error("nobody may be called"));
    const start = () => restart(machine, here, clock, nobody);
    expect(await start()).toBe("it is not ours");
    const log = fileOwnershipLog({ fs, folder: here });
    const owned = await createOwnership(log, machine);
    expect(await start()).toBe("run what was saved");
    const released: OwnershipRecord = { ...owned, state: "released" };
    await log.write(released, owned);

    const ask = async (holds: boolean) => {
      const [one, other] = memoryPair();
      const answering = answer(
        there,
        clock,
        async () => other,
        () => holds,
      );
      const asking = restart(machine, here, clock, async () => one);
      const outcome = await drive(asking, clock);
      return [outcome, (await drive(answering, clock)).answer];
    };
    expect(await ask(true)).toEqual(["in-doubt", "unknown"]);
    await fileOwnershipLog({ fs, folder: there }).write({ machine, epoch: 2, state: "owned" }, undefined);
    expect(await ask(true)).toEqual(["taken", "taken"]);
    expect(await ask(false)).toEqual(["lost", "lost"]);
  } finally {
    for (const path of [here, there]) await fs.rm(path, { recursive: true });
  }
});
