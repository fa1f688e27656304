// Text that came out of a stream, as a terminal may have it: a name in a stream can be anything, and an escape sequence in
// it would move the cursor, set the title, or forge a line.

/** Control characters (C0 but for the tab, DEL, C1), line separators, and what turns the direction of writing. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const unprintable = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** One line of text; what a terminal would act upon is written as its number: `\x1b`, `\u202e`. */
export function printable(text: string): string {
  return text.replace(unprintable, (char) => {
    const code = char.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : unicodeEscape(char);
  });
}

/** The same document: JSON itself escapes no more than C0. */
export function printableJson(json: string): string {
  return json.replace(unprintable, (char) => (char === "\n" ? char : unicodeEscape(char)));
}

const unicodeEscape = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
