// Paper that keeps what was struck, for the guide's programs. What is struck in red is in small letters.
import type { Paper } from "./src/printer.ts";

export interface KeptPaper extends Paper {
  readonly text: () => string;
  readonly isOpen: () => boolean;
}

export function keptPaper(): KeptPaper {
  let text = "";
  let isOpen = false;
  return {
    async open() {
      isOpen = true;
    },
    async strike(byte, colour) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      const letter = String.fromCharCode(byte);
      text += colour === 0 ? letter : letter.toLowerCase();
    },
    text: () => text,
    isOpen: () => isOpen,
  };
}
