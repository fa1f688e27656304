// What is on the registry.
import type { SpeakerRelease } from "./src/speaker.ts";

export const old: SpeakerRelease = { version: "0.9.0", contract: 1, state: "first" };
export const first: SpeakerRelease = { version: "1.0.0", contract: 3, state: "first" };
export const grown: SpeakerRelease = { version: "1.1.0", contract: 3, state: "grown" };
export const future: SpeakerRelease = { version: "2.0.0", contract: 99, state: "grown" };
