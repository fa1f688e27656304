// The README's example of a vault is a file that runs; with live QEMU it does so in apps/interop.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findVmdesc } from "@godwit/core/stream";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { createVault, type Vault } from "godwit/vault";
import { expect, it } from "vitest";
import { handOn, hold } from "../../examples/hand-over.ts";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const example = readFileSync(new URL("../../examples/hand-over.ts", import.meta.url), "utf8");

it("shows the example as it is", () => {
  expect(readme).toContain(`\`\`\`ts\n${example}\`\`\``);
});

async function filled(stream: Uint8Array): Promise<Vault> {
  const vault = createVault();
  const attempt = vault.incoming();
  attempt.push(stream);
  attempt.end();
  await attempt.prepare();
  await attempt.commit();
  return vault;
}

it.skipIf(!haveStreams())("hands a machine on by QEMU's wire, from one vault to the next", async () => {
  const folder = mkdtempSync(join(tmpdir(), "godwit-vault-"));
  try {
    const stream = readStream("tiny-precopy-7.2.stream");
    const first = await filled(stream);
    // The source waits for an answer behind the devices, and these for what delimits them.
    const second = createVault({ vmdesc: findVmdesc(stream)?.vmdesc });
    const uri = `unix:${join(folder, "vault")}`;
    await Promise.all([hold(second, uri), handOn(first, uri)]);
    expect(second.held).toEqual(first.held);
    const [here, there] = [first, second].map(({ memory }) => memory.get("pc.ram") as Uint8Array);
    expect(Buffer.compare(here as Uint8Array, there as Uint8Array)).toBe(0);
    expect(() => first.outgoing()).toThrow(/VAULT_GIVEN/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
