// The local registry: keeps what is published, refuses a second time, and knows nothing of our names that was not.
import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type LocalRegistry, startRegistry } from "../registry/registry.ts";

const asked: string[] = [];
let upstream: Server;
let upstreamUrl = "";
let registry: LocalRegistry;

beforeAll(async () => {
  upstream = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.end(JSON.stringify({ from: "upstream" }));
  });
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  upstreamUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/npm/`;
});
afterAll(() => new Promise((resolve) => upstream.close(resolve)));

beforeEach(async () => {
  asked.length = 0;
  const own = await startRegistry({ upstream: upstreamUrl, own: ["@acme/", "godwit"] });
  registry = own;
  return () => own.close();
});

const tarball = Buffer.from([0x1f, 0x8b, 0, 255, 13, 10]);

/** As npm puts it. */
function publish(name: string, version: string, tag = "latest", token = "t"): Promise<Response> {
  return fetch(registry.url + name.replace("/", "%2f"), {
    method: "PUT",
    headers: token === "" ? {} : { authorization: `Bearer ${token}` },
    body: JSON.stringify({
      _id: name,
      name,
      "dist-tags": { [tag]: version },
      versions: { [version]: { name, version, peerDependencies: { "@godwit/core": ">=0.1.0 <1" } } },
      _attachments: { [`${name}-${version}.tgz`]: { data: tarball.toString("base64"), length: tarball.length } },
    }),
  });
}

interface Found {
  readonly "dist-tags": Record<string, string>;
  readonly versions: Record<
    string,
    { name: string; peerDependencies: unknown; dist: { tarball: string; integrity: string; shasum: string } }
  >;
}

describe("what was published", () => {
  it("is there with its manifest, its tarball and their sums", async () => {
    expect((await publish("@acme/buzzer", "1.0.0")).status).toBe(201);
    const response = await fetch(`${registry.url}@acme%2fbuzzer`);
    expect(response.headers.get("content-type")).toBe("application/json");
    const packument = (await response.json()) as Found;
    expect(packument).toMatchObject({ name: "@acme/buzzer", "dist-tags": { latest: "1.0.0" } });
    const found = packument.versions["1.0.0"];
    expect(found).toMatchObject({ name: "@acme/buzzer", peerDependencies: { "@godwit/core": ">=0.1.0 <1" } });
    expect(found?.dist).toEqual({
      tarball: `${registry.url}@acme/buzzer/-/buzzer-1.0.0.tgz`,
      integrity: `sha512-${createHash("sha512").update(tarball).digest("base64")}`,
      shasum: createHash("sha1").update(tarball).digest("hex"),
    });
    const bytes = await (await fetch(found?.dist.tarball ?? "")).arrayBuffer();
    expect(Buffer.from(bytes)).toEqual(tarball);
    expect(asked).toEqual([]);
  });

  it("keeps several versions, and tags where they were put last", async () => {
    await publish("godwit", "1.0.0");
    await publish("godwit", "2.0.0-rc.1", "next");
    await publish("godwit", "1.1.0");
    const { versions, "dist-tags": tags } = (await (await fetch(`${registry.url}godwit`)).json()) as Found;
    expect(Object.keys(versions)).toEqual(["1.0.0", "2.0.0-rc.1", "1.1.0"]);
    expect(tags).toEqual({ latest: "1.1.0", next: "2.0.0-rc.1" });
    expect([...registry.published().keys()]).toEqual(["godwit"]);
  });

  it("is never written over", async () => {
    await publish("godwit", "1.0.0");
    const again = await publish("godwit", "1.0.0", "beta");
    expect(again.status).toBe(403);
    expect(await again.json()).toMatchObject({ error: expect.stringContaining("1.0.0") });
    const { "dist-tags": tags } = (await (await fetch(`${registry.url}godwit`)).json()) as Found;
    expect(tags).toEqual({ latest: "1.0.0" });
  });

  it("is taken with a token only, and as a whole", async () => {
    expect((await publish("godwit", "1.0.0", "latest", "")).status).toBe(401);
    const broken = await fetch(`${registry.url}godwit`, { method: "PUT", headers: { authorization: "t" }, body: "{" });
    expect(broken.status).toBe(400);
    expect(registry.published().size).toBe(0);
  });
});

describe("what was not published", () => {
  it.each(["godwit", "@acme%2fnothing", "@acme/nothing", "@acme/nothing/-/nothing-1.0.0.tgz"])(
    "is asked for nowhere else where the name is ours: %s",
    async (path) => {
      const response = await fetch(registry.url + path);
      expect([response.status, asked]).toEqual([404, []]);
    },
  );

  it.each(["eventemitter3", "@types%2fnode", "godwit-else", "typescript/-/typescript-7.0.2.tgz"])(
    "is for the configured registry: %s",
    async (path) => {
      expect(await (await fetch(registry.url + path)).json()).toEqual({ from: "upstream" });
      expect(asked).toEqual([`/npm/${path}`]);
    },
  );

  it("is not searched for, or written elsewhere", async () => {
    const response = await fetch(`${registry.url}eventemitter3`, { method: "DELETE" });
    expect([response.status, asked]).toEqual([405, []]);
    const { status } = await fetch(`${registry.url}-/package/godwit/dist-tags/next`, { method: "POST", body: "1" });
    expect(status).toBe(405);
  });
});

it("a registry that is closed does not answer", async () => {
  const other = await startRegistry({ upstream: upstreamUrl, own: [] });
  await other.close();
  await expect(fetch(other.url)).rejects.toThrow();
});
