// What a command descriptor block says that reads or writes blocks (SBC-3, section 5).
import { opcode } from "./constants.ts";

export interface BlockCommand {
  readonly write: boolean;
  readonly block: number;
  readonly count: number;
}

const reads: readonly number[] = [opcode.READ_6, opcode.READ_10, opcode.READ_12, opcode.READ_16];
const writes: readonly number[] = [opcode.WRITE_6, opcode.WRITE_10, opcode.WRITE_12, opcode.WRITE_16];

/** Undefined: the command moves no blocks. A block from 2^53 on comes as `Infinity`. */
export function blockCommand(cdb: Uint8Array): BlockCommand | undefined {
  const [code = 0] = cdb;
  const write = writes.includes(code);
  if (!write && !reads.includes(code)) return undefined;
  const view = new DataView(cdb.buffer, cdb.byteOffset, cdb.byteLength);
  switch (code >> 5) {
    case 0:
      // The oldest form has 21 bits for the block, and means 256 by a count of 0.
      return { write, block: view.getUint32(0) & 0x1f_ffff, count: view.getUint8(4) || 256 };
    case 1:
      return { write, block: view.getUint32(2), count: view.getUint16(7) };
    case 4: {
      const block = view.getBigUint64(2);
      return { write, block: block < 1n << 53n ? Number(block) : Number.POSITIVE_INFINITY, count: view.getUint32(10) };
    }
    default:
      return { write, block: view.getUint32(2), count: view.getUint32(6) };
  }
}
