// A sequence on our unit, and the unit's section in anybody's stream.
import { Driver, type Machine, machine, TestMemory } from "../support.ts";
import { deviceSourceId, type Sequence, type Step, summarize } from "./sequences.ts";

const sectionBytes = 602;

/** Where the section's body begins in a stream. */
function sectionAt(stream: Uint8Array): number {
  const idstr = Buffer.from("\x0biommu-intel");
  const at = Buffer.from(stream.buffer, stream.byteOffset, stream.length).indexOf(idstr);
  if (at < 0) throw new Error("no unit in the stream");
  return at + idstr.length + 8;
}

export function sectionIn(stream: Uint8Array): Uint8Array {
  const at = sectionAt(stream);
  return stream.slice(at, at + sectionBytes);
}

/** The stream with another section of the same unit. */
export function withSection(stream: Uint8Array, section: Uint8Array): Uint8Array {
  const copy = stream.slice();
  copy.set(section, sectionAt(stream));
  return copy;
}

/** A unit of ours that does as QEMU's where both may do as they like. */
export function ourUnit(unit: Sequence["unit"]): Machine {
  return machine({ ...unit, compatibilityFormat: "pass" }, new TestMemory(0x30_0000));
}

/** Takes the steps of a sequence. Gives the events, as a run on QEMU does. */
export function runOurs(made: Machine, steps: readonly Step[]): string[] {
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
  return events;
}

/** Clears the fault record's flag and its status; what the record said stays there. */
function forget(driver: Driver): void {
  driver.set(0x22c, 0x8000_0000);
}

/** The words of a fault record, which QEMU 7.2 leaves alone when it blocks an interrupt. */
const withoutRecord = (summary: string) => summary.replace(/ 2(20|24|28|2c)=[0-9a-f]+/g, "");

/** The summary of an end of ours, as far as QEMU can have the same. */
export function summaryOf(section: Uint8Array, events: readonly string[]): string {
  const summary = summarize(section, events);
  return events.at(-1) === "blocked" ? withoutRecord(summary) : summary;
}

/** What ours should come to where QEMU came to `theirs`. */
export function expectedOf({ differs }: Sequence, theirs: string): string {
  return (differs?.replace ?? []).reduce((text, [word, instead]) => {
    if (!text.includes(word)) throw new Error(`QEMU did not come to ${word}: ${text}`);
    return text.replace(word, instead);
  }, theirs);
}
