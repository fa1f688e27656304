// `godwit replay`: the source of a QEMU that waits with -incoming.
import { resolve } from "node:path";
import { isMigrationError } from "@godwit/core";
import type { Channel } from "@godwit/transport";
import { openCheckpoint, type RecordingEntry } from "../checkpoint/index.ts";
import { atAddress, atFile, transportOf } from "../checkpoint/peers.ts";
import { ReturnPathReader } from "../checkpoint/return-path.ts";
import { CliFault } from "../faults.ts";
import { sizeText } from "../io/size.ts";
import type { Verb } from "../verb.ts";

/**
 * `--json`: `{ file, recording, streamBytes, confirmed }`. `confirmed` is true where the destination said that it has
 * loaded all of it; without a return path in the stream it cannot say so.
 */
export const replay: Verb = {
  name: "replay",
  summary: "be the source for a QEMU that waits with -incoming, from a checkpoint file",
  examples: [
    ["godwit replay vm.checkpoint tcp:127.0.0.1:4444", "the last recording, to: qemu ... -incoming tcp:127.0.0.1:4444"],
    ["godwit replay vm.checkpoint unix:/run/vm.sock --name monday", "the recording of that name"],
    ["godwit replay vm.checkpoint unix:/run/vm.sock --recording 1", "the first one"],
  ],
  define(command) {
    command
      .argument("<file>", "a checkpoint file")
      .argument("<uri>", "where QEMU waits: tcp:HOST:PORT or unix:PATH")
      .option("--name <name>", "which recording (default: the last one)")
      .option("--recording <number>", "which recording, counted from 1");
  },
  async run({ args: [path = "", uri = ""], options, terminal }) {
    const transport = await transportOf(uri);
    const file = resolve(terminal.folder, path);
    const checkpoint = await atFile(file, openCheckpoint(file));
    try {
      const name = chosen(checkpoint.recordings, options["name"], options["recording"]);
      const recording = await atFile(file, (async () => checkpoint.recording(name))());
      if (!recording.whole) terminal.note(`whether the recording "${recording.name}" is whole was never known`);
      const channel = await atAddress(transport.connect(uri));
      const progress = terminal.progress("replaying", recording.streamBytes);
      const confirmed = await sendAll(channel, checkpoint.replay(name), recording, (bytes) =>
        progress.update(bytes),
      ).finally(() => progress.end());
      const { streamBytes } = recording;
      if (options["json"] === true) terminal.json({ file, recording: recording.name, streamBytes, confirmed });
      else {
        const said = confirmed
          ? "the destination says that it has loaded it"
          : "the destination cannot say whether it has loaded it";
        terminal.out(`recording "${recording.name}": ${sizeText(streamBytes)} sent; ${said}`);
      }
      return 0;
    } finally {
      await checkpoint.close();
    }
  },
};

function chosen(recordings: readonly RecordingEntry[], name: unknown, number: unknown): string | undefined {
  if (number === undefined) return name as string | undefined;
  if (name !== undefined)
    throw new CliFault("OPTION_BOTH", "--name and --recording are two ways to say one thing", { exit: 2 });
  const asked = String(number);
  const found = recordings.find(({ name }) => name === asked) ?? recordings[Number(asked) - 1];
  if (found !== undefined) return found.name;
  throw new CliFault("OPTION_RECORDING", `there is no recording ${asked}`, {
    exit: 2,
    hint: `the file has ${recordings.map(({ name }) => name).join(", ")}`,
  });
}

/** Whether the destination said that it has loaded all. `REPLAY_REFUSED`, `TRANSPORT_CLOSED`, `CHECKPOINT_*`. */
async function sendAll(
  channel: Channel,
  chunks: AsyncIterable<Uint8Array>,
  { returnPath }: RecordingEntry,
  sent: (bytes: number) => void,
): Promise<boolean> {
  const said = new ReturnPathReader();
  const listening = listen(channel, said);
  let bytes = 0;
  try {
    for await (const chunk of chunks) {
      await channel.send(chunk);
      bytes += chunk.length;
      sent(bytes);
    }
    if (returnPath) await listening;
    else await channel.close();
  } catch (error) {
    channel.abort(error);
    if (said.shut !== undefined && said.shut !== 0) throw refused(said.shut);
    if (isMigrationError(error) && error.code === "TRANSPORT_CLOSED") throw brokenOff(bytes, error);
    throw error;
  }
  await channel.close();
  if (!returnPath) return false;
  if (said.shut === 0) return true;
  throw said.shut === undefined ? brokenOff(bytes) : refused(said.shut);
}

/** To the destination's last word, or to its end. */
async function listen(channel: Channel, said: ReturnPathReader): Promise<void> {
  try {
    for await (const chunk of channel.receive()) if (!said.push(chunk) || said.shut !== undefined) return;
  } catch {
    // That the connection broke is seen by who sends.
  }
}

const look = "look at the destination's standard error; is it the same machine, with the same devices and memory?";

function refused(status: number): CliFault {
  return new CliFault("REPLAY_REFUSED", `the destination did not load the stream (it says ${status})`, {
    exit: 1,
    hint: look,
  });
}

function brokenOff(bytes: number, cause?: unknown): CliFault {
  return new CliFault("TRANSPORT_CLOSED", `the destination broke off after ${sizeText(bytes)}`, {
    exit: 1,
    hint: look,
    cause,
  });
}
