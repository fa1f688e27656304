// Counts what is allocated while something synchronous runs, and refuses what is beyond all measure before it is made.

/** Thrown in the place of an allocation. */
class TooMuch extends RangeError {}

type Constructor = new (...args: unknown[]) => object;
type Names = Record<string, unknown>;

const arrays = [
  "Uint8Array",
  "Uint8ClampedArray",
  "Int8Array",
  "Uint16Array",
  "Int16Array",
  "Uint32Array",
  "Int32Array",
  "Float32Array",
  "Float64Array",
  "BigInt64Array",
  "BigUint64Array",
] as const;
/** What an element of a plain array, an entry of a Map or a Set is taken for. Bytes. */
const elementBytes = 8;

/** Bytes that `work` asked for, up to `mostBytes`; and whether it asked for more. What it throws is its own affair. */
export function allocatedIn(
  work: () => void,
  mostBytes: number,
): { readonly bytes: number; readonly isOver: boolean; readonly threw: boolean } {
  let bytes = 0;
  let isOver = false;
  let threw = false;
  const count = (more: number): void => {
    if (!(more > 0)) return;
    bytes += more;
    if (bytes <= mostBytes) return;
    isOver = true;
    throw new TooMuch(`more than ${mostBytes} bytes are asked for`);
  };
  const undo = replaceAll(count);
  try {
    work();
  } catch {
    // A refusal, or an allocation that was.
    threw = true;
  } finally {
    for (const one of undo.toReversed()) one();
  }
  return { bytes, isOver, threw };
}

function replaceAll(count: (bytes: number) => void): (() => void)[] {
  const undo: (() => void)[] = [];
  const replace = (owner: object, name: string, value: unknown): void => {
    const own = Object.getOwnPropertyDescriptor(owner, name) as PropertyDescriptor;
    Object.defineProperty(owner, name, { ...own, value });
    undo.push(() => Object.defineProperty(owner, name, own));
  };
  const world = globalThis as unknown as Names;
  for (const name of arrays) {
    const plain = world[name] as Constructor & { readonly BYTES_PER_ELEMENT: number };
    replace(
      globalThis,
      name,
      counted(plain, (first) => lengthOf(first) * plain.BYTES_PER_ELEMENT, count),
    );
  }
  for (const name of ["ArrayBuffer", "SharedArrayBuffer"]) {
    const plain = world[name] as Constructor | undefined;
    if (plain !== undefined)
      replace(
        globalThis,
        name,
        counted(plain, (first) => (typeof first === "number" ? first : 0), count),
      );
  }
  replace(
    globalThis,
    "Array",
    counted(
      Array as unknown as Constructor,
      (first, more) => (more === 1 && typeof first === "number" ? first * elementBytes : 0),
      count,
    ),
  );
  const method = (owner: object, name: string, bytesOf: (self: never, args: readonly unknown[]) => number): void => {
    const plain = (owner as Names)[name] as (...args: unknown[]) => unknown;
    const counting = function (this: never, ...args: unknown[]): unknown {
      count(bytesOf(this, args));
      return plain.apply(this, args);
    };
    replace(owner, name, counting);
  };
  method(Array.prototype, "push", (_, args) => args.length * elementBytes);
  method(Array.prototype, "unshift", (_, args) => args.length * elementBytes);
  // Of a list that was made long by its `length` alone.
  method(Array.prototype, "fill", (self: readonly unknown[]) => self.length * elementBytes);
  method(Set.prototype, "add", () => 2 * elementBytes);
  method(Map.prototype, "set", () => 2 * elementBytes);
  method(String.prototype, "repeat", (self: string, [times]) => String(self).length * Number(times));
  method(String.prototype, "padStart", (_, [length]) => Number(length));
  method(String.prototype, "padEnd", (_, [length]) => Number(length));
  return undo;
}

/** The constructor as it is, its calls counted; what was made with it before is still its instance. */
function counted(
  plain: Constructor,
  bytesOf: (first: unknown, count: number) => number,
  count: (bytes: number) => void,
): Constructor {
  return new Proxy(plain, {
    construct(target, args, made) {
      count(bytesOf(args[0], args.length));
      return Reflect.construct(target, args, made) as object;
    },
    apply(target, self, args) {
      count(bytesOf(args[0], args.length));
      return Reflect.apply(target as unknown as (...all: unknown[]) => unknown, self, args);
    },
  });
}

/** Elements that a typed array is made with; a view on a buffer makes none. */
function lengthOf(first: unknown): number {
  if (typeof first === "number") return first;
  if (typeof first !== "object" || first === null || first instanceof ArrayBuffer) return 0;
  const { length } = first as { length?: unknown };
  return typeof length === "number" ? length : 0;
}
