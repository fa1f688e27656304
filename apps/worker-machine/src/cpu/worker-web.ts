// The CPU's worker where there is a web `Worker`: Bun, Deno, a browser.
import type { FromWorker, ToWorker } from "./messages.ts";
import { serveCpu } from "./serve.ts";

interface WorkerScope {
  onmessage: ((event: { readonly data: ToWorker }) => void) | null;
  postMessage(message: FromWorker): void;
}

const scope = globalThis as unknown as WorkerScope;
const serve = serveCpu((message) => scope.postMessage(message));
scope.onmessage = ({ data }) => serve(data);
