// The unit of a real QEMU: registers and memory through qtest, interrupts by the device "edu", and the machine's state from
// a migration to a file. The machine's processor is halted, so nothing else moves.
import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CapabilityOptions } from "../../src/index.ts";
import type { Step } from "./sequences.ts";

const unitBase = 0xfed9_0000;
const barBase = 0xc000_0000;
const slot = 4;

/** QEMU's properties of "intel-iommu" for our options. Under TCG EIM needs a property for old machines. */
function propertiesOf(unit: CapabilityOptions): string {
  const on = (value: boolean | undefined) => (value === true ? "on" : "off");
  return [
    "intel-iommu",
    `aw-bits=${unit.addressWidth ?? 39}`,
    `caching-mode=${on(unit.cachingMode)}`,
    `dma-drain=${on(unit.dmaDrain ?? true)}`,
    `pt=${on(unit.passThrough ?? true)}`,
    `snoop-control=${on(unit.snoopControl)}`,
    `device-iotlb=${on(unit.deviceTlb)}`,
    `intremap=${on(unit.intremap)}`,
    ...(unit.eim === true ? ["eim=on", "x-buggy-eim=on"] : []),
    `x-scalable-mode=${on(unit.scalableMode)}`,
    `x-pasid-mode=${on(unit.pasid)}`,
  ].join();
}

/** Answers line by line, in the order of the questions. Fails every open question when QEMU ends. */
function dialogue(isAnswer: (line: string) => boolean, send: (text: string) => void) {
  const open: { resolve(line: string): void; reject(error: Error): void }[] = [];
  let text = "";
  let ended: Error | undefined;
  return {
    ask: (question: string) =>
      new Promise<string>((resolve, reject) => {
        if (ended !== undefined) return reject(ended);
        open.push({ resolve, reject });
        send(`${question}\n`);
      }),
    hear(more: string) {
      const lines = (text + more).split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) if (isAnswer(line)) open.shift()?.resolve(line);
    },
    end(error: Error) {
      ended = error;
      for (const { reject } of open.splice(0)) reject(error);
    },
  };
}

const binary = "qemu-system-x86_64";

/** QEMU's version, such as "7.2.22"; undefined where it is not on the path. */
export function qemuVersion(): string | undefined {
  const { stdout } = spawnSync(binary, ["--version"], { encoding: "utf8" });
  return /version ([\d.]+)/.exec(stdout ?? "")?.[1];
}

export interface QemuUnit {
  /** Takes the steps. Gives what a guest and a device see of it: interrupts as they go out, and words of memory. */
  run(steps: readonly Step[]): Promise<string[]>;
  /** Stops the machine, and gives all of its state. */
  stream(): Promise<Uint8Array>;
}

