// Either end of a move through a file: `save FILE LINES` boots the guest, lets it count, saves the machine and ends;
// `load FILE LINES` goes on with it. Both print what the guest sends meanwhile.
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { bootDisk } from "../guest/boot-disk.ts";
import { findSeabios } from "../host/seabios.ts";
import { type V86Machine, v86Machine } from "../machine.ts";

const usage = "usage: main.ts save|load FILE LINES [--date follow|freeze] [--host-days DAYS]";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { date: { type: "string", default: "follow" }, "host-days": { type: "string", default: "0" } },
});
const [verb, file, count] = positionals;
const { date } = values;
const lines = Number(count);
const hostDays = Number(values["host-days"]);
const isDate = date === "follow" || date === "freeze";
if ((verb !== "save" && verb !== "load") || file === undefined || !(lines >= 0) || !isDate || Number.isNaN(hostDays)) {
  throw new Error(usage);
}

// A host whose wall clock is elsewhere, for trying what a guest sees of that. Days.
const hostNow = Date.now;
Date.now = () => hostNow() + hostDays * 86_400_000;

const seabios = findSeabios();
if (seabios === undefined) throw new Error("Debian's package seabios is needed; GODWIT_SEABIOS may name its folder");
const machine = await v86Machine({ ...seabios, disk: bootDisk(), date });
if (verb === "load") await machine.kernel.load(readFileSync(file));
await machine.runUntil(() => linesOf(machine) >= lines);
if (verb === "save") writeFileSync(file, await streamOf(machine));
process.stdout.write(machine.sent(), () => process.exit(0));

function linesOf(of: V86Machine): number {
  return of.sent().split("\n").length - 1;
}

async function streamOf(of: V86Machine): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of of.kernel.save()) chunks.push(chunk.slice());
  return Buffer.concat(chunks);
}
