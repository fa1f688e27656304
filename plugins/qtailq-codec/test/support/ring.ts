// A third party's field: a ring buffer, made of core's `customField` and public fields alone.
import {
  type CustomItem,
  customField,
  type Description,
  type Field,
  MigrationError,
  type StateOf,
  struct,
  u32,
} from "@godwit/core";

/** A ring of `slots`, in which `entries` stand one after the other from slot `head` on. */
export interface Ring<T> {
  slots: number;
  head: number;
  entries: T[];
}

interface Steps {
  /** Slots, head and the number of entries, as far as they have come. */
  readonly words: number[];
  readonly entries: unknown[];
}

const names = ["slots", "head", "used"] as const;

/** be32 slots, be32 head, be32 number of entries, then the entries from the oldest on. */
export function ringBuffer<D extends Description>(description: D): Field<Ring<StateOf<D>>> {
  const element: Field = struct(description);
  return customField<Ring<StateOf<D>>, Steps>({
    kind: "ringbuffer",
    begin: () => ({ words: [], entries: [] }),
    next({ words, entries }) {
      if (words.length < names.length) return u32;
      return entries.length < (words[2] as number) ? element : undefined;
    },
    take({ words, entries }, value) {
      if (words.length === names.length) {
        entries.push(value);
        return;
      }
      // Before it is taken: the error's path is that of the number that is wrong.
      if (words.length === 2) mustFit(words[0] as number, words[1] as number, value as number);
      words.push(value as number);
    },
    end: ({ words: [slots = 0, head = 0], entries }) => ({ slots, head, entries: entries as StateOf<D>[] }),
    segment: ({ words, entries }) => names[words.length] ?? `entries[${entries.length}]`,
    *encode({ slots, head, entries }): Iterable<CustomItem> {
      mustFit(slots, head, entries.length);
      for (const [i, value] of [slots, head, entries.length].entries()) {
        yield { field: u32, value, segment: names[i] };
      }
      for (const [i, value] of entries.entries()) yield { field: element, value, segment: `entries[${i}]` };
    },
    map: ({ slots, head, entries }, each) => ({
      slots,
      head,
      entries: entries.map((one) => each(element, one) as StateOf<D>),
    }),
    elements: description,
  });
}

function mustFit(slots: number, head: number, used: number): void {
  if (used <= slots && (head < slots || slots === 0)) return;
  throw new MigrationError("FIELD_CUSTOM", "the ring does not hold what it says", {
    expected: `head and entries within ${slots} slots`,
    found: `head ${head}, ${used} entries`,
  });
}
