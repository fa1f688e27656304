// A real QEMU as a peer: started with a stream to load, spoken to by QMP, its serial line and standard error kept.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type QemuTarget = "x86_64" | "ppc64" | "s390x";

export const qemuBinary = (target: QemuTarget): string => `qemu-system-${target}`;

/** The version that a binary tells, such as `7.2.22`; undefined where there is none on the path. */
export function qemuVersion(target: QemuTarget): string | undefined {
  const { status, stdout } = spawnSync(qemuBinary(target), ["--version"], { encoding: "utf8" });
  return status === 0 ? /version ([0-9.]+)/.exec(stdout)?.[1] : undefined;
}

export interface QemuInit {
  readonly target: QemuTarget;
  /**
   * The machine: options as on a command line. `SERIAL` in one stands for the file that the serial line is written to,
   * `FOLDER` for a folder of this run.
   */
  readonly options: readonly string[];
  /** Bytes that it loads; without it, it starts by itself. */
  readonly stream?: Uint8Array;
  /** Waits for a stream that `load` or `listen` brings later. */
  readonly incoming?: boolean;
  /** Leave the machine stopped after the load. */
  readonly stopped?: boolean;
  /** Of a migration, either way: set before the stream is loaded. */
  readonly capabilities?: readonly string[];
  readonly parameters?: Readonly<Record<string, unknown>>;
}

/** What QEMU said no to. */
class QemuRefused extends Error {}

const pollMs = 50;
/** Below a test's own limit, so that QEMU is ended and what it said is told. */
const patienceMs = 50_000;

/** Stops everything and removes the folder when it is disposed of, whatever happened. */
export class Qemu {
  readonly folder = mkdtempSync(join(tmpdir(), "godwit-qemu-"));
  readonly #process: ChildProcess;
  readonly #exited: Promise<number | null>;
  #stderr = "";
  #socket: Socket | undefined;
  #text = "";
  #waiting: { resolve(value: unknown): void; reject(error: Error): void }[] = [];

