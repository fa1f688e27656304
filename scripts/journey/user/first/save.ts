// Runs a machine for a while and saves it into a file.
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { machine } from "./machine.ts";

const { kernel, tick, tell } = machine();
kernel.resume();
for (let turn = 0; turn < 300; turn++) tick();
const chunks: Uint8Array[] = [];
for await (const chunk of kernel.save()) chunks.push(chunk);
writeFileSync("greenhouse.sav", Buffer.concat(chunks));
console.log(tell());
