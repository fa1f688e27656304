// The stepped walk: takes over where the synchronous one ran out of bytes, keeps what is finished, and can be forked.
import { type Cursor, underflow } from "../cursor.ts";
import { isMigrationError, joinPath } from "../errors.ts";
import type { Frame, Node } from "./nodes/node.ts";
import type { Scope } from "./types.ts";

/** A composite that is being read. */
interface Level {
  readonly node: Node;
  readonly frame: Frame;
  /** The scope that it stands in. */
  readonly scope: Scope | undefined;
  /** Offset of its first byte. */
  readonly offset: number;
}

/**
 * Is told of each element that is about to be read: its path, and the offset in the stream of its first byte. True: its
 * own elements are told as well, for which all bytes must be there.
 */
export type Seen = (path: string | undefined, offset: number) => boolean;

const nothing: unique symbol = Symbol("nothing");

export class Walk {
  readonly #levels: Level[] = [];
  /** What waits for its bytes, or is about to be read. */
  #child: Node | undefined;
  /**
   * Offset up to which bytes have been read by a synchronous attempt that failed. Attempts begin behind it, so that no
   * byte is read in vain twice, and the whole work stays linear for every chunking.
   */
  #tried = 0;
  readonly #seen: Seen | undefined;
  /** What waits is read element by element, and not at once. */
  #stepwise: boolean;

  constructor(root: Node | undefined, seen?: Seen) {
    this.#child = root;
    this.#seen = seen;
    this.#stepwise = seen !== undefined;
  }

  /** Goes on as far as the bytes reach. True: complete, and `value` is the record. Errors carry path and offset. */
  resume(cursor: Cursor): { done: boolean; value?: unknown } {
    const levels = this.#levels;
    let { offset } = cursor;
    let deepest = levels.length;
    try {
      for (;;) {
        let value: unknown;
        const top = levels[levels.length - 1];
        this.#child ??= this.#next(top?.frame, cursor);
        if (this.#child === undefined) {
          const { node, frame, scope, offset: first } = top as Level;
          offset = first;
          deepest = levels.length - 1;
          value = frame.finish();
          if (cursor.checks) node.verify?.(value, scope);
          levels.pop();
        } else {
          value = this.#read(this.#child, top?.frame.scope, cursor);
          if (value === nothing) {
            if (this.#child !== undefined) return { done: false };
            deepest = levels.length;
            continue;
          }
          this.#child = undefined;
        }
        const parent = levels[levels.length - 1];
        if (parent === undefined) return { done: true, value };
        parent.frame.take(value);
        offset = cursor.offset;
        deepest = levels.length;
      }
    } catch (error) {
      if (error === underflow) throw new Error("a leaf asked for more bytes than it said it needs");
      if (!isMigrationError(error)) throw error;
      throw error.at({ path: this.#path(deepest), offset });
    }
  }

  #next(frame: Frame | undefined, { offset }: Cursor): Node | undefined {
    const child = frame?.next();
    // What has no segment is framing of what holds it.
    if (this.#seen !== undefined && child !== undefined && frame?.segment() !== undefined) {
      this.#stepwise = this.#seen(this.path(), offset);
    }
    return child;
  }

  /** The child's value; `nothing` where it has been opened (and is no child any more) or waits for bytes. */
  #read(child: Node, scope: Scope | undefined, cursor: Cursor): unknown {
    if (!child.composite) {
      return cursor.end - cursor.pos < child.need(cursor, scope) ? nothing : child.read(cursor, scope);
    }
    const { offset, available, pos, freeElements } = cursor;
    if (!this.#stepwise && offset >= this.#tried && available > 0 && available >= child.min) {
      try {
        return child.read(cursor, scope);
      } catch (error) {
        // The stepped walk meets another error than a lack of bytes again, and knows where.
        if (error !== underflow && !isMigrationError(error)) throw error;
        cursor.pos = pos;
        cursor.freeElements = freeElements;
        this.#tried = offset + available;
      }
    }
    cursor.fields++;
    this.#levels.push({ node: child, frame: child.open(scope, cursor), scope, offset });
    this.#child = undefined;
    return nothing;
  }

  /** The path of the element that is being read. */
  path(): string | undefined {
    return this.#path(this.#levels.length);
  }

  #path(levels: number): string | undefined {
    let path: string | undefined;
    for (let i = 0; i < levels; i++) path = joinPath(path, this.#levels[i]?.frame.segment());
    return path;
  }

  fork(): Walk {
    const walk = new Walk(this.#child);
    walk.#tried = this.#tried;
    let parent: Scope | undefined;
    for (const { node, frame, offset } of this.#levels) {
      const copy = frame.fork(parent);
      walk.#levels.push({ node, frame: copy, scope: parent, offset });
      parent = copy.scope;
    }
    return walk;
  }
}
