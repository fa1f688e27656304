// Where a verb's words go: results to standard output, sentences and progress to standard error.
import { isatty } from "node:tty";
import { styleText } from "node:util";
import { descriptorChunks } from "./descriptor.ts";

export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

export interface Terminal {
  /** A line of the result. */
  out(line?: string): void;
  /** A line beside the result. */
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

export function processTerminal(colours: boolean | undefined): Terminal {
  const { stdout, stderr, env } = process;
  const coloured = colours ?? (stdout.isTTY === true && env["NO_COLOR"] === undefined && env["TERM"] !== "dumb");
  return {
    out: (line = "") => void stdout.write(`${line}\n`),
    note: (line) => void stderr.write(`${line}\n`),
    json: (document) => void stdout.write(`${JSON.stringify(document, jsonValue, 2)}\n`),
    write: (bytes) =>
      new Promise((done, failed) => {
        stdout.write(bytes, (error) => (error ? failed(error) : done()));
      }),
    style: (style, text) => (coloured ? styleText(style, text, { validateStream: false }) : text),
    progress: (what, totalBytes) => (stderr.isTTY === true ? progressLine(what, totalBytes) : silent),
    // By its descriptor, which is three times as fast; the runtime's own stream, which would make it non-blocking, is not made.
    stdin: { [Symbol.asyncIterator]: () => descriptorChunks(0) },
    get stdinIsTerminal() {
      return isatty(0);
    },
    stdoutIsTerminal: stdout.isTTY === true,
    folder: process.cwd(),
    environment: env,
  };
}

/** 64-bit integers as decimal strings, buffers as base64: the JSON form of values everywhere. */
export function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length).toString("base64");
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return [...(value as unknown as Iterable<unknown>)];
  return value;
}

export const silent: Progress = { update() {}, end() {} };

function progressLine(what: string, totalBytes: number | undefined): Progress {
  const began = Date.now();
  let shown = began;
  const clear = "\r\x1b[K";
  let drawn = false;
  return {
    update(doneBytes) {
      const now = Date.now();
      if (now - shown < progressMs) return;
      shown = now;
      drawn = true;
      const rate = doneBytes / Math.max(1, now - began) / 1000;
      const share = totalBytes ? ` ${Math.floor((100 * doneBytes) / totalBytes)}%` : "";
      process.stderr.write(`${clear}${what}${share} ${(doneBytes / 1e6).toFixed(0)} MB, ${rate.toFixed(0)} MB/s`);
    },
    end() {
      if (drawn) process.stderr.write(clear);
    },
  };
}
