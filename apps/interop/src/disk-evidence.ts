// What the Linux guest (guest/linux/init.c) leaves on its disk, judged from outside: numbered, checksummed blocks.
//
// A block is 1024 words of 32 bits, little-endian: "GODWITBK", its sequence number in two words, its position on the disk, the
// lap around the disk, pseudo-random words that follow from the sequence number, and last a checksum over all before it.

export const blockBytes = 4096;
export const diskBlocks = 4096;
export const diskBytes = diskBlocks * blockBytes;
/** Blocks that the guest has in flight at a time; one `COUNT` line stands for so many. */
export const batchBlocks = 8;

const blockWords = blockBytes / 4;
const stride = 1021;
const magic = [0x57444f47, 0x4b425449] as const;
const headWords = 6;

/** Where a block goes: neighbours in time are none on the disk, and each lap covers all of it. */
export const positionOf = (sequence: number): number => ((sequence % diskBlocks) * stride) % diskBlocks;

/** A block as the guest writes it. Sequence numbers begin with 1. */
export function evidenceBlock(sequence: number): Uint8Array {
  const words = new Uint32Array(blockWords);
  words.set([...magic, sequence, 0, positionOf(sequence), Math.floor(sequence / diskBlocks)]);
  let state = (sequence ^ 0x9e3779b9) >>> 0;
  for (let i = headWords; i < blockWords - 1; i++) {
    if (state === 0) state = 1;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  words[blockWords - 1] = checksum(words);
  return bytesOf(words);
}

function checksum(words: Uint32Array): number {
  let sum = 0x811c9dc5;
  for (let i = 0; i < blockWords - 1; i++) sum = Math.imul(sum ^ (words[i] as number), 0x01000193);
  return sum >>> 0;
}

export interface DiskEvidenceInit {
  /** The number of the last whole line `COUNT n`: so many batches had reached the disk. */
  readonly lastCount: number;
  /** Write requests that were carried out, summed over all QEMUs that the guest was in; the last one stands, and is drained. */
  readonly writes: number;
}

export interface DiskVerdict {
  /** Sequence numbers up to here must be on the disk, or be written over by one a lap later. */
  readonly completed: number;
  /** Those above it that are there: of batches that were under way. */
  readonly later: readonly number[];
  /** Sentences; none when the evidence is whole. */
  readonly problems: readonly string[];
}

/** A batch may have been finished and its line not have come out, and the next one be under way. */
const openBatches = 2;

/**
 * None lost: each position holds the last completed block that belongs there, or one that was under way. None torn: each block
 * is whole, byte for byte. None repeated: no block of a lap before stands over a later one, and as many requests were carried
 * out as there are blocks that the guest sent.
 */
export function verifyDisk(image: Uint8Array, { lastCount, writes }: DiskEvidenceInit): DiskVerdict {
  const completed = lastCount * batchBlocks;
  const possible = completed + openBatches * batchBlocks;
  const problems: string[] = [];
  const later: number[] = [];
  if (image.length !== diskBytes) problems.push(`the image has ${image.length} bytes, and should have ${diskBytes}`);
  for (const [position, due] of lastAtEach(completed).entries()) {
    const block = image.subarray(position * blockBytes, (position + 1) * blockBytes);
    const sequence = sequenceIn(block);
    if (sequence === undefined) {
      if (due !== 0) problems.push(`block ${position}: lost: nothing was written, and ${due} was completed`);
    } else if (!equal(block, evidenceBlock(sequence))) {
      problems.push(`block ${position}: torn: it begins as ${sequence} and is not that, whole`);
    } else if (positionOf(sequence) !== position) {
      problems.push(`block ${position}: misplaced: it is ${sequence} of block ${positionOf(sequence)}`);
    } else if (sequence < due) {
      problems.push(`block ${position}: lost or overwritten by a repeated one: ${sequence}, and ${due} was completed`);
    } else if (sequence > possible) {
      problems.push(`block ${position}: ${sequence} is there, and the guest could not be past ${possible}`);
    } else if (sequence > completed) {
      later.push(sequence);
    }
  }
  const written = completed + later.length;
  if (writes !== written) problems.push(`${writes} write requests were carried out, for ${written} blocks`);
  return { completed, later: later.sort((a, b) => a - b), problems };
}

/** By position, the last of the sequence numbers 1 to `completed` that belongs there; 0 where there is none. */
function lastAtEach(completed: number): number[] {
  const last = new Array<number>(diskBlocks).fill(0);
  for (let sequence = Math.max(1, completed - diskBlocks + 1); sequence <= completed; sequence++) {
    last[positionOf(sequence)] = sequence;
  }
  return last;
}

/** Whether it begins as a block does. */
export function isBlock(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return magic.every((word, index) => view.getUint32(4 * index, true) === word);
}

/** The number that a block claims; undefined when it was never written. */
function sequenceIn(block: Uint8Array): number | undefined {
  if (equal(block, neverWritten)) return undefined;
  return new DataView(block.buffer, block.byteOffset).getUint32(8, true);
}

const neverWritten = new Uint8Array(blockBytes);

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

const littleEndianHost = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** Little-endian, whatever the host is. */
function bytesOf(words: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(words.buffer);
  if (!littleEndianHost) Buffer.from(bytes.buffer).swap32();
  return bytes;
}
