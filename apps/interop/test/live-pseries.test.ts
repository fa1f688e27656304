// pseries with a hot-plug event pending: the rebuilt stream in real QEMU.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ppc64Firmware } from "../src/guests.ts";
import { hotPlug, pseriesOptions } from "../src/machines.ts";
import { hop } from "./support/hop.ts";
import { fileOf, haveQemu } from "./support/live.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "godwit-live-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The word that the guest looks at before it asks for events. */
const asked = 0x7f00;

describe.skipIf(!haveQemu("ppc64"))("pseries: a pending event", () => {
  it("goes on counting, and is told of the card that was plugged in before", async () => {
    const firmware = fileOf(folder, "ppc64.bin", ppc64Firmware());
    const options = pseriesOptions.map((word) => word.replace("GUEST", firmware));
    const described = await hop({
      target: "ppc64",
      source: { options },
      destination: [...options, ...hotPlug.option],
      before: async (qemu) => {
        await qemu.qmp("device_add", hotPlug.arguments);
        expect(qemu.serial).not.toContain("EVENT");
      },
      rebuild: {
        // Nobody on the source has set it: what QEMU shows is what Godwit changed.
        editRam: (blocks) => blocks.get("ppc_spapr.ram")?.set([0, 0, 0, 1], asked),
      },
      after: (qemu) => qemu.until(() => qemu.serial.includes("EVENT 40000010\n"), "the event"),
    });
    expect(described).toContain("spapr");
  });
});
