// Every line of a shell that a page shows: what runs it or its like (the same command with other files or smaller numbers), or
// why nothing does. A line that no entry names fails the test.

export interface ShellRule {
  /** Of the command, without its comment: the whole line, or a pattern of the whole line. */
  readonly line: string | RegExp;
  /** The page; any, where it is left out. */
  readonly page?: string;
  /** A file that runs it, and a piece of that file that shows where. */
  readonly runBy?: readonly [file: string, piece: string];
  /** Why nothing runs it. Reviewed by whoever adds a line. */
  readonly because?: string;
}

const thirdParty = "scripts/journey/steps/third-party.ts";
const newUser = "scripts/journey/steps/new-user.ts";
const reference = "apps/reference-machine/test/cli.test.ts";

export const shellRules: readonly ShellRule[] = [
  // The README.
  { line: "npm start", runBy: [reference, "apps/reference-machine/src/main.ts"] },
  { line: "npm start -- --memory 512 --dirty-rate 100", runBy: [reference, '"--memory", "16", "--dirty-rate", "8"'] },
  { line: "npm start -- --mode postcopy", runBy: [reference, '"--mode", "postcopy"'] },
  { line: "npm start -- --mode tls", runBy: [reference, 'run("--mode", "tls", "--memory", "4")'] },
  { line: "npm start -- --busy", runBy: [reference, '"--busy", "--memory", "4"'] },
  { line: "npm start -- --iommu-last", runBy: [reference, '"--memory", "4", "--iommu-last")'] },
  { line: "npm start -- --iommu-last --no-iommu", runBy: [reference, '"--iommu-last", "--no-iommu")'] },
  { line: "npm start -- --profile pseries", runBy: [reference, '"--profile", "pseries"'] },
  { line: "npx bun run godwit inspect vm.stream", runBy: ["apps/cli/test/input.test.ts", '"inspect"'] },
  { line: "npx bun run godwit diff before.stream after.stream", runBy: ["apps/cli/test/diff.test.ts", '"diff"'] },
  {
    line: "npx bun run godwit edit new.stream -o old.stream --retarget dump.json",
    runBy: ["apps/interop/test/live-retarget.test.ts", '"--retarget"'],
  },
  {
    line: "npx bun run godwit record unix:/run/vm.sock -o vm.checkpoint",
    runBy: ["apps/interop/test/live-record.test.ts", '"record"'],
  },
  // How to contribute.
  { line: "bun --bun changeset", page: "CONTRIBUTING.md", because: "it asks questions" },
  { line: "bun run version-packages", page: "CONTRIBUTING.md", because: "it changes every package's version" },
  // The command line. Its reference is written from the verbs' own help, each example of which a test starts.
  { line: /^.*\bgodwit [\s\S]*$/, page: "docs/cli.md", runBy: ["apps/cli/test/reference.test.ts", "verb.examples"] },
  { line: "npm install -g godwit", runBy: ["scripts/check-consumers.ts", "packed-cli"] },
  { line: "godwit inspect vm.stream", runBy: ["apps/cli/test/input.test.ts", '"inspect"'] },
  {
    line: "godwit inspect board.stream --plugin ./machine.js --section '*acme-sensor'",
    runBy: ["apps/cli/test/plugin-option.test.ts", '"--plugin"'],
  },
  {
    line: "godwit diff a.stream b.stream --plugin @acme/godwit-devices",
    runBy: ["apps/cli/test/plugin-option.test.ts", '"--plugin"'],
  },
  {
    line: "npm install godwit @godwit/migration @godwit/transport",
    runBy: ["scripts/check-consumers.ts", "packed-cli"],
  },
  { line: "source <(godwit completions bash)", runBy: ["apps/cli/test/completions.test.ts", "COMPREPLY"] },
  { line: "godwit completions fish | source", runBy: ["apps/cli/test/completions.test.ts", 'ask("fish"'] },
  // Making and publishing a plugin.
  {
    line: "bun create godwit-plugin godwit-plugin-tod",
    runBy: [thirdParty, '["bun", "create", "godwit-plugin", plugin]'],
  },
  {
    line: "npm create godwit-plugin godwit-plugin-tod",
    runBy: [thirdParty, '["npm", "create", "--yes", "godwit-plugin", plugin]'],
  },
  {
    line: "deno run -A npm:create-godwit-plugin godwit-plugin-tod",
    runBy: [thirdParty, '["deno", "run", "--allow-all", "npm:create-godwit-plugin", plugin]'],
  },
  { line: "cd godwit-plugin-tod", runBy: [thirdParty, "project(journey)"] },
  { line: "bun install", page: "docs/guides/publish-a-plugin.md", runBy: [thirdParty, '"bun", ["install"]'] },
  { line: "bun --bun vitest run", runBy: [thirdParty, '["--bun", "vitest", "run"]'] },
  { line: "npm run goldens", runBy: [thirdParty, '["run", "goldens"]'] },
  { line: "npx changeset", because: "it asks questions; the journey writes the file that it would write" },
  {
    line: "npm run version-packages",
    page: "docs/guides/publish-a-plugin.md",
    runBy: [thirdParty, '["run", "version-packages"]'],
  },
  { line: "npm run release", runBy: [thirdParty, '["run", "release"]'] },
  { line: "bun add @godwit/core godwit-plugin-tod", runBy: [thirdParty, '"bun", ["add", "@godwit/core", plugin]'] },
  {
    line: "GODWIT_GOLDENS=write npx vitest run",
    runBy: ["packages/testkit/test/goldens.test.ts", "GODWIT_GOLDENS"],
  },
  // The simulator, and the machine with a Worker.
  { line: "bun run simulate", runBy: ["apps/simulator/test/options.test.ts", 'what: "seeds"'] },
  { line: "bun run simulate --seeds 100000", runBy: ["apps/simulator/test/options.test.ts", '"--seeds 100000"'] },
  { line: "bun run simulate --seed 42", runBy: ["apps/simulator/test/options.test.ts", '"--seed 42"'] },
  { line: "bun run simulate --canary NAME", runBy: ["apps/simulator/test/options.test.ts", "--canary skip-owned"] },
  { line: "bun run simulate --help", runBy: ["apps/simulator/test/options.test.ts", "--help"] },
  {
    line: /^(bun|deno run -A) --conditions=godwit:source apps\/worker-machine\/src\/main\.ts$/,
    runBy: ["apps/worker-machine/test/runtimes.test.ts", "apps/worker-machine/src/main.ts"],
  },
  {
    line: /^bun --conditions=godwit:source apps\/two-tabs\/src\/main\.ts( --port 9000 some\.stream)?$/,
    because: "it serves until it is stopped; two-tabs.test.ts opens what it serves in Chromium",
  },
  // v86, in two processes.
  { line: "file=$(mktemp -d)/machine.stream", because: "it names a file for the lines that follow" },
  {
    line: /^npx bun --conditions=godwit:source apps\/v86-machine\/src\/roles\/main\.ts (save|load) "\$file" 50$/,
    runBy: ["apps/v86-machine/test/processes.test.ts", "roles/main"],
  },
  // Ten minutes: the journey's new users do what its page says.
  {
    line: "npm install @godwit/core @godwit/ram-dirty-tracker @godwit/qtailq-codec",
    runBy: [newUser, 'const first = ["@godwit/core", "@godwit/ram-dirty-tracker", "@godwit/qtailq-codec"]'],
  },
  {
    line: "npm install @godwit/migration @godwit/transport",
    runBy: [newUser, 'const second = ["@godwit/migration", "@godwit/transport"]'],
  },
  { line: "bun save.ts && bun load.ts && bun migrate.ts", runBy: [newUser, 'shell.output("bun", ['] },
  {
    line: "deno run -A save.ts && deno run -A load.ts && deno run -A migrate.ts",
    runBy: [newUser, 'shell.output("deno", ["run", "-A",'],
  },
  {
    line: "npm install --save-dev typescript @types/node",
    runBy: [newUser, '"npm", ["install", "--save-dev", "typescript", "@types/node"]'],
  },
  { line: "npm pkg set type=module", runBy: [newUser, '"npm", ["pkg", "set", "type=module"]'] },
  {
    line: "npx tsc && node dist/save.js && node dist/load.js && node dist/migrate.js",
    runBy: [newUser, 'await shell.output("npx", ["tsc"], folder);'],
  },
];

/** A line without its comment, and nothing of a line that is only one. */
export const commandOf = (line: string): string => line.replace(/(^|\s+)#(\s.*)?$/, "").trim();
