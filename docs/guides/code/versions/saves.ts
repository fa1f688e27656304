// The saves of the five releases, as they were written when each came out.
import { readFileSync } from "node:fs";

// From this folder; in a project of your own they lie beside the tests.
const golden = new URL("../../../../packages/core/examples/releases/golden/", import.meta.url);

export const goldenSave = (release: number): Uint8Array =>
  Uint8Array.from(readFileSync(new URL(`release-${release}.save`, golden)));
