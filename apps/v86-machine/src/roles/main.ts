// Either end of a move through a file: `save FILE LINES` boots the guest, lets it count, saves the machine and ends;
// `load FILE LINES` goes on with it. Both print what the guest sends meanwhile.
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { bootDisk } from "../guest/boot-disk.ts";
import { findSeabios } from "../host/seabios.ts";
import { type V86Machine, v86Machine } from "../machine.ts";

const usage = "usage: main.ts save|load FILE LINES [--date follow|freeze] [--host-days DAYS]";

/** How long the guest may take for a line. A process that nobody waits for any more ends by it. Milliseconds. */
const lineLimitMs = 60_000;

const { verb, file, lines, date, hostDays } = argumentsOf();

// A host whose wall clock is elsewhere, for trying what a guest sees of that. Days.
const hostNow = Date.now;
Date.now = () => hostNow() + hostDays * 86_400_000;

const found = findSeabios();
if ("problem" in found) end(2, found.problem);
const machine = await v86Machine({ ...found.seabios, disk: bootDisk(), date });
try {
  if (verb === "load") await machine.kernel.load(readFileSync(file));
  machine.kernel.resume();
  while (linesOf(machine) < lines) {
    const before = linesOf(machine);
    await machine.runUntil(() => linesOf(machine) > before, lineLimitMs);
  }
  machine.kernel.pause();
  if (verb === "save") writeFileSync(file, await streamOf(machine));
} catch (error) {
  const { message, syscall } = error as { message: string; syscall?: string };
  // A file that cannot be read or written is wrong use; a stream that is refused, a guest that stands, is not.
  end(syscall === undefined ? 1 : 2, message);
}
process.stdout.write(machine.sent(), () => process.exit(0));

function argumentsOf() {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: { date: { type: "string", default: "follow" }, "host-days": { type: "string", default: "0" } },
    });
    const [verb, file, count, ...more] = positionals;
    const { date } = values;
    const lines = Number(count);
    const hostDays = Number(values["host-days"]);
    const isDate = date === "follow" || date === "freeze";
    if ((verb === "save" || verb === "load") && file !== undefined && more.length === 0) {
      if (Number.isInteger(lines) && lines >= 0 && isDate && Number.isFinite(hostDays)) {
        return { verb, file, lines, date, hostDays } as const;
      }
    }
  } catch {
    // An option that there is not.
  }
  return end(2, usage);
}

function end(code: 1 | 2, line: string): never {
  console.error(line);
  process.exit(code);
}

function linesOf(of: V86Machine): number {
  return of.sent().split("\n").length - 1;
}

async function streamOf(of: V86Machine): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of of.kernel.save()) chunks.push(chunk.slice());
  return Buffer.concat(chunks);
}
