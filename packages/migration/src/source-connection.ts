// How a source comes to its main connection, and to the wire that is spoken over it.
import { migrationError } from "./codes.ts";
import { loadDigests } from "./godwit/digest.ts";
import { godwitSourceWire } from "./godwit/source-wire.ts";
import type { Channel, MigratableRam } from "./host.ts";
import type { PeerKind } from "./options.ts";
import { qemuSourceWire } from "./qemu/source-wire.ts";
import type { SourceWire, SourceWireOptions } from "./wire.ts";

export interface SourceConnectionOptions extends Omit<SourceWireOptions, "channel"> {
  readonly peer: PeerKind | undefined;
  readonly ram: MigratableRam | undefined;
  connect(): Promise<Channel>;
}

/** `PEER_SILENT` where nobody answers, and what `connect` rejects with. */
export async function connectSource(options: SourceConnectionOptions): Promise<SourceWire> {
  const { clock, interrupt, peerTimeoutMs, peer, ram, connect } = options;
  const digests = await interrupt.wait(loadDigests());
  const stop = clock.after(peerTimeoutMs, () => {
    interrupt.raise(migrationError("PEER_SILENT", `nobody answers for ${peerTimeoutMs} ms`, { side: "source" }));
  });
  try {
    const channel = await interrupt.wait(connect());
    if (peer !== "qemu") return godwitSourceWire({ ...options, channel }, digests);
    return qemuSourceWire({ ...options, channel, blocks: () => ram?.blocks ?? [], pageBytes: ram?.pageBytes });
  } finally {
    stop();
  }
}
