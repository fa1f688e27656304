// A stream that is read twice: to see what is to be edited, and to copy it. What cannot be sought is kept in a file on the way.
import { tmpdir } from "node:os";
import { dirname, resolve } from "node:path";
import { type Input, openInput } from "../io/input.ts";
import type { Terminal } from "../io/terminal.ts";
import { streamChanged } from "./refusal.ts";
import { Spool } from "./spool.ts";

export interface Source {
  readonly name: string;
  /** For the first reading, to its end. */
  readonly first: Input;
  /** From the beginning, once the first reading is over. Can be sought; the caller closes it. */
  again(): Promise<Input>;
  /** Removes what was kept. */
  close(): void;
}

/**
 * `path`: a file, or "-". What cannot be sought (a pipe, a compressed file, a recording of a checkpoint file) is kept as it
 * is read, until `close`, in the folder of `beside` (the output), or the system's own for such files where that is standard
 * output.
 */
export async function openSource(path: string, beside: string | undefined, terminal: Terminal): Promise<Source> {
  const first = await openInput(path, terminal);
  const { name, sizeBytes } = first;
  const canSeek = first.readAt(0, new Uint8Array(1)) !== undefined;
  if (canSeek) {
    // What there is to be said of the input was said when it was opened first.
    const quiet: Terminal = { ...terminal, note() {} };
    const again = async (): Promise<Input> => {
      const input = await openInput(path, quiet);
      if (input.sizeBytes === sizeBytes) return input;
      input.close();
      throw streamChanged();
    };
    return { name, first, again, close: () => first.close() };
  }
  const spool = new Spool(name, beside === undefined ? tmpdir() : dirname(resolve(terminal.folder, beside)));
  return {
    name,
    first: { ...first, chunks: () => spool.keeping(first.chunks()) },
    again: async () => spool.input(),
    close() {
      first.close();
      spool.close();
    },
  };
}
