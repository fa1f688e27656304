import { describe, expect, it } from "vitest";
import { isMigrationError, type MigrationError } from "../src/index.ts";
import { smallMachine, uart } from "./machine.ts";

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: number[] = [];
  for await (const chunk of chunks) all.push(...chunk);
  return Uint8Array.from(all);
}

function errorOf(work: () => unknown): MigrationError {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("no error");
}

describe("kernel", () => {
  it("saves and loads a machine, dependencies first, interrupts held", async () => {
    const source = smallMachine(7);
    const stream = await bytesOf(source.kernel.save());
    const target = smallMachine(0);
    const report = await target.kernel.load(stream);
    expect(target.irq).toEqual(source.irq);
    expect(target.uarts).toEqual(source.uarts);
    expect(target.store.bytes).toEqual(source.store.bytes);
    expect(report.loadOrder).toEqual(["timer/0", "irqchip/0", "uart/0", "uart/1"]);
    expect(report.sections.map((s) => `${s.idstr}/${s.instance} ${s.phase}`)).toEqual([
      "memory/0 start",
      "memory/0 end",
      "timer/0 full",
      "uart/0 full",
      "uart/1 full",
      "irqchip/0 full",
    ]);
    expect(target.log).toEqual([
      "check uart0 7",
      "check uart1 7",
      "hold",
      "load irqchip",
      "load uart0",
      "load uart1",
      "release",
    ]);
    expect(report.notes).toEqual([]);
    // The target's own stream is the same: nothing was lost on the way.
    expect(await bytesOf(target.kernel.save())).toEqual(stream);
  });

  it("amends what a check amends", () => {
    const source = smallMachine(3);
    (source.uarts[1] as { lcr: number }).lcr = 99;
    const target = smallMachine(0);
    const report = target.kernel.restore(source.kernel.snapshot());
    expect(target.uarts[1]?.lcr).toBe(1);
    expect(report.notes.filter(({ code }) => code !== "no-vmdesc")).toEqual([
      { code: "amended", section: "uart/1", text: "lcr was 99" },
    ]);
  });

  it("tells for every cut which element is missing, and gives the machine nothing", async () => {
    const stream = await bytesOf(smallMachine(7).kernel.save());
    const target = smallMachine(0);
    const attempt = target.kernel.incoming();
    const places = new Map<string, number>();
    for (let cut = 0; cut < stream.length; cut++) {
      const fork = attempt.fork();
      const eof = cut > 0 && errorFree(() => attempt.fork().end());
      if (!eof) {
        const error = errorOf(() => fork.end());
        expect(error.code).toBe("STREAM_TRUNCATED");
        expect(error.location.section).toBeTruthy();
        expect(error.location.path).toBeTruthy();
        expect(error.location.offset).toBeLessThanOrEqual(cut);
        expect(cut - (error.location.offset as number)).toBeLessThan(error.location.section === "vmdesc" ? 5000 : 64);
        const place = `${error.location.section} ${error.location.path}`;
        places.set(place, (places.get(place) ?? 0) + 1);
      } else places.set("eof", (places.get("eof") ?? 0) + 1);
      attempt.push(stream.subarray(cut, cut + 1));
    }
    attempt.end();
    expect(target.log).toEqual([]);
    expect(target.store.committed).toBe(0);
    expect(places.get("eof")).toBe(1);
    expect(places.get("uart/0 lcr")).toBe(1);
    expect(places.get("uart/0 stamps")).toBe(16);
    expect(places.get("uart/1 timeout.ticks")).toBe(2);
    expect(places.get("memory/0 data")).toBe(128);
    attempt.discard();
  });

  it("refuses bad input, each with its own code and place", async () => {
    const good = await bytesOf(smallMachine(7).kernel.save());
    const at = (text: string, after = 0): number => {
      const needle = [...text].map((c) => c.charCodeAt(0));
      for (let i = after; i < good.length; i++) if (needle.every((b, k) => good[i + k] === b)) return i;
      throw new Error(text);
    };
    const uartAt = at("uart");
    const set = (index: number, byte: number) => (bytes: Uint8Array) => bytes.with(index, byte);
    const refused = (change: (bytes: Uint8Array) => Uint8Array) => {
      const target = smallMachine(0);
      const error = errorOf(() => target.kernel.restore(change(good)));
      expect(target.log.filter((line) => line.startsWith("load"))).toEqual([]);
      return [error.code, error.location.section, error.location.path, error.location.offset];
    };
    expect(refused(set(0, 0x51 + 1))).toEqual(["MAGIC_WRONG", "header", "magic", 0]);
    expect(refused(set(7, 2))).toEqual(["STREAM_VERSION", "header", "version", 4]);
    expect(refused(set(13, 0x70))).toEqual(["MACHINE_MISMATCH", "configuration", "name", 13]);
    expect(refused(set(uartAt, 0x56))).toEqual(["SECTION_UNKNOWN", "Vart/0", "idstr", uartAt - 1]);
    expect(refused(set(uartAt + 11, 9))).toEqual(["SECTION_VERSION", "uart/0", "version_id", uartAt + 8]);
    const sub = at("uart/timeout");
    expect(refused(set(sub + 11, 0x54))).toEqual(["SUBSECTION_UNKNOWN", "uart/1", "(subsection)", sub - 2]);
    expect(refused(set(sub + 15, 2))).toEqual(["SUBSECTION_VERSION", "uart/1", "(subsection)", sub + 16]);
    const footer = uartAt + 12 + 1 + 1 + 3 + 16;
    expect(good[footer]).toBe(0x7e);
    expect(refused(set(footer + 4, 99))).toEqual(["FOOTER_MISMATCH", "uart/0", "footer", footer]);
    expect(refused(set(footer, 0x7d))).toEqual(["FOOTER_MISSING", "uart/0", "footer", footer]);
    expect(errorOf(() => smallMachine(0).kernel.restore(set(footer, 0)(good))).detail).toBe(
      "the section's body does not end where its description says: the two sides may describe this version differently",
    );
    expect(refused((b) => Uint8Array.of(...b, 0))).toEqual(["STREAM_TRAILING", "stream", "end", good.length]);
    // The whole of uart/0 once more.
    const section = good.slice(uartAt - 6, footer + 5);
    expect(refused((b) => Uint8Array.of(...b.slice(0, footer + 5), ...section, ...b.slice(footer + 5)))).toEqual([
      "SECTION_DUPLICATE",
      "uart/0",
      "idstr",
      footer + 10,
    ]);
    expect(refused((b) => Uint8Array.of(...b.slice(0, uartAt - 6), ...b.slice(footer + 5)))).toEqual([
      "SECTION_MISSING",
      "uart/0",
      undefined,
      good.length - section.length,
    ]);
  });

  it("puts the machine back when a load throws after all", () => {
    const stream = smallMachine(7).kernel.snapshot();
    const target = smallMachine(1);
    const before = target.kernel.snapshot();
    target.failLoad = "uart1";
    const error = errorOf(() => target.kernel.restore(stream));
    expect([error.code, error.location.section]).toEqual(["DEVICE_FAILED", "uart/1"]);
    expect(target.log.filter((line) => line.startsWith("load"))).toEqual([
      "load irqchip",
      "load uart0",
      "load uart1",
      // Forward again: what others wait for comes before them on the way back, too.
      "load irqchip",
      "load uart0",
      "load uart1",
    ]);
    expect(target.store.committed).toBe(1);
    expect(target.kernel.snapshot()).toEqual(before);
    // The registry has thawed, and the next attempt works.
    target.kernel.restore(stream);
    expect(target.kernel.snapshot()).toEqual(stream);
  });

  it("puts the machine back when memory cannot be taken over", () => {
    const stream = smallMachine(7).kernel.snapshot();
    const target = smallMachine(1);
    const before = target.kernel.snapshot();
    target.store.failCommit = true;
    const error = errorOf(() => target.kernel.restore(stream));
    expect([error.code, error.location.section]).toEqual(["DEVICE_FAILED", undefined]);
    expect(target.log.filter((line) => line.startsWith("load"))).toEqual([]);
    expect(target.log.at(-1)).toBe("release");
    expect(target.kernel.snapshot()).toEqual(before);
  });

  it("tells the byte of a field that a check refuses", async () => {
    const source = smallMachine(7);
    const stream = await bytesOf(source.kernel.save());
    const target = smallMachine(0);
    target.refuse = "stamps";
    const { code, location } = errorOf(() => target.kernel.restore(stream));
    const section = (await smallMachine(0).kernel.load(stream)).sections.find((s) => s.idstr === "uart");
    // Header: type, id, length and name, instance, version; then lcr, count and three bytes of fifo.
    const body = (section?.offset ?? Number.NaN) + 1 + 4 + 1 + 4 + 4 + 4;
    expect([code, location.section, location.path, location.offset]).toEqual([
      "DEVICE_CHECK",
      "uart/0",
      "stamps",
      body + 5,
    ]);
    target.refuse = "lcr";
    expect(errorOf(() => target.kernel.restore(stream)).location.offset).toBe(body);
    target.refuse = "stamps[1]";
    expect(errorOf(() => target.kernel.restore(stream)).location.offset).toBe(body + 5);
    target.refuse = "nothing of that name";
    expect(errorOf(() => target.kernel.restore(stream)).location.offset).toBe(body);
  });

  it("freezes the registry during an attempt, and names ambiguous instances", () => {
    const { kernel } = smallMachine();
    const init = { save: () => ({ pending: 0, enable: 0 }), load: () => {} };
    const irq = { ...uart, name: "other", fields: {}, subsections: {} } as never;
    const attempt = kernel.incoming();
    expect(errorOf(() => kernel.device(irq, init as never)).code).toBe("REGISTRY_FROZEN");
    attempt.discard();
    kernel.device(irq, init as never);
    expect(errorOf(() => kernel.device(irq, init as never)).code).toBe("INSTANCE_AMBIGUOUS");
    expect(kernel.device(irq, { ...init, instance: "auto" } as never).instance).toBe(1);
    expect(errorOf(() => kernel.device(irq, { ...init, instance: 1 } as never)).code).toBe("SECTION_DUPLICATE");
  });
});

function errorFree(work: () => void): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}
