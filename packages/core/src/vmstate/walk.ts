// The stepped walk: takes over where the synchronous one ran out of bytes, keeps what is finished, and can be forked.
import type { Cursor } from "../cursor.ts";
import { isMigrationError, joinPath } from "../errors.ts";
import { underflow } from "../cursor.ts";
import { type Frame, isFrame, type Node } from "./nodes/node.ts";
import type { Scope } from "./types.ts";

export class Walk {
  readonly #frames: Frame[];
  /** A leaf that waits for its bytes. */
  #pending: Node | undefined;

  constructor(root: Frame) {
    this.#frames = [root];
  }

  /** Goes on as far as the bytes reach. True: complete, and `value` is the record. Errors carry path and offset. */
  resume(cursor: Cursor): { done: boolean; value?: unknown } {
    const frames = this.#frames;
    try {
      for (;;) {
        const top = frames[frames.length - 1] as Frame;
        const child = this.#pending ?? top.next();
        let value: unknown;
        if (child === undefined) {
          value = top.finish();
          frames.pop();
          const parent = frames[frames.length - 1];
          if (parent === undefined) return { done: true, value };
          parent.take(value);
        } else if (isFrame(child)) {
          frames.push(child);
        } else {
          const frame = this.#pending === undefined ? child.open(top.scope) : undefined;
          if (frame !== undefined) {
            frames.push(frame);
            continue;
          }
          this.#pending = child;
          if (cursor.end - cursor.pos < child.need(cursor, top.scope)) return { done: false };
          value = child.read(cursor, top.scope);
          this.#pending = undefined;
          cursor.fields++;
          top.take(value);
        }
      }
    } catch (error) {
      if (error === underflow) throw new Error("a leaf asked for more bytes than it said it needs");
      if (!isMigrationError(error)) throw error;
      throw error.at({ path: this.path(), offset: cursor.offset });
    }
  }

  /** The path of the element that is being read. */
  path(): string | undefined {
    let path: string | undefined;
    for (const frame of this.#frames) path = joinPath(path, frame.segment());
    return path;
  }

  fork(): Walk {
    let parent: Scope | undefined;
    const [root, ...rest] = this.#frames.map((frame) => {
      const copy = frame.fork(parent);
      parent = copy.scope;
      return copy;
    });
    const walk = new Walk(root as Frame);
    walk.#frames.push(...rest);
    walk.#pending = this.#pending;
    return walk;
  }
}
