// The console: the guest writes characters, the host gets lines.
import type { Region } from "./system-bus.ts";

export function consoleRegion(onLine: (line: string) => void): Region {
  let line = "";
  return {
    read: () => 0,
    write(offset, _size, value) {
      if (offset !== 0) return false;
      const character = String.fromCharCode(value & 0xff);
      if (character !== "\n") line += character;
      else {
        onLine(line);
        line = "";
      }
      return true;
    },
  };
}
