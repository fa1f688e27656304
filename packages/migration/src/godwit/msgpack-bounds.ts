// A look over a msgpack message before it is decoded: a length in it is a claim, and a decoder may allocate for it.
import { migrationError } from "../codes.ts";

/** Deeper than any message of ours. */
const maxDepth = 8;

/**
 * Refuses a message whose arrays or maps claim more elements than bytes follow, which nests deeper than ours do, which
 * holds an extension type, or which does not end where its bytes end. `PROTOCOL_MESSAGE`.
 */
export function checkMsgpackBounds(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** Values still to come at each depth. */
  const open: number[] = [1];
  let at = 0;

  const need = (count: number): number => {
    const from = at;
    if (count > bytes.length - at) throw refused("a length beyond the end of the message", from);
    at += count;
    return from;
  };
  const lengthOf = (size: number): number => {
    const from = need(size);
    return size === 1 ? view.getUint8(from) : size === 2 ? view.getUint16(from) : view.getUint32(from);
  };
  const openWith = (values: number): void => {
    if (values > bytes.length - at) throw refused("more elements than bytes", at);
    if (open.length >= maxDepth) throw refused("nested too deeply", at);
    open.push(values);
  };

  while (open.length > 0) {
    const left = open[open.length - 1] as number;
    if (left === 0) {
      open.pop();
      continue;
    }
    open[open.length - 1] = left - 1;
    const start = at;
    const kind = lengthOf(1);
    if (kind <= 0x7f || kind >= 0xe0 || kind === 0xc0 || kind === 0xc2 || kind === 0xc3) continue;
    if (kind <= 0x8f) openWith(2 * (kind & 0x0f));
    else if (kind <= 0x9f) openWith(kind & 0x0f);
    else if (kind <= 0xbf) need(kind & 0x1f);
    else if (kind >= 0xc4 && kind <= 0xc6) need(lengthOf(1 << (kind - 0xc4)));
    else if (kind === 0xca) need(4);
    else if (kind === 0xcb) need(8);
    else if (kind >= 0xcc && kind <= 0xcf) need(1 << (kind - 0xcc));
    else if (kind >= 0xd0 && kind <= 0xd3) need(1 << (kind - 0xd0));
    else if (kind >= 0xd9 && kind <= 0xdb) need(lengthOf(1 << (kind - 0xd9)));
    else if (kind === 0xdc || kind === 0xdd) openWith(lengthOf(kind === 0xdc ? 2 : 4));
    else if (kind === 0xde || kind === 0xdf) openWith(2 * lengthOf(kind === 0xde ? 2 : 4));
    else throw refused(`type 0x${kind.toString(16)}`, start);
  }
  if (at !== bytes.length) throw refused("bytes behind the message", at);
}

function refused(found: string, offset: number) {
  return migrationError("PROTOCOL_MESSAGE", "a control message is not well formed", { offset, found });
}
