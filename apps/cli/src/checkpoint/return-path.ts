// The return path: what a destination says to its source. Source: wire reference 9.2.

const returnMessage = { shut: 1, pong: 2 } as const;
const longestPayloadBytes = 512;

/** `status` 0: the load is over, and went well. */
export const shutMessage = (status: number): Uint8Array => message(returnMessage.shut, status);
export const pongMessage = (value: number): Uint8Array => message(returnMessage.pong, value);

function message(type: number, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, type);
  view.setUint16(2, 4);
  view.setUint32(4, value);
  return bytes;
}

/** Reads what a destination says; only its last word is of interest. */
export class ReturnPathReader {
  /** What SHUT said: 0 where the load went well. Undefined before it came. */
  shut: number | undefined;
  #held: Uint8Array = new Uint8Array(0);

  /** False where this is no return path. */
  push(chunk: Uint8Array): boolean {
    const bytes = new Uint8Array(this.#held.length + chunk.length);
    bytes.set(this.#held);
    bytes.set(chunk, this.#held.length);
    const view = new DataView(bytes.buffer);
    let at = 0;
    while (bytes.length - at >= 4) {
      const payloadBytes = view.getUint16(at + 2);
      if (payloadBytes > longestPayloadBytes) return false;
      if (bytes.length - at < 4 + payloadBytes) break;
      if (view.getUint16(at) === returnMessage.shut && payloadBytes === 4) this.shut = view.getUint32(at + 4);
      at += 4 + payloadBytes;
    }
    this.#held = bytes.subarray(at);
    return true;
  }
}
