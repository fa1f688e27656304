import { readFileSync } from "node:fs";
import { machine } from "./machine.ts";

const { kernel, isRunning, tell } = machine();
const { loadOrder } = await kernel.load(readFileSync("greenhouse.stream"));
console.log(tell());
console.log(`loaded ${loadOrder.join(", ")}; runs: ${isRunning()}`);
