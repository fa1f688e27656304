// Finds the body of a FULL section in the bytes of a stream.
const fullSection = 0x04;
const footer = 0x7e;

/** A view of the body, to the footer that carries the section's own id. */
export function sectionIn(stream: Uint8Array, idstr: string): Uint8Array {
  const from = bodyOf(stream, idstr);
  const id = from - 8 - idstr.length - 1 - 4;
  for (let end = stream.indexOf(footer, from); end >= 0; end = stream.indexOf(footer, end + 1)) {
    if ([0, 1, 2, 3].every((i) => stream[end + 1 + i] === stream[id + i])) return stream.subarray(from, end);
  }
  throw new Error(`the section ${idstr} has no footer`);
}

/** Where the body of the section begins. */
export function bodyOf(stream: Uint8Array, idstr: string): number {
  const name = Uint8Array.from(idstr, (character) => character.charCodeAt(0));
  for (let at = stream.indexOf(name.length); at >= 0; at = stream.indexOf(name.length, at + 1)) {
    if (stream[at - 5] !== fullSection || !name.every((byte, i) => stream[at + 1 + i] === byte)) continue;
    return at + 1 + name.length + 8;
  }
  throw new Error(`${idstr} was not found`);
}
