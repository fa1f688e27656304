// A vmdesc's text with some of its parts replaced. What is not touched keeps its bytes: QEMU repeats keys for the elements
// of a list, and a parser keeps the last one only.
import { isDeepStrictEqual } from "node:util";
import type { VmdescDevice, VmdescMembers } from "@godwit/core/stream";
import { vmdescText } from "@godwit/core/stream";

export interface VmdescEdits {
  /** By `name/instance_id`: what stands there instead; "drop" takes it out. */
  readonly devices: ReadonlyMap<string, VmdescDevice | "drop">;
  readonly configuration?: VmdescMembers | undefined;
  /** Top-level keys that no longer hold. */
  readonly drop?: readonly string[];
}

/** `text` is JSON that `parseVmdesc` took. */
export function editVmdescText(text: string, { devices, configuration, drop = [] }: VmdescEdits): string {
  if (devices.size === 0 && configuration === undefined && drop.length === 0) return text;
  const members: string[] = [];
  for (const { key, value } of membersOf(text)) {
    if (drop.includes(key)) continue;
    if (key === "devices") members.push(`"devices": [${editDevices(value, devices).join(", ")}]`);
    else if (key === "configuration" && configuration !== undefined)
      members.push(`"${key}": ${printed(configuration)}`);
    else members.push(`${JSON.stringify(key)}: ${value}`);
  }
  return `{${members.join(", ")}}`;
}

function editDevices(list: string, devices: VmdescEdits["devices"]): string[] {
  return elementsOf(list).flatMap((text) => {
    const { name, instance_id } = JSON.parse(text) as VmdescDevice;
    const edit = devices.get(`${name}/${instance_id}`);
    return edit === undefined ? [text] : edit === "drop" ? [] : [reprinted(text, edit)];
  });
}

/** `value` as text, with the parts of `text` that say the same: of a list's elements, those that are alike, or of one name. */
function reprinted(text: string, value: unknown): string {
  const before: unknown = JSON.parse(text);
  if (isDeepStrictEqual(before, value)) return text;
  if (Array.isArray(before) && Array.isArray(value)) {
    const left = elementsOf(text).map((element) => ({ element, known: JSON.parse(element) as unknown }));
    return `[${value.map((one) => reprintedAs(left, one)).join(", ")}]`;
  }
  if (!isObject(before) || !isObject(value)) return printed(value);
  const texts = new Map(membersOf(text).map((member) => [member.key, member.value]));
  const members = Object.entries(value).filter(([, one]) => one !== undefined);
  return `{${members.map(([key, one]) => `${JSON.stringify(key)}: ${reprinted(texts.get(key) ?? "null", one)}`).join(", ")}}`;
}

function reprintedAs(left: { readonly element: string; readonly known: unknown }[], value: unknown): string {
  const alike = left.find(({ known }) => isDeepStrictEqual(known, value));
  if (alike !== undefined) return alike.element;
  const named = left.find(({ known }) => nameOf(known) !== undefined && nameOf(known) === nameOf(value));
  return named === undefined ? printed(value) : reprinted(named.element, value);
}

/** Of a subsection, or of a field; elements of arrays are not told apart by it. */
function nameOf(value: unknown): string | undefined {
  if (!isObject(value) || value["index"] !== undefined) return undefined;
  return String(value["name"] ?? value["vmsd_name"]);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Of any part of it. */
const printed = (part: unknown): string => vmdescText(part as never);

function membersOf(object: string): { readonly key: string; readonly value: string }[] {
  return elementsOf(object).map((text) => {
    const keyEnd = stringEnd(text, 0);
    return {
      key: JSON.parse(text.slice(0, keyEnd)) as string,
      value: text.slice(text.indexOf(":", keyEnd) + 1).trim(),
    };
  });
}

/** The texts between the commas of an object or a list, whose JSON is valid. */
function elementsOf(container: string): string[] {
  const text = container.trim().slice(1, -1);
  const found: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = stringEnd(text, at) - 1;
    else if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") depth--;
    else if (char === "," && depth === 0) {
      found.push(text.slice(from, at).trim());
      from = at + 1;
    }
  }
  const last = text.slice(from).trim();
  return last === "" ? found : [...found, last];
}

/** Behind the closing quote of the string that opens at `at`. */
function stringEnd(text: string, at: number): number {
  let end = at + 1;
  while (text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
  return end + 1;
}
