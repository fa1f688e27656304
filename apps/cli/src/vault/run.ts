// The content of a post-copy package when nothing tells where its sections end: its commands stand at known ends, and
// what is between them is one run.
import { sectionType } from "@godwit/core/stream";

const pingNumber = 2;
const runNumber = 5;
const switchoverStart = 11;
const headBytes = 5;

/** Bytes of the commands at the package's end: RUN, and the PINGs before it. */
export function trailingCommandBytes(content: Uint8Array): number {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  let end = content.length;
  for (;;) {
    const next = commandEndingAt(content, view, end);
    if (next === undefined) return content.length - end;
    end = next;
  }
}

/** Where the command begins that ends there, if one does. */
function commandEndingAt(content: Uint8Array, view: DataView, end: number): number | undefined {
  const isLast = end === content.length;
  const bare = end - headBytes;
  if (isLast && isCommand(content, view, bare, runNumber, 0)) return bare;
  // Bytes of a section's end could look so, were it not for the footer that must stand before a command.
  const ping = end - headBytes - 4;
  if (!isLast && isCommand(content, view, ping, pingNumber, 4)) return ping;
  return undefined;
}

function isCommand(content: Uint8Array, view: DataView, at: number, number: number, length: number): boolean {
  return (
    at >= 0 &&
    content[at] === sectionType.command &&
    view.getUint16(at + 1) === number &&
    view.getUint16(at + 3) === length
  );
}

/** Bytes of the commands that a package begins with. */
export function leadingCommandBytes(content: Uint8Array): number {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  let at = 0;
  while (content.length - at >= headBytes && content[at] === sectionType.command) {
    if (view.getUint16(at + 1) > switchoverStart) break;
    at += headBytes + view.getUint16(at + 3);
  }
  return at;
}
