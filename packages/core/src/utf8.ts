// UTF-8 without TextEncoder, which core cannot name: idstrs, names and the vmdesc are short, or written once.

/** The bytes of a string. U+DC80 to U+DCFF are the raw bytes that `utf8Decode` could not read; other lone surrogates become U+FFFD. */
export function utf8Encode(text: string): Uint8Array {
  const bytes = new Uint8Array(utf8Length(text));
  utf8Write(text, bytes, 0);
  return bytes;
}

/** Writes the `utf8Length(text)` bytes of a string from index `at` on. */
export function utf8Write(text: string, bytes: Uint8Array, at: number): void {
  for (let i = 0; i < text.length; i++) {
    const c = codePoint(text, i);
    if (c > 0xffff) i++;
    const length = lengthOf(c);
    if (length === 1) {
      bytes[at++] = c;
      continue;
    }
    bytes[at++] = (0xf00 >> length) | (c >> (6 * (length - 1)));
    for (let rest = length - 2; rest >= 0; rest--) bytes[at++] = 0x80 | ((c >> (6 * rest)) & 0x3f);
  }
}

export function utf8Length(text: string): number {
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    // A lone surrogate has three bytes, like the U+FFFD that is written for it.
    const c = text.codePointAt(i) as number;
    if (c > 0xffff) i++;
    length += lengthOf(c);
  }
  return length;
}

function codePoint(text: string, i: number): number {
  const c = text.codePointAt(i) as number;
  return c >= 0xd800 && c <= 0xdfff && !isRawByte(c) ? 0xfffd : c;
}

function lengthOf(c: number): number {
  return c < 0x80 || isRawByte(c) ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

function isRawByte(c: number): boolean {
  return c >= 0xdc80 && c <= 0xdcff;
}

/**
 * The string of some bytes. A byte that is no UTF-8 becomes U+DC00 + byte, so that two different names never read as
 * the same one.
 */
export function utf8Decode(bytes: Uint8Array, from = 0, to: number = bytes.length): string {
  let text = "";
  let units: number[] = [];
  for (let i = from; i < to; ) {
    const lead = bytes[i] as number;
    const length = lead < 0x80 ? 1 : lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
    let c = length === 1 ? lead : lead & (0x7f >> length);
    let whole = length > 0 && i + length <= to;
    for (let k = 1; whole && k < length; k++) {
      const next = bytes[i + k] as number;
      whole = (next & 0xc0) === 0x80;
      c = (c << 6) | (next & 0x3f);
    }
    const tooSmall = (length === 3 && c < 0x800) || (length === 4 && c < 0x10000);
    if (!whole || tooSmall || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
      units.push(0xdc00 + lead);
      i += 1;
    } else {
      if (c >= 0x10000) units.push(0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
      else units.push(c);
      i += length;
    }
    if (units.length > 4096) {
      text += String.fromCharCode(...units);
      units = [];
    }
  }
  return text + String.fromCharCode(...units);
}
