// The committed table of sizes: written, read back, and held against what was measured.

export interface Size {
  readonly entry: string;
  readonly minifiedBytes: number;
  readonly gzippedBytes: number;
  /** Gzipped; promised, and checked. */
  readonly limitBytes?: number | undefined;
  /** Gzipped; checked, so that nothing grows beyond it unseen. */
  readonly ceilingBytes?: number | undefined;
  /** Gzipped; wanted. The text says by how much it is missed. */
  readonly goalBytes?: number | undefined;
}

/** What a bundle holds of one concern. */
export interface Part {
  readonly name: string;
  readonly minifiedBytes: number;
  /** Its share of the bundle's gzipped bytes, by its share of the minified ones. */
  readonly gzippedShareBytes: number;
}

/** What is used of a bundler's metafile: for each bundle, how many of its bytes are of which module. */
export interface Metafile {
  readonly outputs: Readonly<
    Record<string, { readonly inputs: Readonly<Record<string, { readonly bytesInOutput: number }>> }>
  >;
}

/** Compressors of two versions differ by less, and a change of more wants to be looked at. */
const toleranceOf = 0.02;
/** A ceiling further away than this no longer holds anything. */
const slackOf = 0.06;

const columns = ["entry", "minified", "gzipped", "limit", "ceiling", "goal"] as const;

const heading = (compressor: string) => `# Sizes

What a bundler makes of each entry: minified (\`bun build --minify --target=browser\`) and gzipped (\`-9\`, by the zlib of
${compressor}; that of another runtime differs by some 15 bytes), in bytes, with all dependencies; all but core without
\`@godwit/core\` and what else of Godwit they import, which is there already, and without \`node:\` modules and native parsers.
Written by
\`bun scripts/sizes.ts --write\`; \`bun scripts/sizes.ts\` checks it. A limit is a promise. A ceiling is a ratchet, 3% above
what was measured when it was set: beyond either, both commands fail. A goal is wanted, and not checked.
`;

/** The whole file; `parts` are those of `createKernel`. */
export function sizesText(sizes: readonly Size[], parts: readonly Part[], compressor: string): string {
  const told = sizes.flatMap(goalText).join("");
  const list = parts.map(
    ({ name, minifiedBytes, gzippedShareBytes }) =>
      `- ${name}: ${grouped(minifiedBytes)} minified, about ${grouped(Math.round(gzippedShareBytes / 100) * 100)} gzipped`,
  );
  const spent =
    list.length === 0
      ? ""
      : `\nWhat \`createKernel\` is made of, with gzipped bytes shared out:\n\n${list.join("\n")}\n`;
  return `${heading(compressor)}\n${tableText(sizes)}${told}${spent}`;
}

function goalText({ entry, gzippedBytes, goalBytes }: Size): string[] {
  if (goalBytes === undefined) return [];
  const by = gzippedBytes - goalBytes;
  const missed = `missed by ${grouped(by)}: it is ${(gzippedBytes / goalBytes).toFixed(1)} times as large`;
  return [`\nThe goal for \`${entry}\`, ${grouped(goalBytes)}, is ${by > 0 ? missed : "reached"}.\n`];
}

const grouped = (value: number): string => String(value).replace(/\B(?=(\d{3})+$)/g, ",");

export function tableText(sizes: readonly Size[]): string {
  const rows = sizes.map(({ entry, minifiedBytes, gzippedBytes, limitBytes, ceilingBytes, goalBytes }) => [
    entry,
    ...[minifiedBytes, gzippedBytes, limitBytes, ceilingBytes, goalBytes].map((bytes) => String(bytes ?? "")),
  ]);
  const all = [[...columns], ...rows];
  const widths = columns.map((_, i) => Math.max(3, ...all.map((row) => (row[i] as string).length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number))).join(" | ")} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  const [head = [], ...body] = all;
  return `${[line(head), rule, ...body.map(line)].join("\n")}\n`;
}

