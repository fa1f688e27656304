/** Tests that need a machine: they are skipped, visibly, where Debian's SeaBIOS cannot be had, except where it must be. */
import { it, type TestContext } from "vitest";
import { findSeabios, type Seabios } from "../../src/host/seabios.ts";

const found = findSeabios();
const isRequired = process.env["GODWIT_REQUIRE_SEABIOS"] === "1" || process.env["CI"] === "true";

type Test<A extends unknown[]> = (seabios: Seabios, ...args: A) => Promise<void>;

async function runOrSkip<A extends unknown[]>(context: TestContext, test: Test<A>, args: A): Promise<void> {
  if ("seabios" in found) return test(found.seabios, ...args);
  if (isRequired) throw new Error(`${found.problem}; it is required here`);
  console.warn(`"${context.task.name}" did not run: ${found.problem}`);
  return context.skip(found.problem);
}

export function itWithSeabios(name: string, test: Test<[]>): void {
  it(name, (context) => runOrSkip(context, test, []));
}

/** One test a value. */
itWithSeabios.each = <V>(values: readonly V[]) => {
  return (name: string, test: Test<[V]>): void => {
    for (const value of values) {
      it(name.replace("%s", String(value)), (context) => runOrSkip(context, test, [value]));
    }
  };
};