/** Starts a machine, with the state of `incoming` where there is one, and ends it behind `work`. */
export async function withQemu<T>(
  unit: CapabilityOptions,
  incoming: Uint8Array | undefined,
  work: (qemu: QemuUnit) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "godwit-vtd-"));
  const at = (name: string) => join(folder, name);
  const firmware = new Uint8Array(0x1_0000).fill(0xf4);
  firmware.set([0xfa, 0xf4, 0xeb, 0xfd], 0xfff0); // cli; hlt; and again
  await writeFile(at("firmware"), firmware);
  if (incoming !== undefined) await writeFile(at("incoming"), incoming);
  const child = spawn(binary, [
    ...["-M", "pc-q35-7.2,accel=tcg,kernel-irqchip=split", "-cpu", "qemu64", "-m", "16", "-bios", at("firmware")],
    ...["-nodefaults", "-display", "none", "-device", propertiesOf(unit), "-device", `edu,addr=${slot}`],
    ...["-qtest", "stdio", "-qtest-log", "/dev/null", "-qmp", `unix:${at("qmp")},server=on,wait=off`],
    ...["-d", "trace:vtd_ir_remap_msi", "-D", at("log")],
    ...(incoming === undefined ? [] : ["-incoming", "defer"]),
  ]);
  let complaints = "";
  child.stderr.on("data", (data) => {
    complaints += data;
  });
  const qtest = dialogue(
    (line) => /^(OK|FAIL|ERR)/.test(line),
    (text) => child.stdin.write(text),
  );
  child.stdout.on("data", (data) => qtest.hear(String(data)));
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.once("exit", (code) => qtest.end(new Error(`QEMU ended (${code}): ${complaints}`)));
  child.stdin.on("error", () => {});

  const ask = async (question: string) => {
    const answer = await qtest.ask(question);
    if (!answer.startsWith("OK")) throw new Error(`${question}: ${answer}`);
    return Number(answer.slice(3));
  };
  const hex = (value: number | bigint) => `0x${value.toString(16)}`;
  const config = async (offset: number, size: "b" | "w" | "l", value?: number) => {
    await ask(`outl 0xcf8 ${hex((0x8000_0000 | (slot << 11) | (offset & ~3)) >>> 0)}`);
    const port = hex(0xcfc + (offset & 3));
    return value === undefined ? ask(`in${size} ${port}`) : ask(`out${size} ${port} ${hex(value >>> 0)}`);
  };
  const logged = async () => (await readFile(at("log"), "utf8")).split("\n").filter((line) => line !== "");

  try {
    await ask(`readl ${hex(unitBase)}`);
    const socket = connect(at("qmp"));
    const qmp = dialogue(
      (line) => line.startsWith('{"return"') || line.startsWith('{"error"'),
      (text) => socket.write(text),
    );
    socket.on("data", (data) => qmp.hear(String(data)));
    child.once("exit", () => qmp.end(new Error(`QEMU ended: ${complaints}`)));
    const execute = async (command: string, given: object = {}) => {
      const answer = JSON.parse(await qmp.ask(JSON.stringify({ execute: command, arguments: given })));
      if ("error" in answer) throw new Error(`${command}: ${JSON.stringify(answer.error)}`);
      return answer.return;
    };
    await execute("qmp_capabilities");

    const migrated = async (what: string) => {
      for (;;) {
        const { status } = await execute("query-migrate");
        if (status === "completed") return;
        if (status === "failed") throw new Error(`${what} failed: ${complaints}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    if (incoming !== undefined) {
      await execute("migrate-incoming", { uri: `exec:cat ${at("incoming")}` });
      await migrated("the incoming migration");
    }
    let capability = 0;
    const findMsi = async () => {
      await config(0x10, "l", barBase);
      await config(0x04, "w", 6);
      capability = await config(0x34, "b");
      while ((await config(capability, "b")) !== 5) capability = await config(capability + 1, "b");
    };
    const interrupt = async (address: number, data: number) => {
      if (capability === 0) await findMsi();
      const before = (await logged()).length;
      await config(capability + 4, "l", address);
      await config(capability + 8, "l", 0);
      await config(capability + 12, "w", data);
      await config(capability + 2, "w", 0x81);
      await ask(`writel ${hex(barBase + 0x60)} 1`);
      const [line] = (await logged()).slice(before);
      const [, to, message] = /-> \(addr 0x([0-9a-f]+), data 0x([0-9a-f]+)\)/.exec(line ?? "") ?? [];
      return to === undefined ? "blocked" : `${to} ${message}`;
    };
    const step = async ([kind, where, ...values]: Step): Promise<string | undefined> => {
      if (kind === "reg") await ask(`writel ${hex(unitBase + where)} ${hex(values[0] as number)}`);
      else if (kind === "reg64") await ask(`writeq ${hex(unitBase + where)} ${hex(values[0] as bigint)}`);
      else if (kind === "mem") {
        for (const [i, word] of values.entries()) await ask(`writeq ${hex(where + 8 * i)} ${hex(word)}`);
      } else if (kind === "see") return `see ${(await ask(`readl ${hex(where)}`)).toString(16)}`;
      else return interrupt(where, values[0] as number);
      return undefined;
    };
    const done = await work({
      async run(steps) {
        const events: string[] = [];
        for (const one of steps) {
          const event = await step(one);
          if (event !== undefined) events.push(event);
        }
        return events;
      },
      async stream() {
        await execute("migrate", { uri: `exec:cat > ${at("stream")}` });
        await migrated("the migration");
        return new Uint8Array(await readFile(at("stream")));
      },
    });
    socket.destroy();
    return done;
  } finally {
    child.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true, force: true });
  }
}
