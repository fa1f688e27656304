// The channel subsystem's state of this machine's own: its registers, and the interruptions that wait.
import { type Description, MigrationError, type StateOf, struct, u8, u16, u32, varray, vmstate } from "@godwit/core";

const interruption = vmstate({
  name: "godwit-io-interruption",
  version: 1,
  fields: { schid: u16, intparm: u32, isc: u8 },
});

/** What the hart has no registers for, and what an s390x machine's interrupt controller holds. */
const section = vmstate({
  name: "godwit-channel-io",
  version: 1,
  fields: {
    subsystem_id: u32,
    operand: u32,
    outcome: u32,
    subclasses: u8,
    adapters: u8,
    pending_count: u32,
    pending: varray("pending_count", struct(interruption), { max: 0x1_0000 }),
  },
});

export type ChannelIoState = StateOf<typeof section>;
export const channelIoDescription: Description<ChannelIoState> = section;

/** `DEVICE_CHECK` where interruptions came that no subsystem can have. */
export function checkChannelIo({ pending }: ChannelIoState): undefined {
  const seen = new Set<number>();
  pending.forEach(({ schid, isc }, i) => {
    if (isc > 7) throw refused(`pending[${i}].isc`, "0 to 7", isc);
    if (seen.has(schid)) throw refused(`pending[${i}].schid`, "one interruption a subchannel", schid);
    seen.add(schid);
  });
}

function refused(path: string, expected: string, found: number): MigrationError {
  return new MigrationError("DEVICE_CHECK", "interruptions that cannot be", { path, expected, found: String(found) });
}
