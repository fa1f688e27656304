// What the guest sends on COM1, and how it is judged: a line lost, repeated or torn, or a table in RAM that changed
// under the guest, breaks the chain for good.

export interface CounterLine {
  readonly seq: number;
  /** A chain over all lines before and the table in RAM. */
  readonly hash: number;
  /** Interrupts so far on IRQ 0, the timer. */
  readonly ticks: number;
  /** Interrupts so far on IRQ 8, the real-time clock. */
  readonly rtc: number;
}

export interface Evidence {
  readonly lines: readonly CounterLine[];
  /** What follows the last whole line. */
  readonly rest: string;
  /** What is wrong with the first line that is; undefined where all are as the guest's program says. */
  readonly problem: string | undefined;
}

const tableWords = 0x4000;
const linePattern = /^[0-9a-f]{8} [0-9a-f]{8} [0-9a-f]{8} [0-9a-f]{8}$/;

/** The chain that the guest computes, computed again. */
function chain(): (seq: number) => number {
  const table = new Uint32Array(tableWords);
  let hash = 0x1234_5678;
  return (seq) => {
    const own = seq & (tableWords - 1);
    table[own] = (table[own] as number) ^ hash;
    const rotated = (hash << 7) | (hash >>> 25);
    hash = (rotated + (table[hash & (tableWords - 1)] as number) + seq) >>> 0;
    return hash;
  };
}

/** Judges everything that the guest has sent since it booted, whichever machines it ran in. */
export function judge(sent: string): Evidence {
  const texts = sent.split("\n");
  const rest = texts.pop() ?? "";
  const next = chain();
  const lines: CounterLine[] = [];
  let problem: string | undefined;
  for (const [index, text] of texts.entries()) {
    const [seq = -1, hash = -1, ticks = -1, rtc = -1] = text.split(" ").map((digits) => Number.parseInt(digits, 16));
    const before = lines.at(-1);
    const expected = next(index);
    if (!linePattern.test(text)) problem = "is no line of the guest's";
    else if (seq !== index) problem = `has number ${seq}`;
    else if (hash !== expected) problem = `has hash ${hash.toString(16)}, not ${expected.toString(16)}`;
    else if (before !== undefined && ticks < before.ticks + 4) problem = "came too early";
    else if (before !== undefined && rtc < before.rtc) problem = "counts fewer interrupts of the clock";
    if (problem !== undefined) return { lines, rest, problem: `line ${index} ${problem}: "${text}"` };
    lines.push({ seq, hash, ticks, rtc });
  }
  return { lines, rest, problem };
}
