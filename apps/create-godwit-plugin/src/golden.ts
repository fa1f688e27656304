// A golden file for another device name: the names of subsections stand in its bytes as well, behind their length.

interface Sample {
  readonly bytes: string;
}
interface Golden {
  readonly sections: Readonly<Record<string, { readonly samples: readonly Sample[] }>>;
}

/** `from` becomes `to` in the bytes of every sample; the text around them is left as it is. */
export function renameInGolden(text: string, from: string, to: string): string {
  const { sections }: Golden = JSON.parse(text);
  const samples = Object.values(sections).flatMap(({ samples }) => samples);
  let renamed = text;
  for (const { bytes } of new Set(samples))
    renamed = renamed.replaceAll(`"${bytes}"`, `"${renameInBytes(bytes, from, to)}"`);
  return renamed;
}

/** Hexadecimal digits. A subsection is 0x05, the name's length in one byte, the name, its version, its fields. */
function renameInBytes(bytes: string, from: string, to: string): string {
  const name = new RegExp(`05(..)${hex(from)}`, "g");
  return bytes.replaceAll(name, (_, length: string) => {
    const longer = Number.parseInt(length, 16) + to.length - from.length;
    return `05${longer.toString(16).padStart(2, "0")}${hex(to)}`;
  });
}

function hex(text: string): string {
  return Buffer.from(text, "latin1").toString("hex");
}
