// The forms that a machine's state has in a file, and how they are told apart.
import { extname } from "node:path";
import { CliFault } from "../faults.ts";

/** `stream`: pages as records, in the order in which they are read. `mapped-ram`: each page at its place. */
export type Format = "stream" | "mapped-ram" | "checkpoint";

const byExtension: Readonly<Record<string, Format>> = {
  ".stream": "stream",
  ".mapped": "mapped-ram",
  ".mapped-ram": "mapped-ram",
  ".checkpoint": "checkpoint",
};

/** What `--to` says, else what the output's name does; into a pipe, a stream. Exit 2 where nothing says it. */
export function formatFor(output: string, to: string | undefined): Format {
  const format =
    to === undefined
      ? output === "-"
        ? "stream"
        : byExtension[extname(output)]
      : Object.values(byExtension).find((one) => one === to);
  if (format === undefined) {
    const sentence =
      to === undefined ? `${output} does not say by its name what it is to be` : `there is no form ${to}`;
    throw new CliFault("CONVERT_FORMAT", sentence, { exit: 2, hint: "--to stream, mapped-ram or checkpoint" });
  }
  if (output !== "-" || format === "stream") return format;
  throw new CliFault("CONVERT_PIPE", `a ${format} file is not written in order, and cannot go into a pipe`, {
    exit: 2,
    hint: "give a file",
  });
}
