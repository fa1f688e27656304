// What a terminal gets to see: text of a stream is shown and not acted upon; a progress line makes room for a sentence.
import { afterEach, describe, expect, it, vi } from "vitest";
import { processTerminal } from "../src/io/terminal.ts";
import { madeStream, temporaryFile } from "./inspect-support.ts";
import { runCli } from "./run-cli.ts";

function written(stream: NodeJS.WriteStream): () => string {
  const text: string[] = [];
  vi.spyOn(stream, "write").mockImplementation((chunk) => {
    text.push(String(chunk));
    return true;
  });
  return () => text.join("");
}

const hostile = "ev\x1b]0;title\x07il\x1b[2J\u009b31m\x7f\u202e\nforged";
const harmless = "ev\\x1b]0;title\\x07il\\x1b[2J\\x9b31m\\x7f\\u202e\\x0aforged";

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

describe("a terminal's text", () => {
  it("keeps escape sequences, newlines and turned writing from the terminal", () => {
    const stdout = written(process.stdout);
    const stderr = written(process.stderr);
    const terminal = processTerminal(false);
    terminal.out(hostile);
    terminal.note(hostile);
    expect(stdout()).toBe(`${harmless}\n`);
    expect(stderr()).toBe(`${harmless}\n`);
  });

  it("has its own colours, and none that a text brings", () => {
    const stdout = written(process.stdout);
    const terminal = processTerminal(true);
    terminal.out(terminal.style("red", `a\x1b[32mb`));
    expect(stdout()).toBe("\x1b[31ma\\x1b[32mb\x1b[39m\n");
  });

  it("is the same document with --json, without a character that a terminal acts upon", () => {
    const stdout = written(process.stdout);
    processTerminal(false).json({ idstr: hostile });
    expect(JSON.parse(stdout())).toEqual({ idstr: hostile });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
    expect(stdout()).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
  });
});

describe("colours", () => {
  it("are not asked to go away by an empty NO_COLOR, and are by any other", () => {
    vi.spyOn(process, "stdout", "get").mockReturnValue({ isTTY: true } as never);
    vi.stubEnv("TERM", "xterm");
    vi.stubEnv("NO_COLOR", "");
    expect(processTerminal(undefined).style("red", "x")).not.toBe("x");
    vi.stubEnv("NO_COLOR", "0");
    expect(processTerminal(undefined).style("red", "x")).toBe("x");
  });
});

describe("the progress line", () => {
  it("is taken away before a sentence is said in its place", () => {
    const stderr = vi.fn();
    vi.spyOn(process, "stderr", "get").mockReturnValue({ isTTY: true, write: stderr } as never);
    const now = vi.spyOn(Date, "now").mockReturnValue(0);
    const terminal = processTerminal(false);
    const progress = terminal.progress("reading x", 2e6);
    now.mockReturnValue(1000);
    progress.update(1e6);
    terminal.note("godwit: it is cut off");
    expect(stderr.mock.calls.flat()).toEqual(["reading x 50% 1 MB, 1 MB/s", "\r\x1b[K", "godwit: it is cut off\n"]);
  });
});

describe("names in a stream", () => {
  const path = temporaryFile(
    "hostile.stream",
    madeStream({
      machineType: hostile,
      sections: [{ idstr: hostile, version: 1, body: Uint8Array.of(1) }],
      vmdesc: {
        page_size: 4096,
        devices: [
          {
            name: hostile,
            instance_id: 0,
            vmsd_name: hostile,
            version: 1,
            fields: [{ name: hostile, type: "uint8", size: 1 }],
          },
        ],
      },
    }),
  );

  it.each([
    ["inspect", path],
    ["inspect", path, "--section", "*"],
    ["verify", path],
    ["diff", path, path],
  ])("forge no line: %s", async (...args) => {
    const { stdout } = await runCli(args);
    expect(stdout).toContain(harmless);
    expect(stdout).not.toMatch(/^forged/m);
  });
});
