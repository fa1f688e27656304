// The canary: a page, and a worker of it, that evaluate text. Under the strict policy both are refused.
import { runPage, tell } from "@godwit/test-support/page";

interface TellingWorker {
  onmessage: ((event: { readonly data: string }) => void) | null;
}
const { Worker } = globalThis as unknown as { Worker: new (url: string, options: { type: "module" }) => TellingWorker };

runPage(async () => {
  let inPage: string;
  try {
    inPage = String(new Function("return 6 * 7")());
  } catch (error) {
    inPage = (error as Error).name;
  }
  const worker = new Worker("/eval-worker.js", { type: "module" });
  const inWorker = await new Promise<string>((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
  });
  await tell("done", JSON.stringify({ inPage, inWorker }));
});
