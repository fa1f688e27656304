// `godwit record`: the destination of a live QEMU, which keeps what arrives.
import { resolve } from "node:path";
import { isPageSize } from "../checkpoint/file-index.ts";
import { type RecordReport, recordStream } from "../checkpoint/index.ts";
import { atAddress, atFile, listeningAddress, transportOf } from "../checkpoint/peers.ts";
import { Source } from "../checkpoint/source.ts";
import { CliFault } from "../faults.ts";
import { sizeOf, sizeText } from "../io/size.ts";
import type { Terminal } from "../io/terminal.ts";
import type { Verb } from "../verb.ts";

/**
 * `--json`: `{ address, file, fileBytes, recording: { name, createdMs, machine, pageBytes, pages, newPages, streamBytes,
 * whole, returnPath }, answered, lost }`. `pages` are in the stream, `newPages` were not in the file before; `whole` is
 * false where nothing but the connection's end says that the stream is; `answered` is false where the source was gone before
 * it was told that all went well; `lost` is null, or `{ code, message, offset }`: from there on pages were not looked for.
 */
export const record: Verb = {
  name: "record",
  summary: "be the destination of a live QEMU, and keep what arrives in a checkpoint file",
  examples: [
    ["godwit record tcp:127.0.0.1:4444 -o vm.checkpoint", "then, in QEMU's monitor: migrate tcp:127.0.0.1:4444"],
    ["godwit record unix:/run/vm.sock -o vm.checkpoint --name monday", "only pages that the file has not yet are kept"],
  ],
  define(command) {
    command
      .argument("<uri>", "where to listen: tcp:HOST:PORT (port 0: a free one) or unix:PATH")
      .requiredOption("-o, --output <file>", "the checkpoint file; a further recording joins those in it")
      .option("--name <name>", "what the recording is called (default: its number)")
      .option("--page-size <size>", "of the target's pages, where the stream does not say it", "4096")
      .option("--page-index <size>", "memory for finding pages again, 27 bytes a page", "512M");
  },
  async run({ args: [uri = ""], options, terminal }) {
    const transport = await transportOf(uri);
    const file = resolve(terminal.folder, options["output"] as string);
    const listener = await atAddress(transport.listen(listeningAddress(uri)));
    const source = new Source(listener);
    terminal.note(`listening on ${listener.uri}`);
    const progress = terminal.progress("recording");
    try {
      const report = await atFile(
        file,
        recordStream(source.chunks(), file, {
          name: options["name"] as string | undefined,
          pageBytes: pageBytesOf(options["pageSize"] as string),
          pageIndexBytes: sizeOf(options["pageIndex"] as string, "--page-index"),
          answer: (message) => source.answer(message),
          beforeComplete: () => source.expectAlone(),
          onProgress: ({ streamBytes }) => progress.update(streamBytes),
        }),
      );
      await source.close();
      progress.end();
      tell(report, file, listener.uri, terminal, options["json"] === true);
      return report.recording.whole ? 0 : 1;
    } catch (error) {
      source.abort(error);
      throw source.explained(error);
    } finally {
      progress.end();
      await source.end();
    }
  },
};

function pageBytesOf(text: string): number | undefined {
  const bytes = sizeOf(text, "--page-size");
  if (isPageSize(bytes)) return bytes === 4096 ? undefined : bytes;
  throw new CliFault("OPTION_SIZE", `--page-size: no target has pages of ${bytes} bytes`, { exit: 2 });
}

function tell(report: RecordReport, file: string, address: string, terminal: Terminal, json: boolean): void {
  const { recording, fileBytes, lost, answered } = report;
  const { chunkCount: _, crc: __, ...told } = recording;
  const where = lost && { code: lost.code, message: lost.detail, offset: lost.location.offset };
  if (json) terminal.json({ address, file, fileBytes, recording: told, answered, lost: where ?? null });
  else {
    const { name, machine, pages, newPages, streamBytes } = recording;
    terminal.out(
      `recording "${name}"${machine === "" ? "" : ` of ${machine}`}: ${sizeText(streamBytes)}, ${pages} pages`,
    );
    terminal.out(`new pages: ${newPages}${pages === 0 ? "" : ` (${((100 * newPages) / pages).toFixed(1)}%)`}`);
    terminal.out(`${file}: ${sizeText(fileBytes)}`);
  }
  if (lost !== undefined) {
    terminal.note(
      `from byte ${lost.location.offset} on the stream is kept as it came, its pages not looked for: ${lost.detail}`,
    );
  }
  if (!recording.whole) {
    terminal.note("whether the stream is whole cannot be told: its end could not be read, and it ends in no vmdesc");
  }
  if (!answered) terminal.note("the source was gone before it was told that all went well: its machine goes on there");
}
