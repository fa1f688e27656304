// The CPU's worker on Node.
import { parentPort } from "node:worker_threads";
import { serveCpu } from "./serve.ts";

if (parentPort === null) throw new Error("this module is for a worker thread");
const port = parentPort;
port.on(
  "message",
  serveCpu((message) => port.postMessage(message)),
);
