// Elements of an array that are alike are told once: `vq[3..1023].avail`.

interface Row {
  readonly path: string;
  /** What is said of it; two rows that say the same are alike. */
  readonly text: string;
}

/** A row on its way; `done` is the part of its path that is dealt with. */
interface Open<R> {
  readonly row: R;
  readonly done: string;
  readonly rest: string;
}

interface Element<R> {
  readonly index: number;
  readonly rows: Open<R>[];
}

/** The rows with runs of alike elements as one. Order is kept. */
export function folded<R extends Row>(rows: readonly R[]): R[] {
  return foldFrom(rows.map((row) => ({ row, done: "", rest: row.path }))).map(({ row, done, rest }) => ({
    ...row,
    path: done + rest,
  }));
}

function foldFrom<R extends Row>(open: readonly Open<R>[]): Open<R>[] {
  const out: Open<R>[] = [];
  for (let at = 0; at < open.length; ) {
    const first = open[at] as Open<R>;
    const array = arrayOf(first.rest);
    if (array === undefined) {
      out.push(first);
      at++;
      continue;
    }
    let end = at;
    while (end < open.length && sameArray(open[end] as Open<R>, first, array)) end++;
    out.push(...foldArray(open.slice(at, end), array));
    at = end;
  }
  return out;
}

function sameArray<R>({ done, rest }: Open<R>, first: Open<R>, array: string): boolean {
  return done === first.done && rest.startsWith(`${array}[`) && arrayOf(rest) === array;
}

/** What is before the first index. */
function arrayOf(path: string): string | undefined {
  return /^([^[]*)\[\d+\]/.exec(path)?.[1];
}

function foldArray<R extends Row>(open: readonly Open<R>[], array: string): Open<R>[] {
  const elements: Element<R>[] = [];
  for (const { row, done, rest } of open) {
    const close = rest.indexOf("]");
    const index = Number(rest.slice(array.length + 1, close));
    const last = elements.at(-1);
    const inside = { row, done, rest: rest.slice(close + 1) };
    if (last?.index === index) last.rows.push(inside);
    else elements.push({ index, rows: [inside] });
  }
  const out: Open<R>[] = [];
  for (let at = 0; at < elements.length; ) {
    const first = elements[at] as Element<R>;
    let end = at + 1;
    while (end < elements.length && follows(elements[end - 1] as Element<R>, elements[end] as Element<R>)) end++;
    const lastIndex = (elements[end - 1] as Element<R>).index;
    const range = lastIndex === first.index ? `[${first.index}]` : `[${first.index}..${lastIndex}]`;
    const rows = first.rows.map(({ row, done, rest }) => ({ row, done: `${done}${array}${range}`, rest }));
    out.push(...foldFrom(rows));
    at = end;
  }
  return out;
}

function follows<R extends Row>(a: Element<R>, b: Element<R>): boolean {
  return (
    b.index === a.index + 1 &&
    a.rows.length === b.rows.length &&
    a.rows.every(({ rest, row }, i) => rest === b.rows[i]?.rest && row.text === b.rows[i]?.row.text)
  );
}
