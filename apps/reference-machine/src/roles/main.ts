// The entry of both processes: role and options are the arguments.
import { accelerate } from "@godwit/core/jit";
import { runDestination } from "./destination.ts";
import { type RoleOptions, tell } from "./messages.ts";
import { runSource } from "./source.ts";

accelerate();
const [role, options] = process.argv.slice(2);
const run = role === "source" ? runSource : runDestination;
run(JSON.parse(options ?? "{}") as RoleOptions).then(
  () => exit(0),
  (error: unknown) => {
    tell({ event: "failed", text: error instanceof Error ? error.message : String(error) });
    exit(3);
  },
);

/** Leaves once all that was told is written: a pipe may still hold it. */
function exit(code: number): void {
  process.stdout.write("", () => process.exit(code));
}
