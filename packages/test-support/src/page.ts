// The page's side of the mailbox that `page-site.ts` keeps. Runs in a browser.

interface PageScope {
  readonly crossOriginIsolated: boolean;
  fetch(
    url: string,
    init?: { readonly method: "POST"; readonly body: Uint8Array<ArrayBuffer> | string },
  ): Promise<{ readonly ok: boolean; readonly status: number; arrayBuffer(): Promise<ArrayBuffer> }>;
}

const page = globalThis as unknown as PageScope;

// All addresses are relative to the page's: its site has a path of its own.

/** What the test gives by this name, once it does. */
export async function receive(name: string): Promise<Uint8Array> {
  const response = await page.fetch(`given/${name}`);
  if (!response.ok) throw new Error(`receive "${name}": status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

export async function tell(name: string, body: Uint8Array<ArrayBuffer> | string): Promise<void> {
  const { ok, status } = await page.fetch(`told/${name}`, { method: "POST", body });
  if (!ok) throw new Error(`tell "${name}": status ${status}`);
}

/** Runs the page's work; what it throws, or a page without shared memory, is a problem that the test hears. */
export function runPage(work: () => Promise<void>): void {
  const isolated = page.crossOriginIsolated ? work() : Promise.reject(new Error("the page is not isolated"));
  isolated.catch((error: unknown) => {
    const text = error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
    void page.fetch("problem", { method: "POST", body: text });
  });
}
