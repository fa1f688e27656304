// Descriptor chains of a split ring (virtio 1.2, sections 2.7.5 to 2.7.8): from a head to the memory that a request
// consists of.
import { maxChain } from "./constants.ts";
import type { DmaReader } from "./dma.ts";
import type { Segment, VirtqueueElement } from "./element.ts";
import { descriptorBytes, deviceAddress, type RingAddresses, type RingRules } from "./ring.ts";

const flags = { next: 1, write: 2, indirect: 4 } as const;

interface Descriptor {
  readonly address: bigint;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

/** The driver built something that is no chain; `message` says what. */
export class ChainFault extends Error {}

export interface ChainRules extends RingRules {
  /** RING_INDIRECT_DESC is negotiated. */
  readonly indirect: boolean;
}

/** Collects the segments of one chain, and holds them to the rules that both forms of a ring share. */
export class ChainSegments {
  readonly out: Segment[] = [];
  readonly in: Segment[] = [];

  add(address: bigint, length: number, deviceWrites: boolean): void {
    if (this.out.length + this.in.length >= maxChain) throw new ChainFault("a chain that does not end");
    if (length === 0) throw new ChainFault("a descriptor of no bytes");
    const segment = { address: deviceAddress(address), length };
    if (deviceWrites) this.in.push(segment);
    else if (this.in.length > 0) throw new ChainFault("a readable descriptor after a writable one");
    else this.out.push(segment);
  }
}

/** Entries of an indirect table; throws `ChainFault` where the descriptor may not name one. */
export function indirectEntries(length: number, hasNext: boolean, negotiated: boolean): number {
  if (!negotiated) throw new ChainFault("an indirect descriptor that was not negotiated");
  if (hasNext) throw new ChainFault("an indirect descriptor with a next one");
  if (length === 0 || length % descriptorBytes !== 0) throw new ChainFault(`an indirect table of ${length} bytes`);
  return length / descriptorBytes;
}

/** Reads the chain that begins at `head`. Throws `ChainFault`, or what `memory` throws. */
export function readChain(memory: DmaReader, ring: RingAddresses, head: number, rules: ChainRules): VirtqueueElement {
  const segments = new ChainSegments();
  let table = deviceAddress(ring.desc);
  let size = ring.num;
  let inTable = false;
  let steps = 0;
  for (let at = head; ; ) {
    if (at >= size) throw new ChainFault(`descriptor ${at} of a table of ${size}`);
    const one = readDescriptor(memory, table + descriptorBytes * at, rules.littleEndian);
    if ((one.flags & flags.indirect) !== 0) {
      if (inTable) throw new ChainFault("an indirect descriptor within an indirect table");
      size = indirectEntries(one.length, (one.flags & flags.next) !== 0, rules.indirect);
      table = deviceAddress(one.address);
      inTable = true;
      steps = 0;
      at = 0;
      continue;
    }
    if (++steps > size) throw new ChainFault("a chain that does not end");
    segments.add(one.address, one.length, (one.flags & flags.write) !== 0);
    if ((one.flags & flags.next) === 0) return { index: head, out: segments.out, in: segments.in };
    at = one.next;
  }
}

function readDescriptor(memory: DmaReader, address: number, littleEndian: boolean): Descriptor {
  const bytes = memory.read(address, descriptorBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    address: view.getBigUint64(0, littleEndian),
    length: view.getUint32(8, littleEndian),
    flags: view.getUint16(12, littleEndian),
    next: view.getUint16(14, littleEndian),
  };
}
