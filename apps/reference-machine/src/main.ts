// The reference machine's demonstration: a source and a destination process, joined by loopback TCP, and the display.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { displayFor } from "./cli/display.ts";
import { helpText, type Options, parseOptions, UsageError } from "./cli/options.ts";
import { type RoleProcess, startRole } from "./cli/processes.ts";
import { Story, summary } from "./cli/summary.ts";
import { SharedDisk } from "./host/storage.ts";
import { writeCredentials } from "./roles/connections.ts";
import type { Message, Role, RoleOptions } from "./roles/messages.ts";

const diskBytes = 16 * 1024 * 1024;
/** Longer than any run that gets on; it keeps a hanging one from hanging for ever. */
const limitMs = 120_000;

async function demonstrate(options: Options): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "godwit-"));
  const display = displayFor(process.stdout, options.json);
  const story = new Story(options);
  const processes: RoleProcess[] = [];
  const kill = () => {
    for (const one of processes) one.kill();
  };
  const interrupted = (signal: NodeJS.Signals) => {
    story.failures.push(`interrupted by ${signal}`);
    kill();
  };
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  // Who reads no further (`| head`) has seen enough: no process and no folder is left behind.
  process.stdout.on("error", kill);
  const timeout = setTimeout(() => {
    story.failures.push(`no end after ${limitMs / 1000} s`);
    kill();
  }, limitMs);
  try {
    await SharedDisk.create(folder, diskBytes);
    if (options.mode === "tls") await writeCredentials(folder);
    const start = (role: Role, more: Partial<RoleOptions>, onMessage: (message: Message) => void) => {
      const one = startRole(role, { ...options, folder, ...more }, (message) => {
        story.hear(role, message);
        display.show(role, message);
        onMessage(message);
      });
      processes.push(one);
      display.show(role, { event: "started", pid: one.pid });
      return one;
    };
    let isAlone = true;
    let destination: RoleProcess | undefined;
    const listening = new Promise<string>((resolve, reject) => {
      destination = start("destination", {}, (message) => {
        if (message.event === "listening") resolve(message.uri);
        if (message.event === "status" && message.status !== "waiting") isAlone = false;
      });
      destination.exit.then(() => reject(new Error("the destination ended before it listened")), reject);
    });
    // Only the destination applies the IOMMU last (a source that did so would not differ, since it loads nothing), and
    // only it knows no walks: a source that sent none would not be refused.
    const source = start("source", { uri: await listening, iommuLast: false, walksTravel: true }, () => {});
    // Nobody else would come to a destination that waits.
    const isLeftAlone = source.exit.then((code) => {
      if (code === 0 || !isAlone) return false;
      destination?.kill();
      return true;
    });
    for (const [i, role] of (["destination", "source"] as const).entries()) {
      const code = (await processes[i]?.exit) ?? -1;
      if (role === "source" || story.loaded !== undefined || !(isAlone && (await isLeftAlone))) story.ended(role, code);
    }
  } finally {
    clearTimeout(timeout);
    process.off("SIGINT", interrupted).off("SIGTERM", interrupted);
    display.done();
    await rm(folder, { recursive: true, force: true });
  }
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ event: "summary", good: story.good, problems: story.problems(), refusal: story.refusal })}\n`,
    );
  for (const line of summary(story)) display.line(line);
  return story.good ? 0 : 1;
}

async function main(): Promise<number> {
  let options: Options | "help";
  try {
    // Deno's tasks pass on the "--" that npm and Bun take for themselves.
    const args = process.argv.slice(2);
    options = parseOptions(args[0] === "--" ? args.slice(1) : args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\nSee --help.\n`);
    return 2;
  }
  if (options === "help") {
    process.stdout.write(`${helpText()}\n`);
    return 0;
  }
  return demonstrate(options);
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 3;
  },
);
