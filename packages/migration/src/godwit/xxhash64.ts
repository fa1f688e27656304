// xxHash64 without WebAssembly, which a page's content-security policy may forbid: slower, and the same bits. 64-bit words are
// two halves of 32 bits, since bigints would cost ten times as much. Source: the xxHash fast digest algorithm, XXH64.

/** Halves of a 64-bit word, each of 32 bits. */
interface Word {
  high: number;
  low: number;
}

const word = (value: bigint): Word => ({ high: Number(value >> 32n) | 0, low: Number(value & 0xffff_ffffn) | 0 });

const prime1 = word(0x9e37_79b1_85eb_ca87n);
const prime2 = word(0xc2b2_ae3d_27d4_eb4fn);
const prime3 = word(0x1656_67b1_9e37_79f9n);
const prime4 = word(0x85eb_ca77_c2b2_ae63n);
const prime5 = word(0x27d4_eb2f_1656_67c5n);

/** Bytes of a stripe: eight for each of four lanes. */
const stripeBytes = 32;

export class XxHash64 {
  readonly #lanes: readonly Word[] = [
    word((0x9e37_79b1_85eb_ca87n + 0xc2b2_ae3d_27d4_eb4fn) & 0xffff_ffff_ffff_ffffn),
    word(0xc2b2_ae3d_27d4_eb4fn),
    word(0n),
    word(-0x9e37_79b1_85eb_ca87n & 0xffff_ffff_ffff_ffffn),
  ];
  readonly #held = new Uint8Array(stripeBytes);
  #heldBytes = 0;
  #totalBytes = 0;

  update(bytes: Uint8Array): this {
    this.#totalBytes += bytes.length;
    let at = 0;
    if (this.#heldBytes > 0) {
      at = Math.min(stripeBytes - this.#heldBytes, bytes.length);
      this.#held.set(bytes.subarray(0, at), this.#heldBytes);
      this.#heldBytes += at;
      if (this.#heldBytes < stripeBytes) return this;
      this.#stripe(viewOf(this.#held), 0);
      this.#heldBytes = 0;
    }
    const view = viewOf(bytes);
    for (; at + stripeBytes <= bytes.length; at += stripeBytes) this.#stripe(view, at);
    this.#held.set(bytes.subarray(at));
    this.#heldBytes = bytes.length - at;
    return this;
  }

  /** Of everything so far; more may follow. */
  digest(): bigint {
    const hash = this.#merged();
    add(hash, { high: Math.floor(this.#totalBytes / 2 ** 32) | 0, low: this.#totalBytes | 0 });
    const view = viewOf(this.#held);
    let at = 0;
    for (; at + 8 <= this.#heldBytes; at += 8) {
      const lane = word(0n);
      round(lane, view.getInt32(at + 4, true), view.getInt32(at, true));
      exclusiveOr(hash, lane);
      rotate(hash, 27);
      multiply(hash, prime1);
      add(hash, prime4);
    }
    if (at + 4 <= this.#heldBytes) {
      const lane = { high: 0, low: view.getInt32(at, true) };
      multiply(lane, prime1);
      exclusiveOr(hash, lane);
      rotate(hash, 23);
      multiply(hash, prime2);
      add(hash, prime3);
      at += 4;
    }
    for (; at < this.#heldBytes; at++) {
      const lane = { high: 0, low: view.getUint8(at) };
      multiply(lane, prime5);
      exclusiveOr(hash, lane);
      rotate(hash, 11);
      multiply(hash, prime1);
    }
    shiftIn(hash, 33);
    multiply(hash, prime2);
    shiftIn(hash, 29);
    multiply(hash, prime3);
    shiftIn(hash, 32);
    return (BigInt(hash.high >>> 0) << 32n) | BigInt(hash.low >>> 0);
  }

  #stripe(view: DataView, at: number): void {
    let offset = at;
    for (const lane of this.#lanes) {
      round(lane, view.getInt32(offset + 4, true), view.getInt32(offset, true));
      offset += 8;
    }
  }

  #merged(): Word {
    if (this.#totalBytes < stripeBytes) return { ...prime5 };
    const hash = word(0n);
    const rotations = [1, 7, 12, 18];
    for (const [i, lane] of this.#lanes.entries()) {
      const turned = { ...lane };
      rotate(turned, rotations[i] as number);
      add(hash, turned);
    }
    for (const lane of this.#lanes) {
      const own = word(0n);
      round(own, lane.high, lane.low);
      exclusiveOr(hash, own);
      multiply(hash, prime1);
      add(hash, prime4);
    }
    return hash;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** One of XXH64's rounds, in place. */
function round(lane: Word, high: number, low: number): void {
  const product = { high, low };
  multiply(product, prime2);
  add(lane, product);
  rotate(lane, 31);
  multiply(lane, prime1);
}

function add(a: Word, b: Word): void {
  const low = (a.low >>> 0) + (b.low >>> 0);
  a.high = (a.high + b.high + (low > 0xffff_ffff ? 1 : 0)) | 0;
  a.low = low | 0;
}

function multiply(a: Word, b: Word): void {
  const a0 = a.low & 0xffff;
  const a1 = a.low >>> 16;
  const b0 = b.low & 0xffff;
  const b1 = b.low >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const carry = a0 * b1 + (middle & 0xffff);
  const high = a1 * b1 + (middle >>> 16) + (carry >>> 16);
  a.high = (high + Math.imul(a.high, b.low) + Math.imul(a.low, b.high)) | 0;
  a.low = Math.imul(a.low, b.low);
}

function exclusiveOr(a: Word, b: Word): void {
  a.high ^= b.high;
  a.low ^= b.low;
}

/** To the left by `bits`, 1 to 31. */
function rotate(a: Word, bits: number): void {
  const { high, low } = a;
  a.high = (high << bits) | (low >>> (32 - bits));
  a.low = (low << bits) | (high >>> (32 - bits));
}

/** The exclusive or of a word and itself shifted to the right by `bits`, 29, 32 or 33. */
function shiftIn(a: Word, bits: number): void {
  const { high, low } = a;
  if (bits >= 32) a.low = low ^ (high >>> (bits - 32));
  else {
    a.low = low ^ ((low >>> bits) | (high << (32 - bits)));
    a.high = high ^ (high >>> bits);
  }
}
