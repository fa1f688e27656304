// exec:COMMAND, as QEMU writes it: a shell runs the command, whose standard input is what is sent and whose standard output
// is what is received. POSIX systems only.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { arrivalQueue } from "./arrivals.ts";
import type { Channel, Listener, Transport } from "./channel.ts";
import { transportError } from "./errors.ts";
import { type StreamEnd, streamChannel } from "./stream-channel.ts";
import { addressOf } from "./uri.ts";

/** What is kept of a command's standard error, to say why it failed. Bytes. */
const lastWordsBytes = 1024;
/** How long a command may go on whose output nobody wants any more. Milliseconds. */
const lingerMs = 10_000;

/**
 * Runs the command of `exec:COMMAND` to send to it. `close` ends its input, waits until it has ended, and fails with
 * `TRANSPORT_CLOSED` and its last words when it did so with another code than 0; `abort` kills it and its children.
 * `TRANSPORT_ADDRESS`, `TRANSPORT_UNSUPPORTED`.
 */
export async function connect(uri: string): Promise<Channel> {
  return commandChannel(uri, true);
}

/** Runs the command at once, and gives its channel to the first who accepts: nobody else comes. */
export async function listen(uri: string): Promise<Listener> {
  const channel = await commandChannel(uri, false);
  const arrivals = arrivalQueue(uri);
  arrivals.offerOnly(channel);
  return { uri, accept: () => arrivals.accept(), close: async () => arrivals.close() };
}

export const exec: Transport = { scheme: "exec", connect, listen };

async function commandChannel(uri: string, outgoing: boolean): Promise<Channel> {
  const command = addressOf(uri, "exec");
  if (process.platform === "win32") {
    throw transportError("TRANSPORT_UNSUPPORTED", "commands need a POSIX shell", { found: uri });
  }
  if (command === "" || command.includes("\0")) {
    throw transportError("TRANSPORT_ADDRESS", "the address cannot be read", { expected: "exec:COMMAND", found: uri });
  }
  // A process group of its own, so that the shell's children can be ended with it.
  const child = spawn("/bin/sh", ["-c", command], { detached: true, stdio: ["pipe", "pipe", "pipe"] });
  let over = false;
  child.once("close", () => {
    over = true;
  });
  const ended = endOf(child);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (cause) => reject(transportError("TRANSPORT_ADDRESS", "no shell", { found: uri, cause })));
  });
  return streamChannel({
    input: child.stdout,
    output: child.stdin,
    ended,
    waitForEnd: outgoing,
    lingerMs,
    break: () => {
      // When the shell has ended and nobody holds its pipes, the number of its group may be another's.
      if (!over) killGroup(child.pid);
    },
  });
}

function endOf(child: ChildProcessByStdio<Writable, Readable, Readable>): Promise<StreamEnd> {
  let lastWords = "";
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (text: string) => {
    lastWords = (lastWords + text).slice(-lastWordsBytes);
  });
  child.stderr.on("error", () => {});
  return new Promise((resolve) => {
    // Its children may keep the pipes open for as long as they like, and be reading or writing still.
    child.once("exit", (code, signal) => {
      const outcome = signal === null ? `exit code ${code}` : `signal ${signal}`;
      // What it said last may lie in the pipe still.
      const tell = (): void => {
        // Its children may hold this one, too, and this process does not wait for them.
        (child.stderr as { unref?(): void }).unref?.();
        const said = lastWords.trim();
        resolve(code === 0 ? {} : { failure: failedCommand(said === "" ? outcome : `${outcome}: ${said}`) });
      };
      if (code === 0 || child.stderr.readableEnded) tell();
      else {
        const timer = setTimeout(tell, 1000);
        child.stderr.once("close", () => {
          clearTimeout(timer);
          tell();
        });
      }
    });
    child.once("error", (cause) => resolve({ failure: transportError("TRANSPORT_CLOSED", "no command", { cause }) }));
  });
}

function failedCommand(found: string): unknown {
  return transportError("TRANSPORT_CLOSED", "the command failed", { expected: "exit code 0", found });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The whole group has ended by itself.
  }
}
