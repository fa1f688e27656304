// Two processes of this runtime, one that sends and one that takes.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Role, SideInit, SideMessage } from "./side.ts";

export interface Transfer {
  readonly totalMs: number;
  /** Of both processes and all of their threads, while the transfer went on. */
  readonly cpuMs: number;
  /** Of both processes, each at its own worst moment. */
  readonly peakBytes: readonly [source: number, destination: number];
}

const entry = fileURLToPath(new URL("side.ts", import.meta.url));

/** `channels`: of multifd; none without it. */
export async function transfer(
  kind: "godwit" | "socket",
  bytes: number,
  file: string,
  channels = 0,
): Promise<Transfer> {
  const [takes, sends]: readonly [Role, Role] =
    kind === "godwit" ? ["godwit-destination", "godwit-source"] : ["socket-receiver", "socket-sender"];
  const destination = start(takes, { bytes, channels });
  const { uri } = await destination.message("listening");
  const source = start(sends, { bytes, file, uri, channels });
  try {
    const [sent, taken] = await Promise.all([source.message("done"), destination.message("done")]);
    await Promise.all([source.exit, destination.exit]);
    if (sent.sha256 !== taken.sha256) throw new Error(`${kind}, ${bytes} bytes: what arrived is not what was sent`);
    const cpuMs = sent.cpuMs + taken.cpuMs;
    return { totalMs: sent.totalMs, cpuMs, peakBytes: [sent.peakBytes, taken.peakBytes] };
  } finally {
    source.child.kill("SIGKILL");
    destination.child.kill("SIGKILL");
  }
}

interface Side {
  readonly child: ChildProcess;
  readonly exit: Promise<void>;
  message<E extends SideMessage["event"]>(event: E): Promise<Extract<SideMessage, { event: E }>>;
}

function start(role: Role, init: SideInit): Side {
  const child = spawn(process.execPath, ["--conditions=godwit:source", entry, role, JSON.stringify(init)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exit = new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => (code === 0 ? resolve() : reject(new Error(`${role}: exit ${code}`))));
  });
  exit.catch(() => {});
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  return {
    child,
    exit,
    message: (event) =>
      new Promise((resolve, reject) => {
        lines.on("line", (line) => {
          const message = JSON.parse(line) as SideMessage;
          if (message.event === event) resolve(message as never);
        });
        exit.then(() => reject(new Error(`${role} ended without "${event}"`)), reject);
      }),
  };
}
