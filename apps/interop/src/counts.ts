// What a guest says on its serial line: it counts, so that a gap or a repeat shows.

/** The numbers of whole lines `COUNT n`. */
export function counts(serial: string): number[] {
  return [...serial.matchAll(/COUNT (\d+)\r?\n/g)].map(([, n]) => Number(n));
}

/**
 * Whether the numbers of one machine, and then of the next, go up by one. A line that the first began and the second ended
 * is one line.
 */
export function goesOn(first: string, second: string): { readonly from: number; readonly to: number; gaps: string[] } {
  const numbers = counts(first + second);
  const gaps = numbers.flatMap((n, i) => {
    const before = numbers[i - 1];
    return before === undefined || n === before + 1 ? [] : [`${n} after ${before}`];
  });
  return { from: numbers[0] ?? 0, to: numbers.at(-1) ?? 0, gaps };
}
