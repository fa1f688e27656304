// A worker thread of Node as the machine's port.
import { Worker } from "node:worker_threads";
import type { WorkerPort } from "../cpu/messages.ts";

/** `url` is that of a bundle of `cpu/worker-node.ts`: Node 20 does not run TypeScript. */
export function nodeWorker(url: URL): WorkerPort {
  const worker = new Worker(url);
  return {
    postMessage: (message) => worker.postMessage(message),
    onMessage(listener) {
      worker.on("message", listener);
      worker.on("error", (error) => listener({ type: "died", reason: String(error) }));
      worker.on("exit", (code) => listener({ type: "died", reason: `the thread ended with code ${code}` }));
    },
    terminate: () => void worker.terminate(),
  };
}
