// The tests of generated projects, run as they are, against this repository's sources: a template that rots fails here.
import { join } from "node:path";
import { afterAll, describe } from "vitest";
import { project } from "./support/project.ts";

// Names of different lengths, so that whatever counts them is counted anew.
const wishes = [{ name: "godwit-plugin-tod" }, { name: "@acme/godwit-plugin-battery-backed-clock" }, { name: "a-1-b" }];

for (const wish of wishes) {
  const made = project(wish);
  const tests = made.files.filter((path) => path.endsWith(".test.ts"));
  describe(wish.name, async () => {
    afterAll(() => made.remove());
    for (const path of tests) await import(/* @vite-ignore */ join(made.folder, path));
  });
}
