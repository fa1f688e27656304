// Core in a browser page, asked to generate code.
import { runPage, tell } from "@godwit/testkit/page";
import { accelerate } from "../../src/jit.ts";
import { exercise } from "./exercise.ts";

runPage(async () => {
  accelerate();
  await tell("bytes", await exercise());
});
