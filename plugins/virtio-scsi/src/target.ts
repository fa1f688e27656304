// What a target answers by itself: the list of its units, and commands to a unit that it does not have (SPC-4, 4.5, 6.33).
import { transferOf } from "./cdb.ts";
import { type CommandAnswer, standardInquiry } from "./commands.ts";
import { opcode, scsiStatus } from "./constants.ts";
import { type Answer, lunBytes } from "./request.ts";
import { type Sense, senseBytesOf, senseOf } from "./sense.ts";

/** LUN 0 is listed whether it is there or not: it is where the list is asked for. */
export function reportLuns(luns: readonly number[], cdb: Uint8Array): CommandAnswer {
  const view = new DataView(cdb.buffer, cdb.byteOffset, cdb.byteLength);
  const length = view.getUint32(6);
  const selection = view.getUint8(2);
  // An allocation length below 16 is an error (SPC-4, table 294); 1 selects well-known units, of which there are none.
  if (length < 16 || selection > 2) return { sense: senseOf.invalidField };
  const listed = selection === 1 ? [] : [...new Set([0, ...luns])].sort((a, b) => a - b);
  const data = new Uint8Array(8 + 8 * listed.length);
  new DataView(data.buffer).setUint32(0, data.length - 8);
  for (const [i, lun] of listed.entries()) data.set(lunBytes(lun), 8 + 8 * i);
  return { data: data.subarray(0, length) };
}

/** A target that is there answers for units that are not. */
export function answerForMissing(lun: number, luns: readonly number[], cdb: Uint8Array, inBytes: number): Answer {
  const fail = (sense: Sense): Answer => ({
    status: scsiStatus.CHECK_CONDITION,
    sense: senseBytesOf(sense),
    residual: inBytes,
  });
  const { bytes = 0 } = transferOf(cdb) ?? {};
  const give = (all: Uint8Array): Answer => {
    const data = all.subarray(0, Math.min(bytes, inBytes));
    return { data, residual: inBytes - data.length };
  };
  switch (cdb[0]) {
    case opcode.REPORT_LUNS: {
      const answer = reportLuns(luns, cdb);
      return typeof answer === "object" && "data" in answer ? give(answer.data) : fail(senseOf.invalidField);
    }
    case opcode.INQUIRY: {
      if (((cdb[1] as number) & 1) !== 0 || cdb[2] !== 0) return fail(senseOf.invalidField);
      const data = standardInquiry({ vendor: "GODWIT", product: "TARGET" });
      // No device is connected; at LUN 0 there might be one.
      data[0] = lun === 0 ? 0x3f : 0x7f;
      return give(data);
    }
    case opcode.REQUEST_SENSE:
      return give(senseBytesOf(senseOf.noSuchUnit));
    default:
      return fail(senseOf.noSuchUnit);
  }
}
