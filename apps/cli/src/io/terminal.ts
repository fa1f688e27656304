// Where a verb's words go: results to standard output, sentences and progress to standard error.
import { styleText } from "node:util";
import { descriptorChunks } from "./descriptor.ts";
import { printable, printableJson } from "./printable.ts";

export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

export interface Terminal {
  /** A line of the result; what a terminal would act upon is shown and not done. */
  out(line?: string): void;
  /** A line beside the result, likewise. */
  note(line: string): void;
  /** The one document of `--json`. */
  json(document: unknown): void;
  /** Raw bytes of the result, to standard output. */
  write(bytes: Uint8Array): Promise<void>;
  /** The text in a style, where standard output is a terminal that shows colours. */
  style(style: Style, text: string): string;
  /** Shown while long work goes on, on a terminal only. */
  progress(what: string, totalBytes?: number): Progress;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdinIsTerminal: boolean;
  readonly stdoutIsTerminal: boolean;
  /** What relative paths begin at. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface Progress {
  update(doneBytes: number): void;
  end(): void;
}

/** Milliseconds between two states of the progress line: four times a second. */
const progressMs = 250;

export interface ProcessTerminal extends Terminal {
  /** The result is bytes, of which some have been written: half of them are not a result. */
  readonly hasWritten: boolean;
}

export function processTerminal(colours: boolean | undefined): ProcessTerminal {
  let hasWritten = false;
  const { stdout, stderr, env } = process;
  const coloured = colours ?? (stdout.isTTY === true && !env["NO_COLOR"] && env["TERM"] !== "dumb");
  // A style's escape sequences are told from those in a text by what nobody can put there beforehand.
  const own = `\x1b${Math.random()}[`;
  const shown = (line: string): string => `${line.split(own).map(printable).join("\x1b[")}\n`;
  const line = new ProgressLine();
  return {
    out: (text = "") => {
      line.clear();
      stdout.write(shown(text));
    },
    note: (text) => {
      line.clear();
      stderr.write(shown(text));
    },
    json: (document) => {
      line.clear();
      stdout.write(`${jsonText(document)}\n`);
    },
    async write(bytes) {
      hasWritten = true;
      try {
        await new Promise<void>((done, failed) => {
          stdout.write(bytes, (error) => (error ? failed(error) : done()));
        });
      } catch (cause) {
        const { stdoutFault } = await import("./output-file.ts");
        throw stdoutFault(cause as NodeJS.ErrnoException);
      }
    },
    get hasWritten() {
      return hasWritten;
    },
    style(style, text) {
      if (!coloured) return text;
      const [begin = "", end = ""] = styleText(style, "|", { validateStream: false })
        .replaceAll("\x1b[", own)
        .split("|");
      return begin + text + end;
    },
    progress: (what, totalBytes) => (stderr.isTTY === true ? line.begin(printable(what), totalBytes) : silent),
    // By its descriptor, which is three times as fast; the runtime's own stream, which would make it non-blocking, is not made.
    stdin: { [Symbol.asyncIterator]: () => descriptorChunks(0) },
    get stdinIsTerminal() {
      return process.getBuiltinModule("node:tty").isatty(0);
    },
    stdoutIsTerminal: stdout.isTTY === true,
    folder: process.cwd(),
    environment: env,
  };
}

/** A text of several lines, such as a program's help. */
export function outLines(out: (line: string) => void, text: string): void {
  for (const line of text.replace(/\n$/, "").split("\n")) out(line);
}

/** As `--json` prints it. */
export const jsonText = (document: unknown): string => printableJson(JSON.stringify(document, jsonValue, 2));

/** 64-bit integers as decimal strings, buffers as base64: the JSON form of values everywhere. */
export function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length).toString("base64");
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return [...(value as unknown as Iterable<unknown>)];
  return value;
}

export const silent: Progress = { update() {}, end() {} };

/** The last line of the terminal while long work goes on; it makes room for whatever else is said. */
class ProgressLine {
  #isDrawn = false;

  begin(what: string, totalBytes: number | undefined): Progress {
    const began = Date.now();
    let shown = began;
    return {
      update: (doneBytes) => {
        const now = Date.now();
        if (now - shown < progressMs) return;
        shown = now;
        const rate = doneBytes / Math.max(1, now - began) / 1000;
        const share = totalBytes ? ` ${Math.floor((100 * doneBytes) / totalBytes)}%` : "";
        this.clear();
        process.stderr.write(`${what}${share} ${(doneBytes / 1e6).toFixed(0)} MB, ${rate.toFixed(0)} MB/s`);
        this.#isDrawn = true;
      },
      end: () => this.clear(),
    };
  }

  clear(): void {
    if (this.#isDrawn) process.stderr.write("\r\x1b[K");
    this.#isDrawn = false;
  }
}
