import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storeCompliance } from "@godwit/test-support/transport-compliance";
import { connect, file, listen } from "@godwit/transport/file";
import { afterAll, describe, expect, it } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "godwit-file-"));
let files = 0;
const fresh = (): string => join(folder, `file-${files++}`);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

storeCompliance("file", { transport: file, address: () => `file:${fresh()}` });
storeCompliance("file with an offset", { transport: file, address: () => `file:${fresh()},offset=4K` });

describe("file channels", () => {
  it("give a file its name when they are closed, and not before", async () => {
    const path = fresh();
    const channel = await connect(`file:${path}`);
    await channel.send(Uint8Array.of(1, 2, 3));
    expect(existsSync(path)).toBe(false);
    await channel.close();
    await channel.close();
    expect(Array.from(readFileSync(path))).toEqual([1, 2, 3]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  it("leave the file that was there, and nothing else, when they are aborted", async () => {
    const path = fresh();
    writeFileSync(path, "precious");
    const channel = await connect(`file:${path}`);
    await channel.send(new Uint8Array(100_000));
    const waiting = channel.send(new Uint8Array(5_000_000)).catch((error: unknown) => error);
    const reason = new Error("enough");
    channel.abort(reason);
    expect(await waiting).toBe(reason);
    expect(await channel.send(Uint8Array.of(1)).catch((error: unknown) => error)).toBe(reason);
    await channel.close();
    expect(readFileSync(path, "utf8")).toBe("precious");
    expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  it("replace what was there, whole, and keep its mode and the links to it", async () => {
    const path = fresh();
    const link = fresh();
    writeFileSync(path, "x".repeat(1000));
    // More than a process's mask lets a new file have.
    chmodSync(path, 0o666);
    symlinkSync(path, link);
    const channel = await connect(`file:${link}`);
    await channel.send(Uint8Array.of(5));
    await channel.close();
    expect(Array.from(readFileSync(path))).toEqual([5]);
    expect(statSync(path).mode & 0o777).toBe(0o666);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
  });

  it("keep what stands before the offset, and nothing behind the stream", async () => {
    const path = fresh();
    writeFileSync(path, "header..old stream, longer than the new one");
    const channel = await connect(`file:${path},offset=8`);
    expect(channel.fileOffset).toBe(8);
    await channel.send(new TextEncoder().encode("new"));
    await channel.close();
    expect(readFileSync(path, "utf8")).toBe("header..new");
    const listener = await listen(`file:${path},offset=0x8`);
    const reading = await listener.accept();
    expect(reading.fileOffset).toBe(8);
    expect(new TextDecoder().decode(reading.readAt(0, 6))).toBe("header");
    expect(new TextDecoder().decode(reading.readAt(9, 100))).toBe("ew");
    const got: string[] = [];
    for await (const chunk of reading.receive()) got.push(new TextDecoder().decode(chunk));
    expect(got.join("")).toBe("new");
    await reading.close();
  });

  it("write at places, behind what was sent before, whether that was waited for or not", async () => {
    const path = fresh();
    const channel = await connect(`file:${path},offset=2`);
    await channel.send(new Uint8Array(10).fill(1));
    channel.place(4, Uint8Array.of(7, 7));
    const page = new Uint8Array(3).fill(8);
    const waiting = channel.send(new Uint8Array(10).fill(2));
    channel.place(12, page);
    page.fill(0xff);
    await waiting;
    await channel.send(Uint8Array.of(3));
    channel.place(30, Uint8Array.of(9));
    await channel.close();
    expect(() => channel.place(0, page)).toThrow(expect.objectContaining({ code: "TRANSPORT_CLOSED" }));
    // Head, ten of the first send with two placed over, ten of the second with three, the last one, and a hole.
    expect(Array.from(readFileSync(path))).toEqual([
      ...[0, 0, 1, 1, 7, 7, 1, 1, 1, 1, 1, 1],
      ...[8, 8, 8, 2, 2, 2, 2, 2, 2, 2, 3],
      ...[0, 0, 0, 0, 0, 0, 0, 9],
    ]);
  });

  it("do not take their name where a place could not be written", async () => {
    for (const offset of [-5, -1, 1.5, Number.NaN, 2 ** 53]) {
      const path = fresh();
      const channel = await connect(`file:${path}`);
      await channel.send(Uint8Array.of(1, 2, 3));
      const broken = expect.objectContaining({ code: "TRANSPORT_CLOSED" });
      expect(() => channel.place(offset, Uint8Array.of(9)), String(offset)).toThrow(broken);
      await expect(channel.send(Uint8Array.of(4))).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
      await expect(channel.close()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
      expect(existsSync(path)).toBe(false);
    }
    expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  it("read at places no more than there is, and none that is no place", async () => {
    const path = fresh();
    writeFileSync(path, "abc");
    const reading = await (await listen(`file:${path}`)).accept();
    // A length that a stream names: it is not allocated before the file is known to have it.
    expect(new TextDecoder().decode(reading.readAt(1, 2 ** 40))).toBe("bc");
    expect(reading.readAt(100, 10).length).toBe(0);
    for (const offset of [-5, -1, 1.5, Number.NaN, 2 ** 60]) {
      const broken = expect.objectContaining({ code: "TRANSPORT_CLOSED" });
      expect(() => reading.readAt(offset, 2), String(offset)).toThrow(broken);
    }
    await reading.close();
    expect(() => reading.readAt(0, 1)).toThrow(expect.objectContaining({ code: "TRANSPORT_CLOSED" }));
  });

  it("keep their file when they are aborted after they were closed", async () => {
    const path = fresh();
    const channel = await connect(`file:${path}`);
    await channel.send(Uint8Array.of(1));
    await channel.close();
    channel.abort(new Error("too late"));
    await channel.close();
    expect(Array.from(readFileSync(path))).toEqual([1]);
  });

  it("fail at close where the file cannot take its name, and leave nothing", async () => {
    const path = fresh();
    const channel = await connect(`file:${path}`);
    await channel.send(Uint8Array.of(1));
    mkdirSync(path);
    await expect(channel.close()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
    expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
  });
});

describe("file addresses", () => {
  it("are paths, and an offset in bytes behind the last comma", async () => {
    const uris = [
      "file:",
      "file:x,offset=",
      "file:x,offset=-1",
      "file:x,offset=1.5",
      "file:x,offset=9999999999999T",
      "file:,offset=0",
    ];
    for (const uri of uris) {
      await expect(connect(uri), uri).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS", found: uri });
      await expect(listen(uri), uri).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS", found: uri });
    }
    const odd = `${fresh()},with,commas`;
    const channel = await connect(`file:${odd},offset=1k`);
    expect(channel.fileOffset).toBe(1024);
    await channel.close();
    expect(existsSync(odd)).toBe(true);
  });

  it("that are no files, or not there, are refused", async () => {
    for (const path of [folder, "/dev/null", join(folder, "no-such-folder", "x")]) {
      await expect(connect(`file:${path}`), path).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS" });
      await expect(listen(`file:${path}`), path).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS" });
    }
    await expect(listen(`file:${fresh()}`)).rejects.toMatchObject({ code: "TRANSPORT_ADDRESS" });
  });
});
