// Downgrades of the releases guide, as the preamble sees them: what loads is never refused, and what is refused before
// the first byte is refused by the load as well.

import { describe, expect, it } from "vitest";
import { busy, computers, type Release, releases, saveOf } from "../../packages/core/examples/releases/golden.ts";
import { isMigrationError, type Kernel } from "../../packages/core/src/index.ts";
import { formatMisfit, misfits } from "../../packages/migration/src/index.ts";

type Computer = { readonly kernel: Kernel };

function quiet() {
  const of = busy[2]();
  of.serial.timeout.ticks = 0;
  Object.assign(of.modem, { online: false, dialled: 0, baud: 300 });
  return of;
}

const sources: readonly [string, Release, () => Computer][] = [
  ["2, nothing new in use", 2, quiet],
  [
    "2, receive timeout pending",
    2,
    () => {
      const of = quiet();
      of.serial.timeout.ticks = 40;
      return of;
    },
  ],
  [
    "2, modem set to 2400",
    2,
    () => {
      const of = quiet();
      of.modem.baud = 2400;
      return of;
    },
  ],
  ...releases.map((release): [string, Release, () => Computer] => [`${release}, golden`, release, busy[release]]),
];
const rows = sources.flatMap(([name, from, make]) => releases.map((to) => ({ name, from, make, to })));

/** How the load ends: the error's code and what it is about. */
async function outcome(
  source: Computer,
  destination: Computer,
): Promise<{ code: string; section: unknown } | undefined> {
  try {
    await destination.kernel.load(await saveOf(source));
    return undefined;
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    return { code: error.code, section: error.location.section };
  }
}

describe("the preamble of a save", () => {
  it.each(rows)("$name, into release $to tells what the load tells", async ({ make, from, to }) => {
    const [source, destination] = [make(), computers[to]()];
    const found = misfits(source.kernel.manifest(), destination.kernel.manifest());
    const refusals = found.filter(({ refuses }) => refuses).map(formatMisfit);
    const failed = await outcome(source, destination);
    if (failed === undefined) expect(refusals).toEqual([]);
    // The load's own error is among what was told.
    else
      expect(found.map(({ code, subject }) => `${code} ${subject}`).join("\n")).toContain(
        `${failed.code} section ${failed.section}`,
      );
    if (from <= to) expect(found).toEqual([]);
  });

  it("refuses or warns, as the guide's rows go", () => {
    const told = rows
      .filter(({ from, to }) => to < from)
      .map(({ name, make, to }) => {
        const found = misfits(make().kernel.manifest(), computers[to]().kernel.manifest());
        return `${name} -> ${to}: ${found.some(({ refuses }) => refuses) ? "refused" : "warned"}`;
      });
    expect(told).toEqual([
      "2, nothing new in use -> 1: warned",
      "2, receive timeout pending -> 1: warned",
      "2, modem set to 2400 -> 1: warned",
      "2, golden -> 1: warned",
      ...["3", "4", "5"].flatMap((from) =>
        releases.filter((to) => to < Number(from)).map((to) => `${from}, golden -> ${to}: refused`),
      ),
    ]);
  });
});
