// Two visitors of one pass.
import type { StreamVisitor } from "../model/read-stream.ts";

export function bothVisitors(a: StreamVisitor, b: StreamVisitor): StreamVisitor {
  return {
    opening(...given) {
      a.opening?.(...given);
      b.opening?.(...given);
    },
    configuration(...given) {
      a.configuration?.(...given);
      b.configuration?.(...given);
    },
    section(section) {
      a.section?.(section);
      b.section?.(section);
    },
    command(command) {
      a.command?.(command);
      b.command?.(command);
    },
    eof(offset) {
      a.eof?.(offset);
      b.eof?.(offset);
    },
    vmdesc(...given) {
      a.vmdesc?.(...given);
      b.vmdesc?.(...given);
    },
  };
}
