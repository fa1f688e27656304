// What `deno publish` printed: which packages went, and what kept the others.

export interface PublishOutput {
  /** Whether it came as far as to look for slow types in all packages. */
  readonly isJudged: boolean;
  /** `NAME@VERSION`, in the order of the output. */
  readonly published: readonly string[];
  /** By the folder of the package, how many public types have to be inferred. */
  readonly slowTypes: ReadonlyMap<string, number>;
}

const place = /^\s*-->\s+(.*?):\d+:\d+\s*$/;
const slow = /^error\[(missing-explicit-[a-z-]+|unsupported-[a-z-]+)\]/;

/** `folders`: those of the packages below the workspace's root. */
export function readPublishOutput(output: string, folders: readonly string[]): PublishOutput {
  const lines = output.split("\n");
  const slowTypes = new Map(folders.map((folder) => [folder, 0]));
  lines.forEach((line, i) => {
    if (!slow.test(line)) return;
    const at = place.exec(lines[i + 1] ?? "")?.[1] ?? "";
    const folder = folders.find((one) => at.includes(`/${one}/`));
    if (folder === undefined) throw new Error(`a slow type stands in none of the packages: ${line} ${at}`);
    slowTypes.set(folder, (slowTypes.get(folder) ?? 0) + 1);
  });
  const count = [...slowTypes.values()].reduce((sum, one) => sum + one, 0);
  const told = /^error: Found (\d+) problems?$/m.exec(output)?.[1];
  const isJudged = told === undefined ? /^Success/m.test(output) && count === 0 : Number(told) === count;
  const published = lines.flatMap(
    (line) => /^(?:Simulating p|P)ublish(?:ing|ed)?(?: of)? (\S+@\d\S*)/.exec(line)?.[1] ?? [],
  );
  return { isJudged, published, slowTypes };
}
