import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storeCompliance } from "@godwit/test-support/transport-compliance";
import { connect, exec, listen } from "@godwit/transport/exec";
import { afterAll, describe, expect, it, onTestFinished, vi } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "godwit-exec-"));
let names = 0;
const fresh = (): string => join(folder, `name-${names++}`);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

storeCompliance("exec", {
  transport: {
    scheme: "exec",
    connect: (uri) => exec.connect(uri.replace("exec:", "exec:cat > ")),
    listen: (uri) => exec.listen(uri.replace("exec:", "exec:cat ")),
  },
  address: () => `exec:${fresh()}`,
});

async function readAll(uri: string): Promise<string> {
  const listener = await listen(uri);
  const channel = await listener.accept();
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of channel.receive()) text += decoder.decode(chunk, { stream: true });
  await channel.close();
  await listener.close();
  return text;
}

/** Waits for what another process does. */
async function until(held: () => boolean): Promise<void> {
  while (!held()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("exec channels", () => {
  it("are what the command writes, and what it reads", async () => {
    expect(await readAll("exec:printf 'one\\n'; echo two")).toBe("one\ntwo\n");
    const path = fresh();
    const channel = await connect(`exec:tr a-z A-Z > ${path}`);
    await channel.send(new TextEncoder().encode("machine"));
    await channel.close();
    expect(readFileSync(path, "utf8")).toBe("MACHINE");
  });

  it("serve both ways where the command does", async () => {
    const channel = await connect("exec:exec cat");
    await channel.send(new TextEncoder().encode("there and back"));
    const { value } = await channel.receive()[Symbol.asyncIterator]().next();
    expect(new TextDecoder().decode(value)).toBe("there and back");
    await channel.close();
  });

  it("fail with the exit code and the last words of a command that failed", async () => {
    const failing = "exec:echo data; head -c 5000 /dev/zero | tr '\\0' x >&2; echo 'disk full' >&2; exit 3";
    const listener = await listen(failing);
    const reading = (await listener.accept()).receive()[Symbol.asyncIterator]();
    expect(new TextDecoder().decode((await reading.next()).value)).toBe("data\n");
    const error = await reading.next().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "TRANSPORT_CLOSED", expected: "exit code 0" });
    const { found = "" } = error as { found?: string };
    expect(found).toMatch(/^exit code 3: x+disk full$/);
    expect(found.length).toBeLessThan(1100);

    const channel = await connect("exec:cat > /dev/null; echo no room >&2; exit 28");
    await channel.send(Uint8Array.of(1));
    await expect(channel.close()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED", found: "exit code 28: no room" });
  });

  it("tell whoever sends to a command that has ended", async () => {
    const channel = await connect("exec:echo refused >&2; exit 4");
    const flood = new Uint8Array(1024 * 1024);
    const sending = (async () => {
      for (;;) await channel.send(flood);
    })();
    await expect(sending).rejects.toMatchObject({ code: "TRANSPORT_CLOSED", found: "exit code 4: refused" });
    channel.abort(new Error("the test is over"));
  });

  it("know a command that a signal has ended", async () => {
    await expect(readAll("exec:kill -9 $$")).rejects.toMatchObject({
      code: "TRANSPORT_CLOSED",
      found: "signal SIGKILL",
    });
  });

  it("end the command and its children when they are aborted", async () => {
    const [first, second] = [fresh(), fresh()];
    const channel = await connect(
      `exec:sleep 600 & echo $! > ${first}; sh -c 'echo $$ > ${second}; exec sleep 600'; true`,
    );
    await until(() => [first, second].every((path) => existsSync(path) && readFileSync(path, "utf8").endsWith("\n")));
    const pids = [first, second].map((path) => Number(readFileSync(path, "utf8")));
    for (const pid of pids) expect(isAlive(pid)).toBe(true);
    const reason = new Error("enough");
    const reading = channel.receive()[Symbol.asyncIterator]().next();
    channel.abort(reason);
    expect(await reading.catch((error: unknown) => error)).toBe(reason);
    await until(() => !pids.some(isAlive));
    await channel.close();
  });

  it("leave alone what a command that has ended well has left behind", async () => {
    const path = fresh();
    const channel = await connect(`exec:sleep 600 </dev/null >/dev/null 2>&1 & echo $! > ${path}`);
    await channel.close();
    const pid = Number(readFileSync(path, "utf8"));
    // The ends of the pipes come by themselves, soon after that of the command.
    await new Promise((resolve) => setTimeout(resolve, 300));
    const killed = vi.spyOn(process, "kill");
    onTestFinished(() => killed.mockRestore());
    channel.abort(new Error("too late"));
    expect(killed).not.toHaveBeenCalled();
    expect(isAlive(pid)).toBe(true);
    process.kill(pid);
  });

  it("are ended when nobody accepts them", async () => {
    const path = fresh();
    const listener = await listen(`exec:echo $$ > ${path}; exec sleep 600`);
    await until(() => existsSync(path) && readFileSync(path, "utf8").endsWith("\n"));
    const pid = Number(readFileSync(path, "utf8"));
    await listener.close();
    await until(() => !isAlive(pid));
    await expect(listener.accept()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
  });

  it("make a sender wait for a command that does not read", async () => {
    const channel = await connect("exec:sleep 600");
    const chunk = new Uint8Array(64 * 1024);
    let sentBytes = 0;
    const sending = (async () => {
      for (;;) {
        await channel.send(chunk);
        sentBytes += chunk.length;
      }
    })().catch((error: unknown) => error);
    for (let before = -1; before !== sentBytes; ) {
      before = sentBytes;
      for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(sentBytes).toBeLessThan(2 * 1024 * 1024);
    const reason = new Error("enough");
    channel.abort(reason);
    expect(await sending).toBe(reason);
  });

  it("need a command", async () => {
    for (const uri of ["exec:", "exec:a\0b"]) {
      await expect(connect(uri)).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS" });
      await expect(listen(uri)).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS" });
    }
  });
});

/** A zombie, which nobody has waited for yet, is not. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
