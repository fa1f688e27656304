// Our unit against QEMU's: the same steps lead to the same section, byte for byte, and to the same interrupts.
// `support/qemu-7.2.json` holds what QEMU 7.2 came to; apps/interop runs the same sequences on the QEMU that is there.
import { readFileSync } from "node:fs";
import { isMigrationError } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { deviceSourceId, type Sequence, sequences, summarize } from "./support/sequences.ts";
import { Driver, machine, sectionOf, TestMemory } from "./support.ts";

const recorded: Record<string, string> = JSON.parse(
  readFileSync(new URL("support/qemu-7.2.json", import.meta.url), "utf8"),
);

/** The summary of a sequence's end on our unit. */
function runOurs({ unit, steps }: Sequence): string {
  const made = machine({ ...unit, compatibilityFormat: "pass" }, new TestMemory(0x30_0000));
  const driver = new Driver(made);
  const signal = made.iommu.msiFor(deviceSourceId);
  const events: string[] = [];
  for (const [kind, at, ...values] of steps) {
    if (kind === "reg") driver.set(at, values[0] as number);
    else if (kind === "reg64") driver.set64(at, values[0] as bigint);
    else if (kind === "mem") {
      for (const [i, word] of values.entries()) made.memory.set64(at + 8 * i, word as bigint);
    } else if (kind === "see") events.push(`see ${made.memory.get32(at).toString(16)}`);
    else {
      made.messages.length = 0;
      signal(at, values[0] as number);
      const [message] = made.messages;
      if (message === undefined) {
        events.push("blocked");
        // QEMU 7.2 records no fault for a blocked interrupt. Ours does, which other tests look at.
        forget(driver);
      } else {
        const [address, data, upper = 0] = message;
        const whole = (BigInt(upper) << 32n) | BigInt(address);
        events.push(`${whole.toString(16)} ${data.toString(16)}`);
      }
    }
  }
  return summarize(sectionOf(made.kernel), events);
}

/** Clears the fault record and its status; what a record said before stays there, but for its flag. */
function forget(driver: Driver): void {
  driver.set(0x22c, 0x8000_0000);
}

/** The words of a fault record, which QEMU 7.2 leaves alone when it blocks an interrupt. */
const withoutRecord = (summary: string) => summary.replace(/ 2(20|24|28|2c)=[0-9a-f]+/g, "");

describe("the unit ends where QEMU's ends", () => {
  it("for each sequence that was recorded", () => {
    expect(sequences.map(({ name }) => name)).toEqual(Object.keys(recorded));
  });

  it.each(sequences.map((sequence) => [sequence.name, sequence] as const))("%s", (name, sequence) => {
    const ours = runOurs(sequence);
    let wanted = recorded[name] as string;
    for (const [theirs, instead] of sequence.differs?.replace ?? []) {
      expect(wanted).toContain(theirs);
      wanted = wanted.replace(theirs, instead);
    }
    expect(ours.endsWith("; blocked") ? withoutRecord(ours) : ours).toBe(wanted);
  });
});

describe("every end of a sequence", () => {
  it("is a state that loads, and is saved again as it was", () => {
    for (const { unit, steps } of sequences) {
      const options = { ...unit, compatibilityFormat: "pass" as const };
      const source = machine(options, new TestMemory(0x30_0000));
      const driver = new Driver(source);
      for (const [kind, at, ...values] of steps) {
        if (kind === "reg") driver.set(at, values[0] as number);
        else if (kind === "reg64") driver.set64(at, values[0] as bigint);
        else if (kind === "mem")
          for (const [i, word] of values.entries()) source.memory.set64(at + 8 * i, word as bigint);
        else if (kind === "msi") source.iommu.msiFor(deviceSourceId)(at, values[0] as number);
      }
      const target = machine(options, source.memory);
      try {
        target.kernel.restore(source.kernel.snapshot());
      } catch (error) {
        throw isMigrationError(error) ? new Error(JSON.stringify(error)) : error;
      }
      expect(sectionOf(target.kernel)).toEqual(sectionOf(source.kernel));
    }
  });
});
