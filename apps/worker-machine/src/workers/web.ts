// A web `Worker` (Bun, Deno, browsers) as the machine's port.
import type { FromWorker, ToWorker, WorkerPort } from "../cpu/messages.ts";

interface WebWorker {
  onmessage: ((event: { readonly data: FromWorker }) => void) | null;
  onmessageerror: (() => void) | null;
  onerror: ((event: { readonly message?: string; preventDefault?(): void }) => void) | null;
  postMessage(message: ToWorker): void;
  terminate(): void;
}

type WebWorkerConstructor = new (url: URL | string, options: { readonly type: "module" }) => WebWorker;

/** `url` is that of `cpu/worker-web.ts`, or of its bundle. */
export function webWorker(url: URL | string): WorkerPort {
  const { Worker } = globalThis as unknown as { readonly Worker: WebWorkerConstructor };
  const worker = new Worker(url, { type: "module" });
  return {
    postMessage: (message) => worker.postMessage(message),
    onMessage(listener) {
      worker.onmessage = ({ data }) => listener(data);
      worker.onmessageerror = () => listener({ type: "died", reason: "a message could not be read" });
      worker.onerror = (event) => {
        // Told here; Deno would end the process over it.
        event.preventDefault?.();
        listener({ type: "died", reason: event.message ?? "the worker did not start" });
      };
    },
    terminate: () => worker.terminate(),
  };
}