/** The rows of a table's text. Its columns are known by their names. */
export function readSizes(text: string): Size[] {
  const lines = text.split("\n").filter((line) => line.startsWith("|"));
  const [head = [], , ...rows] = lines.map((line) => line.split("|").map((cell) => cell.trim()));
  return rows.map((cells) => {
    const cell = (name: (typeof columns)[number]): string => cells[head.indexOf(name)] ?? "";
    const optional = (name: "limit" | "ceiling" | "goal") => (cell(name) === "" ? undefined : Number(cell(name)));
    return {
      entry: cell("entry"),
      minifiedBytes: Number(cell("minified")),
      gzippedBytes: Number(cell("gzipped")),
      limitBytes: optional("limit"),
      ceilingBytes: optional("ceiling"),
      goalBytes: optional("goal"),
    };
  });
}

/** Entries beyond their limit or their ceiling, a line each. */
export function excesses(measured: readonly Size[]): string[] {
  return measured.flatMap(({ entry, gzippedBytes, limitBytes, ceilingBytes }) =>
    Object.entries({ limit: limitBytes, ceiling: ceilingBytes }).flatMap(([name, bytes]) =>
      bytes !== undefined && gzippedBytes > bytes
        ? [`${entry}: ${gzippedBytes} bytes gzipped, the ${name} is ${bytes}`]
        : [],
    ),
  );
}

/** What is wrong, a line each: excesses, ceilings that hold nothing, and rows of the table that are no longer so. */
export function findings(committed: readonly Size[], measured: readonly Size[]): string[] {
  const known = new Map(committed.map((size) => [size.entry, size]));
  const found = excesses(measured);
  for (const size of measured) {
    const { entry, minifiedBytes, gzippedBytes, ceilingBytes } = size;
    if (ceilingBytes !== undefined && ceilingBytes > (1 + slackOf) * gzippedBytes) {
      found.push(`${entry}: ${gzippedBytes} bytes gzipped, lower its ceiling of ${ceilingBytes} to 3% above`);
    }
    const row = known.get(entry);
    known.delete(entry);
    if (row === undefined) {
      found.push(`${entry}: not in the table`);
      continue;
    }
    if (isOff(row.gzippedBytes, gzippedBytes) || isOff(row.minifiedBytes, minifiedBytes)) {
      const now = `${minifiedBytes} and ${gzippedBytes}`;
      found.push(`${entry}: the table says ${row.minifiedBytes} and ${row.gzippedBytes}, it is ${now}`);
    }
    for (const [name, key] of [
      ["limit", "limitBytes"],
      ["ceiling", "ceilingBytes"],
      ["goal", "goalBytes"],
    ] as const) {
      if (row[key] !== size[key]) found.push(`${entry}: the table's ${name} is ${row[key]}, not ${size[key]}`);
    }
  }
  for (const entry of known.keys()) found.push(`${entry}: in the table, and no longer built`);
  return found;
}

/** Beyond what two versions of a compressor differ by. */
export function isOff(written: number, measured: number): boolean {
  return Math.abs(measured - written) > toleranceOf * written;
}

/** Core's concerns, by the paths of their modules; the first that fits. */
const concerns: readonly (readonly [name: string, path: RegExp])[] = [
  ["the codec", /core\/src\/(vmstate\/|(cursor|writer|utf8|bounds)\.ts)/],
  ["the stream, read and written", /core\/src\/stream\//],
  [
    "releases, kinds and the manifest",
    /core\/src\/(registry\/former|kernel\/(kinds|manifest|succeed|successions|configure|difference|subsection-names))\.ts/,
  ],
  ["the registry and its order", /core\/src\/registry\//],
  ["the kernel: attempts, takeover, the way back", /core\/src\/kernel\//],
  ["eventemitter3", /node_modules\/eventemitter3\//],
];
const rest = "errors and the bundle's own";

/** What a bundle's bytes are spent on, most first. */
export function partsOf(metafile: Metafile, gzippedBytes: number): Part[] {
  const bytes = new Map<string, number>();
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const name = concerns.find(([, pattern]) => pattern.test(path))?.[0] ?? rest;
      bytes.set(name, (bytes.get(name) ?? 0) + bytesInOutput);
    }
  }
  const total = [...bytes.values()].reduce((sum, one) => sum + one, 0);
  return [...bytes]
    .map(([name, minifiedBytes]) => ({
      name,
      minifiedBytes,
      gzippedShareBytes: (gzippedBytes * minifiedBytes) / total,
    }))
    .sort((a, b) => b.minifiedBytes - a.minifiedBytes);
}
