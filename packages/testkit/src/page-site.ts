// A site for one page: its scripts under a content-security policy, and a mailbox for both sides. The page fetches what
// the test gives and posts what it has to tell, so that nothing has to be evaluated in it.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** No inline script, no `unsafe-eval`, nothing from elsewhere. */
export const strictPolicy = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'";

export interface PageSiteInit {
  /** Scripts by their names. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** The module that the page begins with. */
  readonly entry: string;
  /** The default is `strictPolicy`. */
  readonly policy?: string;
}

export interface PageSite {
  readonly url: string;
  /**
   * What the policy has refused in the page and in its workers, as `directive: blocked`. Chromium reports on the side:
   * waits until there are `atLeast` so many, and for a moment more.
   */
  violations(atLeast?: number): Promise<readonly string[]>;
  /** The page's `receive(name)` gets this. */
  give(name: string, bytes: Uint8Array): void;
  /** What the page tells by this name; rejects with a problem that comes first, `report` included. */
  told(name: string, timeoutMs?: number): Promise<Uint8Array>;
  /** A problem: whoever waits for the page is told at once, and later. */
  report(problem: string): void;
  close(): Promise<void>;
}

const patienceMs = 20_000;
const momentMs = 100;
const moment = () => new Promise<void>((resolve) => setTimeout(resolve, momentMs));

interface Waiting {
  resolve(bytes: Uint8Array): void;
  reject(error: Error): void;
}

/** Cross-origin isolated, so that the page has shared memory. */
export async function servePage({ files, entry, policy = strictPolicy }: PageSiteInit): Promise<PageSite> {
  const given = new Map<string, Uint8Array>();
  const asked = new Map<string, ServerResponse>();
  const told = new Map<string, Uint8Array>();
  const waiting = new Map<string, Waiting>();
  const problems: string[] = [];
  const violations: string[] = [];
  const headers = {
    "Content-Security-Policy": `${policy}; report-uri /violation`,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-store",
  };
  const send = (response: ServerResponse, status: number, type: string, body: Uint8Array | string) => {
    response.writeHead(status, { ...headers, "Content-Type": type });
    response.end(body);
  };
  const report = (problem: string) => {
    problems.push(problem);
    for (const { reject } of waiting.values()) reject(new Error(problem));
    waiting.clear();
  };

  const post = async (path: string, request: IncomingMessage): Promise<void> => {
    const body = await bodyOf(request);
    if (path === "/violation") violations.push(violationOf(body));
    else if (path === "/problem") report(Buffer.from(body).toString());
    else {
      const name = path.slice("/told/".length);
      told.set(name, body);
      waiting.get(name)?.resolve(body);
      waiting.delete(name);
    }
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url ?? "/";
    const file = files.get(path.slice(1));
    if (request.method === "POST") {
      await post(path, request);
      send(response, 204, "text/plain", "");
    } else if (path === "/") {
      send(response, 200, "text/html", `<!doctype html><script type="module" src="/${entry}"></script>`);
    } else if (file !== undefined) send(response, 200, "text/javascript", file);
    else if (path.startsWith("/given/")) {
      const name = path.slice("/given/".length);
      const bytes = given.get(name);
      if (bytes === undefined) asked.set(name, response);
      else send(response, 200, "application/octet-stream", bytes);
    } else send(response, path === "/favicon.ico" ? 204 : 404, "text/plain", "");
  };

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      report(String(error));
      response.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async violations(atLeast = 0) {
      for (let left = patienceMs; violations.length < atLeast && left > 0; left -= momentMs) await moment();
      await moment();
      return [...violations];
    },
    give(name, bytes) {
      given.set(name, bytes);
      const response = asked.get(name);
      if (response !== undefined) send(response, 200, "application/octet-stream", bytes);
      asked.delete(name);
    },
    told(name, timeoutMs = patienceMs) {
      if (problems.length > 0) return Promise.reject(new Error(problems.join("\n")));
      const bytes = told.get(name);
      if (bytes !== undefined) return Promise.resolve(bytes);
      return new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`the page did not tell "${name}" in ${timeoutMs} ms`)),
          timeoutMs,
        );
        waiting.set(name, {
          resolve: (own) => {
            clearTimeout(timer);
            resolve(own);
          },
          reject: (error) => {
            clearTimeout(timer);
            reject(error);
          },
        });
      });
    },
    report,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk as Uint8Array);
  // A plain view: Node's Buffer would compare unequal to a Uint8Array of the same bytes in tests.
  return Uint8Array.from(Buffer.concat(chunks));
}

function violationOf(body: Uint8Array): string {
  const report = JSON.parse(Buffer.from(body).toString()) as { "csp-report": Readonly<Record<string, string>> };
  const { "effective-directive": directive, "blocked-uri": blocked } = report["csp-report"];
  return `${directive}: ${blocked}`;
}
