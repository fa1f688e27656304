// Descriptor chains of a packed ring (virtio 1.2, sections 2.8.5 to 2.8.7): slots one after the other, or one slot that
// names a table.
import { ChainFault, type ChainRules, ChainSegments, indirectEntries } from "./chain.ts";
import type { DmaReader } from "./dma.ts";
import type { VirtqueueElement } from "./element.ts";
import { packedFlag, readPackedDescriptor } from "./packed-ring.ts";
import { descriptorBytes, deviceAddress, type RingAddresses } from "./ring.ts";

/**
 * Reads the chain that begins in slot `head`; `ndescs` of the result are the slots that it takes, and `index` is the
 * buffer id, which the last of them holds. Throws `ChainFault`, or what `memory` throws.
 */
export function readPackedChain(
  memory: DmaReader,
  ring: RingAddresses,
  head: number,
  rules: ChainRules,
): VirtqueueElement & { readonly ndescs: number } {
  const base = deviceAddress(ring.desc);
  const segments = new ChainSegments();
  for (let ndescs = 1; ; ndescs++) {
    if (ndescs > ring.num) throw new ChainFault("a chain that does not end");
    const slot = (head + ndescs - 1) % ring.num;
    const { address, length, id, flags } = readPackedDescriptor(
      memory,
      base + descriptorBytes * slot,
      rules.littleEndian,
    );
    const hasNext = (flags & packedFlag.next) !== 0;
    if ((flags & packedFlag.indirect) !== 0) {
      if (ndescs > 1) throw new ChainFault("an indirect descriptor within a chain");
      const entries = indirectEntries(length, hasNext, rules.indirect);
      readTable(memory, deviceAddress(address), entries, rules.littleEndian, segments);
    } else {
      segments.add(address, length, (flags & packedFlag.write) !== 0);
    }
    if (!hasNext) return { index: id, out: segments.out, in: segments.in, ndescs };
  }
}

/** All entries of a table belong to the chain, whatever they say but for who writes. */
function readTable(memory: DmaReader, base: number, entries: number, littleEndian: boolean, into: ChainSegments): void {
  for (let i = 0; i < entries; i++) {
    const { address, length, flags } = readPackedDescriptor(memory, base + descriptorBytes * i, littleEndian);
    if ((flags & packedFlag.indirect) !== 0) throw new ChainFault("an indirect descriptor within an indirect table");
    into.add(address, length, (flags & packedFlag.write) !== 0);
  }
}
