// What the tests of `check` share: the real dumps, and small ones made by hand.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dumpSide, type Finding, type Side, sideOf } from "@godwit/core/compatibility";
import { findVmdesc, type Vmdesc } from "@godwit/core/stream";
import { readStream, streamsFolder } from "@godwit/test-support/streams";
import { type CheckResult, check } from "../src/check/check.ts";
import type { ChoiceInit } from "../src/check/choice.ts";

export const dumpNames = [
  "pc-i440fx-7.2.qemu-10.0",
  "pc-i440fx-7.2.qemu-7.2",
  "pc-q35-10.0.qemu-10.0",
  "pc-q35-7.2.qemu-10.0",
  "pc-q35-7.2.qemu-7.2",
  "pseries-7.2.qemu-10.0",
  "pseries-7.2.qemu-7.2",
  "s390-ccw-virtio-7.2.qemu-10.0",
  "s390-ccw-virtio-7.2.qemu-7.2",
  "virt-7.2.qemu-10.0",
  "virt-7.2.qemu-7.2",
] as const;
export type DumpName = (typeof dumpNames)[number];

export const dumpPath = (name: DumpName): string => join(streamsFolder(), "dump-vmstate", `${name}.json`);
export const dumpText = (name: DumpName): string => readFileSync(dumpPath(name), "utf8");

const sides = new Map<DumpName, Side>();
export function realSide(name: DumpName): Side {
  const side = sides.get(name) ?? dumpSide(dumpText(name), name);
  sides.set(name, side);
  return side;
}

export function vmdescIn(stream: Uint8Array): Vmdesc {
  const found = findVmdesc(stream);
  if (found === undefined) throw new Error("the stream has no vmdesc");
  return found.vmdesc;
}

const vmdescs = new Map<string, Vmdesc>();
export function vmdescOfCase(name: string): Vmdesc {
  const vmdesc = vmdescs.get(name) ?? vmdescIn(readStream(`${name}.stream`));
  vmdescs.set(name, vmdesc);
  return vmdesc;
}

/** A field as a dump has it. */
export interface JsonField {
  field: string;
  version_id: number;
  field_exists: boolean;
  size: number;
  num?: number;
  Description?: JsonDescription;
  godwit?: Record<string, unknown>;
}

export interface JsonDescription {
  name: string;
  version_id: number;
  minimum_version_id: number;
  Fields?: JsonField[];
  Subsections?: JsonDescription[];
  godwit?: Record<string, unknown>;
}

export const field = (name: string, size: number, more: Partial<JsonField> = {}): JsonField => ({
  ...{ field: name, version_id: 0, field_exists: false, size },
  ...more,
});

export const description = (
  name: string,
  fields: readonly JsonField[],
  { version = 1, minimum = version, ...more }: { version?: number; minimum?: number } & Partial<JsonDescription> = {},
): JsonDescription => ({
  ...{ name, version_id: version, minimum_version_id: minimum },
  ...(fields.length > 0 && { Fields: [...fields] }),
  ...more,
});

/** A dump of classes; one class "dev" where a single description is given. */
export function dump(classes: JsonDescription | Readonly<Record<string, JsonDescription>>, machine = "m"): unknown {
  const all = "version_id" in classes ? { dev: classes as JsonDescription } : classes;
  return {
    vmschkmachine: { Name: machine },
    ...Object.fromEntries(
      Object.entries(all as Readonly<Record<string, JsonDescription>>).map(([key, Description]) => [
        key,
        {
          ...{ Name: key, version_id: Description.version_id, minimum_version_id: Description.minimum_version_id },
          Description,
        },
      ]),
    ),
  };
}

export function checkJson(old: unknown, newer: unknown, init: ChoiceInit = {}): CheckResult {
  return check(sideOf(old, "old"), sideOf(newer, "new"), init);
}

/** `severity direction code description#subject`. */
export const lineOf = ({ severity, direction, code, description, subject }: Finding): string =>
  `${severity} ${direction} ${code} ${description}${subject === "" ? "" : `#${subject}`}`;

export const linesOf = ({ findings }: Pick<CheckResult, "findings">): string[] => findings.map(lineOf);

/** The names of all the classes, as a machine that has every one of them. */
export const everything: ChoiceInit = { devices: () => true };
