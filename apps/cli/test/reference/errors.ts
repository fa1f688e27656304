// The error reference, made of the lists of codes, the likely causes that the command line shows, and the remedies.
import { readFileSync } from "node:fs";
import { errorCodes } from "@godwit/core";
import { checkCodes } from "@godwit/core/compatibility";
import { migrationErrorCodes } from "@godwit/migration";
import { ramErrorCodes } from "@godwit/ram-dirty-tracker";
import { spaprErrorCodes } from "@godwit/spapr-drc-ccs";
import { pluginCodes } from "@godwit/testkit";
import { transportErrorCodes } from "@godwit/transport";
import { vfioErrorCodes } from "@godwit/vfio-config-subflag";
import { virtioErrorCodes } from "@godwit/virtio-core";
import { createErrorCodes } from "create-godwit-plugin";
import { checkpointErrorCodes } from "../../src/checkpoint/errors.ts";
import { likelyCauses } from "../../src/likely-cause.ts";
import { commandFaults, createRemedies, fileRemedies, kernelRemedies, pluginRemedies } from "./remedies.ts";

export interface Explained {
  readonly code: string;
  readonly says: string;
  readonly cause: string | undefined;
  readonly remedy: string;
}

export interface Chapter {
  readonly title: string;
  readonly before: string;
  readonly codes: readonly Explained[];
}

type Texts = Readonly<Record<string, string>>;

/** Codes with the meanings of one table and the remedies of another; throws where either lacks one of the other's. */
function explained(meanings: Texts, remedies: Texts): Explained[] {
  const strangers = Object.keys(remedies).filter((code) => !Object.hasOwn(meanings, code));
  if (strangers.length > 0) throw new Error(`remedies of codes that there are not: ${strangers.join(", ")}`);
  return Object.entries(meanings).map(([code, says]) => {
    const remedy = remedies[code];
    if (remedy === undefined) throw new Error(`${code} has no remedy`);
    return { code, says, cause: likelyCauses[code], remedy };
  });
}

/** What a package's README says to do, by the rows of its table of codes. */
function readmeRemedies(path: string): Texts {
  const readme = readFileSync(new URL(`../../../../packages/${path}/README.md`, import.meta.url), "utf8");
  const rows = readme.matchAll(/^\| `([A-Z_]+)` *\| [^|]+ \| ([^|]+?) *\|$/gm);
  return Object.fromEntries(Array.from(rows, ([, code, remedy]) => [code as string, remedy as string]));
}

const only = (remedies: Texts, meanings: Texts): Texts =>
  Object.fromEntries(Object.entries(remedies).filter(([code]) => Object.hasOwn(meanings, code)));

const chapterOf = (title: string, before: string, codes: readonly Explained[]): Chapter => ({ title, before, codes });

export function errorChapters(): readonly Chapter[] {
  const plugin = (name: string, meanings: Texts) =>
    chapterOf(`@godwit/${name}`, "", explained(meanings, only(pluginRemedies, meanings)));
  const file = {
    ...checkpointErrorCodes,
    HOLD_BOUND: "more would have to be held in memory than was allowed",
    STREAM_ENDLESS: "the stream has more than any machine needs",
  };
  const command = Object.entries(commandFaults).map(([code, [says, remedy]]) => ({
    code,
    says,
    cause: undefined,
    remedy,
  }));
  const testkit = Object.entries(pluginCodes).map(([code, { says, remedy }]) => ({
    code,
    says,
    cause: undefined,
    remedy,
  }));
  return [
    chapterOf(
      "@godwit/core",
      "A description, a kernel, or a stream. The errors of plugins and of the engine come beside these.",
      explained(errorCodes, kernelRemedies),
    ),
    chapterOf(
      "@godwit/migration",
      "A migration that fails does not throw: the error stands in the report's `state`.",
      explained(migrationErrorCodes, readmeRemedies("migration")),
    ),
    chapterOf("@godwit/transport", "", explained(transportErrorCodes, readmeRemedies("transport"))),
    plugin("ram-dirty-tracker", ramErrorCodes),
    plugin("virtio-core", virtioErrorCodes),
    plugin("vfio-config-subflag", vfioErrorCodes),
    plugin("spapr-drc-ccs", spaprErrorCodes),
    chapterOf(
      "@godwit/testkit",
      "What the checks of a plugin find. A finding names the section and the field besides.",
      testkit,
    ),
    chapterOf(
      "godwit",
      "The command line, beside the errors of the stream itself. Exit code 1: the stream, or what it is compared with, is bad; 2: wrong use.",
      [...explained(file, fileRemedies), ...command],
    ),
    chapterOf(
      "create-godwit-plugin",
      "What is wrong with a wish for a new plugin. Nothing has been written then.",
      explained(createErrorCodes, createRemedies),
    ),
  ];
}

export function errorsText(): string {
  return [
    "# Errors",
    "",
    "Written by `bun run reference`, from the lists of codes; a test compares it.",
    "",
    "Every failed save, load or migration is a `MigrationError`: a stable `code`, a sentence, and `location`: side, section as",
    "`idstr/instance`, version, field (`vqs[1].last_avail_idx`) and byte offset; with `expected` and `found` where there are such",
    "values. Ask with `isMigrationError(error)`, never with `instanceof`: two copies of core in one tree are normal. Codes are",
    "API and keep their meaning; sentences may change.",
    "",
    `The ${Object.keys(checkCodes).length} codes of \`godwit check\`, for what changed between two releases, have [a page of their own](check.md).`,
    "",
    ...errorChapters().flatMap(({ title, before, codes }) => [
      `## ${title}`,
      "",
      ...(before === "" ? [] : [before, ""]),
      ...codes.flatMap(entry),
    ]),
  ].join("\n");
}

function entry({ code, says, cause, remedy }: Explained): string[] {
  return [
    `### ${code}`,
    "",
    `${sentence(says)}`,
    "",
    ...(cause === undefined ? [] : [`- Likely cause: ${escaped(cause)}.`.replace(/([.?])\.$/, "$1")]),
    `- What to do: ${escaped(remedy)}.`,
    "",
  ];
}

const sentence = (text: string): string => `${text.slice(0, 1).toUpperCase()}${escaped(text.slice(1))}.`;
const escaped = (text: string): string => text.replaceAll("<", "&lt;");
