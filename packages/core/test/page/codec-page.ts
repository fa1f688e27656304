// Core in a browser page.
import { runPage, tell } from "@godwit/testkit/page";
import { exercise } from "./exercise.ts";

runPage(async () => tell("bytes", await exercise()));
