// Source-id validation: whether the device that interrupts is one that the table's entry was made for.
// Source: VT-d specification, the fields SVT, SQ and SID of an interrupt-remapping table entry.
import { InterruptFault, type InterruptRequest, interruptFaultReason } from "./fault.ts";
import type { InterruptEntry } from "./interrupt-table.ts";
import { formatSourceId } from "./source-id.ts";

/** SVT: 0 takes every device; 3 is reserved, and refused when the entry is read. */
const validate = { SOURCE: 1, BUS: 2 } as const;

/** SQ: bits of the function number that are not compared. */
const notCompared: readonly number[] = [0b000, 0b100, 0b110, 0b111];

/** `TRANSLATION_FAULT` where the entry is another device's. */
export function checkSource(entry: InterruptEntry, index: number, request: InterruptRequest): void {
  const { type, qualifier, sourceId: wanted } = entry.validation;
  if (type === validate.SOURCE) {
    const compared = 0xffff & ~(notCompared[qualifier] as number);
    if (((request.sourceId ^ wanted) & compared) !== 0) throw denied(`device ${formatSourceId(wanted)}`);
  } else if (type === validate.BUS) {
    const [bus, first, last] = [request.sourceId >>> 8, wanted >>> 8, wanted & 0xff];
    if (bus < first || bus > last) throw denied(`a device of bus ${first} to ${last}`);
  }

  function denied(expected: string): InterruptFault {
    const what = `the entry ${index} of the interrupt-remapping table is for other devices`;
    return new InterruptFault(request, index, {
      reason: interruptFaultReason.SOURCE_DENIED,
      what,
      expected,
      found: `device ${formatSourceId(request.sourceId)}`,
      silent: entry.silent,
    });
  }
}
