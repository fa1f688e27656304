// What a command descriptor block says of the data that it moves (SBC-3, section 5; SPC-4, section 6).
import { opcode, sectorBytes } from "./constants.ts";

export interface BlockCommand {
  readonly write: boolean;
  readonly block: bigint;
  readonly count: number;
  /** What is written must be durable when it is answered: FUA, or WRITE AND VERIFY. */
  readonly durable: boolean;
  /** RDPROT or WRPROT: protection information is asked for. */
  readonly protection: number;
}

const reads: readonly number[] = [opcode.READ_6, opcode.READ_10, opcode.READ_12, opcode.READ_16];
const verified: readonly number[] = [opcode.WRITE_VERIFY_10, opcode.WRITE_VERIFY_12, opcode.WRITE_VERIFY_16];
const writes: readonly number[] = [...[opcode.WRITE_6, opcode.WRITE_10, opcode.WRITE_12, opcode.WRITE_16], ...verified];

/** Undefined: the command moves no blocks. These are the commands whose requests carry a sector in QEMU's sections. */
export function blockCommand(cdb: Uint8Array): BlockCommand | undefined {
  const [code = 0, flags = 0] = cdb;
  const write = writes.includes(code);
  if (!write && !reads.includes(code)) return undefined;
  const view = new DataView(cdb.buffer, cdb.byteOffset, cdb.byteLength);
  const fua = (flags & 0x08) !== 0;
  const common = { write, durable: write && (fua || verified.includes(code)), protection: flags >> 5 };
  switch (code >> 5) {
    case 0:
      // The oldest form has 21 bits for the block and no flags, and means 256 by a count of 0.
      return {
        write,
        durable: false,
        protection: 0,
        block: BigInt(view.getUint32(0) & 0x1f_ffff),
        count: view.getUint8(4) || 256,
      };
    case 1:
      return { ...common, block: BigInt(view.getUint32(2)), count: view.getUint16(7) };
    case 4:
      return { ...common, block: view.getBigUint64(2), count: view.getUint32(10) };
    default:
      return { ...common, block: BigInt(view.getUint32(2)), count: view.getUint32(6) };
  }
}

export interface Transfer {
  readonly to: "initiator" | "disk";
  readonly bytes: number;
}

/** What the command may move at most: its blocks, or its allocation length. Undefined: nothing, or it is not known. */
export function transferOf(cdb: Uint8Array): Transfer | undefined {
  const command = blockCommand(cdb);
  if (command !== undefined) return { to: command.write ? "disk" : "initiator", bytes: command.count * sectorBytes };
  const view = new DataView(cdb.buffer, cdb.byteOffset, cdb.byteLength);
  const toInitiator = (bytes: number): Transfer => ({ to: "initiator", bytes });
  switch (cdb[0]) {
    case opcode.REQUEST_SENSE:
    case opcode.MODE_SENSE_6:
      return toInitiator(view.getUint8(4));
    case opcode.INQUIRY:
      return toInitiator(view.getUint16(3));
    case opcode.READ_CAPACITY_10:
      return toInitiator(8);
    case opcode.MODE_SENSE_10:
      return toInitiator(view.getUint16(7));
    case opcode.REPORT_LUNS:
      return toInitiator(view.getUint32(6));
    case opcode.SERVICE_ACTION_IN_16:
      return toInitiator(view.getUint32(10));
    default:
      return undefined;
  }
}