  private constructor({ target, options, stream, incoming = stream !== undefined, stopped = false }: QemuInit) {
    const words = options.map((word) => word.replaceAll("SERIAL", this.serialPath).replaceAll("FOLDER", this.folder));
    const args = [
      ...words,
      ...["-qmp", `unix:${this.#qmpPath},server=on,wait=off`],
      ...(stopped ? ["-S"] : []),
      ...(incoming ? ["-incoming", "defer"] : []),
    ];
    this.#process = spawn(qemuBinary(target), args, { stdio: ["ignore", "ignore", "pipe"] });
    this.#process.stderr?.on("data", (chunk) => {
      this.#stderr += String(chunk);
    });
    this.#exited = new Promise((resolve) => {
      this.#process.on("error", (error) => {
        this.#stderr += String(error);
        resolve(null);
      });
      this.#process.on("exit", resolve);
    });
  }

  /** Starts QEMU. With a stream it returns when that is loaded; `QemuRefused` with standard error where it is not. */
  static async start(init: QemuInit): Promise<Qemu> {
    const qemu = new Qemu(init);
    try {
      await qemu.#connect();
      await qemu.qmp("qmp_capabilities");
      await qemu.allow(init.capabilities ?? [], init.parameters ?? {});
      if (init.stream !== undefined) await qemu.load(init.stream);
      return qemu;
    } catch (error) {
      await qemu.stop();
      throw error;
    }
  }

  get serialPath(): string {
    return join(this.folder, "serial");
  }

  get #qmpPath(): string {
    return join(this.folder, "qmp");
  }

  /** What came over the serial line since this process began. */
  get serial(): string {
    return existsSync(this.serialPath) ? readFileSync(this.serialPath, "latin1") : "";
  }

  get stderr(): string {
    return this.#stderr;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Asks QMP; its answer, or `QemuRefused`. */
  async qmp<T = unknown>(execute: string, args?: Readonly<Record<string, unknown>>): Promise<T> {
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#socket?.write(`${JSON.stringify({ execute, ...(args === undefined ? {} : { arguments: args }) })}\n`);
    const gone = this.#exited.then((code) => {
      throw new QemuRefused(`QEMU is gone (exit ${code}) at ${execute}: ${this.#stderr}`);
    });
    gone.catch(() => {});
    return (await Promise.race([answer, gone])) as T;
  }

  /** A command of the human monitor. */
  monitor(line: string): Promise<string> {
    return this.qmp<string>("human-monitor-command", { "command-line": line });
  }

  /** Sets capabilities and parameters of the next migration. */
  async allow(capabilities: readonly string[], parameters: Readonly<Record<string, unknown>> = {}): Promise<void> {
    if (capabilities.length > 0) {
      const list = capabilities.map((capability) => ({ capability, state: true }));
      await this.qmp("migrate-set-capabilities", { capabilities: list });
    }
    if (Object.keys(parameters).length > 0) await this.qmp("migrate-set-parameters", parameters);
  }

  /** Begins to take connections of an incoming migration; gives the socket's path. `migrated` waits for its end. */
  async listen(): Promise<string> {
    const path = join(this.folder, "migration");
    await this.qmp("migrate-incoming", { uri: `unix:${path}` });
    return path;
  }

  /** Guest-physical memory from 0 on. */
  async memory(bytes: number): Promise<Uint8Array> {
    const path = join(this.folder, "memory");
    await this.qmp("pmemsave", { val: 0, size: bytes, filename: path });
    return new Uint8Array(readFileSync(path));
  }

  /** Loads a stream; the machine goes on afterwards, unless it was started stopped. */
  async load(stream: Uint8Array): Promise<void> {
    const path = join(this.folder, "incoming");
    writeFileSync(path, stream);
    await this.qmp("migrate-incoming", { uri: `exec:cat ${path}` });
    await this.migrated();
  }

  /** Saves the machine, which stays stopped. */
  async save(): Promise<Uint8Array> {
    const path = join(this.folder, "outgoing");
    await this.qmp("migrate", { uri: `exec:cat > ${path}` });
    await this.migrated();
    return new Uint8Array(readFileSync(path));
  }

  /** Waits for the end of the migration that has begun; `QemuRefused` where it fails. */
  async migrated(): Promise<void> {
    await this.until(async () => {
      const { status, "error-desc": why } = await this.qmp<{ status?: string; "error-desc"?: string }>("query-migrate");
      if (status === "failed") throw new QemuRefused(`the migration failed: ${why ?? ""}\n${this.#stderr}`);
      return status === "completed";
    }, "a migration");
  }

  /** Waits for what `holds` says; throws when QEMU ends or nothing comes for 50 seconds. */
  async until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const end = Date.now() + patienceMs;
    while (!(await holds())) {
      if (this.#process.exitCode !== null) throw new QemuRefused(`QEMU ended before ${what}: ${this.#stderr}`);
      if (Date.now() > end) throw new Error(`no ${what} in ${patienceMs} ms; serial line: ${this.serial.slice(-500)}`);
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  async stop(): Promise<void> {
    this.#socket?.destroy();
    this.#process.kill("SIGKILL");
    await this.#exited;
    rmSync(this.folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #connect(): Promise<void> {
    // The socket's file is there a moment before QEMU listens on it.
    await this.until(async () => existsSync(this.#qmpPath) && (await this.#isConnected()), "QMP socket");
    const socket = this.#socket as Socket;
    socket.on("error", () => {});
    socket.on("data", (chunk) => this.#heard(String(chunk)));
  }

  #isConnected(): Promise<boolean> {
    const socket = connect(this.#qmpPath);
    return new Promise((resolve) => {
      socket.once("connect", () => {
        this.#socket = socket;
        resolve(true);
      });
      socket.once("error", () => resolve(false));
    });
  }

  #heard(chunk: string): void {
    this.#text += chunk;
    for (let end = this.#text.indexOf("\n"); end >= 0; end = this.#text.indexOf("\n")) {
      const line = JSON.parse(this.#text.slice(0, end)) as { return?: unknown; error?: { desc: string } };
      this.#text = this.#text.slice(end + 1);
      if (line.error !== undefined) this.#waiting.shift()?.reject(new QemuRefused(line.error.desc));
      else if ("return" in line) this.#waiting.shift()?.resolve(line.return);
    }
  }
}
