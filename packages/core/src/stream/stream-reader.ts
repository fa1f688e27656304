// The reader for tools: it also takes sections that nothing here describes, and the stream's own description.
import { type Delimiters, Delimiting } from "./delimit.ts";
import { type BareOptions, BareReader } from "./reader.ts";

export interface ReaderOptions extends BareOptions, Delimiters {}

class ToolReader extends BareReader {
  readonly #options: ReaderOptions;
  readonly #tools: Delimiting;

  constructor(options: ReaderOptions, from?: ToolReader) {
    const tools = from === undefined ? new Delimiting(options) : new Delimiting(options, from.#tools);
    super(options, tools, from);
    this.#options = options;
    this.#tools = tools;
  }

  /** An independent reader at the same place. */
  fork(options: ReaderOptions = this.#options): ToolReader {
    return new ToolReader(options, this);
  }
}

/** Without the class's private members: a reader of another copy of core is one as well. */
export interface StreamReader extends Omit<ToolReader, "fork"> {
  /** An independent reader at the same place. */
  fork(options?: ReaderOptions): StreamReader;
}
export const StreamReader: new (options: ReaderOptions) => StreamReader = ToolReader;
