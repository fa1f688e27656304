// Core in a browser page, asked to generate code.
// biome-ignore assist/source/organizeImports: the count must begin before core's modules are evaluated
import { attemptsSoFar } from "./attempts.ts";
import { runPage, tell } from "@godwit/test-support/page";
import { accelerate } from "../../src/jit.ts";
import { exercise } from "./exercise.ts";

runPage(async () => {
  accelerate();
  const bytes = await exercise();
  await tell("attempts", String(attemptsSoFar()));
  await tell("bytes", bytes);
});
