// A vmdesc's text, written again as QEMU prints it. It may hold a key twice in one object (the elements of a list), of which
// a JSON parser keeps one: it is printed token by token, and not from what was parsed.
import { type Vmdesc, vmdescText } from "@godwit/core/stream";

const token = /\s*("(?:[^"\\]|\\.)*"|-?[0-9.eE+]+|true|false|null|[{}[\],:])/y;

/** What QEMU would have written; undefined where it is no JSON. */
export function vmdescAgain(text: string): string | undefined {
  let again = "";
  token.lastIndex = 0;
  while (token.lastIndex < text.length) {
    const [, one] = token.exec(text) ?? [];
    if (one === undefined) return undefined;
    again +=
      one === "," ? ", " : one === ":" ? ": " : one.startsWith('"') ? vmdescText(JSON.parse(one) as Vmdesc) : one;
  }
  return again;
}
