// The destination's side towards a QEMU: reads its stream, answers on the return path that QEMU opened.
import type { MigrationError } from "@godwit/core";
import { asMigrationError, migrationError } from "../codes.ts";
import { closingGraceMs } from "../options.ts";
import type { DestinationWire, DestinationWireOptions, Farewell } from "../wire.ts";
import { commandNumber, decodeCommand } from "./commands.ts";
import { type ReturnMessage, ReturnPathWriter } from "./return-path.ts";
import { deferred } from "./waiting.ts";

/** How far a stream has come. `eof`: nothing more must come, but its own description may. */
export type StreamEnd = "open" | "eof" | "whole";

export interface QemuDestinationWireOptions extends DestinationWireOptions {
  /** Of what `stream` was given so far. */
  streamEnd(): StreamEnd;
  /** How long the vmdesc may take behind EOF; a machine type may have none. Milliseconds, default 2000. */
  readonly afterEofMs?: number;
}

export interface QemuDestinationWire extends DestinationWire {
  /** Says something on the return path: pages that are waited for, a bitmap. `PROTOCOL_ORDER` before QEMU opened it. */
  say(message: ReturnMessage): Promise<void>;
}

const defaultAfterEofMs = 2000;
/** OPEN_RETURN_PATH stands behind the configuration, and that is short. Bytes. */
const openedWithinBytes = 64 * 1024;
/** Answers that QEMU has not taken: it never has more than a few PINGs under way. */
const mostAnswers = 1024;

/**
 * QEMU gives its machine away with the stream's EOF and takes it back unless it hears SHUT(0): that is said only when the
 * machine is here and complete. Where the word does not get through, QEMU runs its machine again, and so it is said
 * whether it did (`resumed` rejects).
 */
export function qemuDestinationWire(options: QemuDestinationWireOptions): QemuDestinationWire {
  const { channel, clock, interrupt, peerTimeoutMs } = options;
  const writer = new ReturnPathWriter();
  const ended = deferred<void>();
  const gone = deferred<MigrationError | undefined>();
  let receivedBytes = 0;
  let isOpen = false;
  let isEnded = false;
  let isClosed = false;
  let isPostcopy = false;
  let answers = 0;
  let heardMs = clock.nowMs();
  let stopAfterEof: (() => void) | undefined;

  const raise = (error: unknown): void => interrupt.raise(broken(error));

  const say = async (message: ReturnMessage): Promise<void> => {
    if (!isOpen) {
      throw migrationError("PROTOCOL_ORDER", "QEMU has not opened the return path", {
        side: "destination",
        found: message.kind,
      });
    }
    if (++answers > mostAnswers) {
      throw migrationError("PEER_SILENT", "QEMU asks and does not read the answers", { side: "destination" });
    }
    try {
      await channel.send(writer.write(message));
    } finally {
      answers--;
    }
  };

  const end = (): void => {
    stopAfterEof?.();
    isEnded = true;
    ended.resolve();
  };

  const looked = (): void => {
    const at = options.streamEnd();
    stopAfterEof?.();
    if (at === "open") return;
    if (at === "whole" || isPostcopy) end();
    else stopAfterEof = clock.after(options.afterEofMs ?? defaultAfterEofMs, end);
  };

  const read = async (): Promise<void> => {
    try {
      for await (const chunk of channel.receive()) {
        if (isClosed) return;
        heardMs = clock.nowMs();
        receivedBytes += chunk.length;
        if (isEnded)
          throw migrationError("PROTOCOL_ORDER", "QEMU sends more than its stream", { found: `${chunk.length} bytes` });
        const kept = options.stream(chunk);
        if (kept !== undefined) await interrupt.wait(kept);
        heardMs = clock.nowMs();
        if (!isOpen && receivedBytes > openedWithinBytes) throw withoutReturnPath();
        looked();
      }
      if (!isEnded && !isClosed) {
        throw migrationError("PEER_CLOSED", "QEMU closed the connection before the migration was over", {});
      }
      gone.resolve(undefined);
    } catch (error) {
      if (isClosed) return;
      gone.resolve(broken(error));
      raise(error);
    }
  };

  const watch = (delayMs: number): (() => void) => {
    let stop = clock.after(delayMs, () => {
      const silentMs = clock.nowMs() - heardMs;
      if (isEnded || isClosed) return;
      if (silentMs >= peerTimeoutMs) {
        raise(migrationError("PEER_SILENT", `QEMU has sent nothing for ${Math.round(silentMs)} ms`, {}));
        return;
      }
      stop = watch(peerTimeoutMs - silentMs);
    });
    return () => stop();
  };
  const stopWatch = watch(peerTimeoutMs);

  return {
    get receivedBytes() {
      return receivedBytes;
    },
    say,
    // QEMU sends no manifest: what does not fit is found where it comes.
    agree: async () => [],
    readPages: (pages) => pages.receive(),
    command(command) {
      const live = decodeCommand(command, command.offset);
      if (live.kind === "open-return-path") isOpen = true;
      else if (live.kind === "ping") say({ kind: "pong", value: live.value }).catch(raise);
      else {
        if (command.command === commandNumber.postcopyListen) isPostcopy = true;
        // A gate for device loaders that there are none of here.
        return live.kind === "switchover-start";
      }
      return true;
    },
    async accept() {
      void read();
    },
    async ended() {
      await interrupt.wait(ended.promise);
      if (!isOpen) throw withoutReturnPath();
      return "whole";
    },
    // QEMU's machine stands since before its EOF, and waits for our word.
    prepared: async () => interrupt.check(),
    async resumed() {
      await say({ kind: "shut", status: 0 });
      // QEMU hangs up when it has heard it.
      const silent = deferred<MigrationError>();
      const stop = clock.after(peerTimeoutMs, () => {
        silent.resolve(migrationError("PEER_SILENT", "QEMU does not hang up", { side: "destination" }));
      });
      const problem = await Promise.race([gone.promise, silent.promise]);
      stop();
      if (problem !== undefined) throw problem;
    },
    async close(farewell: Farewell) {
      stopWatch();
      stopAfterEof?.();
      isClosed = true;
      const stop = clock.after(closingGraceMs, () => channel.abort(broken(undefined)));
      try {
        if (isOpen && farewell.kind !== "completed") await say({ kind: "shut", status: 1 });
        await channel.close();
      } catch {
        channel.abort(broken(undefined));
      } finally {
        stop();
      }
    },
  };
}

function withoutReturnPath(): MigrationError {
  return migrationError("PROTOCOL_ORDER", "QEMU has not opened a return path: it needs the capability return-path", {
    side: "destination",
    expected: "OPEN_RETURN_PATH before RAM",
    found: "none",
  });
}

function broken(error: unknown): MigrationError {
  if (error === undefined) return migrationError("PEER_CLOSED", "the connection is closed", { side: "destination" });
  const known = asMigrationError(error, "destination");
  const ours = known.code.startsWith("TRANSPORT_")
    ? migrationError("PEER_CLOSED", "the connection to QEMU broke", { cause: error })
    : known;
  return ours.location.side === undefined ? ours.at({ side: "destination" }) : ours;
}
