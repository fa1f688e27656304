// The canary's worker.
const scope = globalThis as unknown as { postMessage(message: string): void };
try {
  scope.postMessage(String(new Function("return 6 * 7")()));
} catch (error) {
  scope.postMessage((error as Error).name);
}
