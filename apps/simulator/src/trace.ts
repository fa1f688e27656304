// What happened in one seed: a hash over all of it, by which two runs are compared, and the last lines for a report.
import type { VirtualTime } from "./virtual-time.ts";

const tailLines = 60;

export class Trace {
  readonly #time: VirtualTime;
  readonly #tail: string[] = [];
  readonly #print: ((line: string) => void) | undefined;
  #low = 0x811c9dc5;
  #high = 0xcbf29ce4;
  #lines = 0;
  #marked: readonly string[] | undefined;

  constructor(time: VirtualTime, print?: (line: string) => void) {
    this.#time = time;
    this.#print = print;
  }

  add(text: string): void {
    const line = `${this.#time.nowMs.toFixed(3)} ${text}`;
    for (let i = 0; i < line.length; i++) {
      const code = line.charCodeAt(i);
      this.#low = Math.imul(this.#low ^ code, 0x01000193);
      this.#high = Math.imul(this.#high ^ code, 0x85ebca6b) + i;
    }
    this.#lines++;
    this.#tail.push(line);
    if (this.#tail.length > 2 * tailLines) this.#tail.splice(0, tailLines);
    this.#print?.(line);
  }

  /** What went before this moment is what a report needs; what comes later may be long. */
  mark(): void {
    this.#marked ??= this.#tail.slice(-tailLines);
  }

  /** 16 hexadecimal digits, of all lines. */
  get hash(): string {
    return hex(this.#low) + hex(this.#high);
  }

  get lines(): number {
    return this.#lines;
  }

  /** The last lines, up to the mark if there is one. */
  tail(): readonly string[] {
    return this.#marked ?? this.#tail.slice(-tailLines);
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
