// Starts the machine's processes with the runtime that runs this program, and hears what they tell.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Message, Role, RoleOptions } from "../roles/messages.ts";

const entry = fileURLToPath(new URL("../roles/main.ts", import.meta.url));
const condition = "--conditions=godwit:source";

export interface RoleProcess {
  readonly pid: number | undefined;
  /** Resolves with the exit code; -1 where the process was ended from outside. */
  readonly exit: Promise<number>;
  kill(): void;
}

export function startRole(role: Role, options: RoleOptions, onMessage: (message: Message) => void): RoleProcess {
  const runtime = "deno" in process.versions ? ["run", "-A", condition] : [condition];
  const child = spawn(process.execPath, [...runtime, entry, role, JSON.stringify(options)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => onMessage(JSON.parse(line) as Message));
  const closed = new Promise<void>((resolve) => lines.once("close", () => resolve()));
  const exit = new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? -1));
  });
  return {
    pid: child.pid,
    exit: exit.then(async (code) => {
      await closed;
      return code;
    }),
    kill: () => child.kill("SIGKILL"),
  };
}
