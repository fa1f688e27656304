// Descriptor chains (virtio 1.2, sections 2.7.5 to 2.7.8): from a head to the memory that a request consists of.
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

/** Reads the chain that begins at `head`. Throws `ChainFault`, or what `memory` throws. */
export function readChain(memory: DmaReader, ring: RingAddresses, head: number, rules: ChainRules): VirtqueueElement {
  const out: Segment[] = [];
  const into: Segment[] = [];
  let table = deviceAddress(ring.desc);
  let size = ring.num;
  let inTable = false;
  let steps = 0;
  for (let at = head; ; ) {
    if (at >= size) throw new ChainFault(`descriptor ${at} of a table of ${size}`);
    const one = readDescriptor(memory, table + descriptorBytes * at, rules.littleEndian);
    if ((one.flags & flags.indirect) !== 0) {
      if (!rules.indirect) throw new ChainFault("an indirect descriptor that was not negotiated");
      if (inTable) throw new ChainFault("an indirect descriptor within an indirect table");
      if ((one.flags & flags.next) !== 0) throw new ChainFault("an indirect descriptor with a next one");
      if (one.length === 0 || one.length % descriptorBytes !== 0) {
        throw new ChainFault(`an indirect table of ${one.length} bytes`);
      }
      table = deviceAddress(one.address);
      size = one.length / descriptorBytes;
      inTable = true;
      steps = 0;
      at = 0;
      continue;
    }
    if (++steps > size || out.length + into.length >= maxChain) throw new ChainFault("a chain that does not end");
    if (one.length === 0) throw new ChainFault("a descriptor of no bytes");
    const segment = { address: deviceAddress(one.address), length: one.length };
    if ((one.flags & flags.write) !== 0) into.push(segment);
    else if (into.length > 0) throw new ChainFault("a readable descriptor after a writable one");
    else out.push(segment);
    if ((one.flags & flags.next) === 0) return { index: head, out, in: into };
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
