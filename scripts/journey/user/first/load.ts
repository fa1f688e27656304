// Loads the file into a machine of another process.
import { readFileSync } from "node:fs";
import { machine } from "./machine.ts";

const { kernel, isRunning, tell } = machine();
await kernel.load(readFileSync("greenhouse.sav"));
console.log(tell());
kernel.resume();
if (!isRunning()) throw new Error("the machine does not run");
