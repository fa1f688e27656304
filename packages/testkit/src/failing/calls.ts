// Which calls of a function fail, and what it was called with.

/** The 1st call, the 3rd, ...; `always`: every one. After those that are named it works. */
export type Failing = number | readonly number[] | "always";

/** What was called, in order: the name, and its arguments. */
export interface Call {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly failed: boolean;
}

export interface Calls<Name extends string> {
  /** All of them, in order. */
  readonly all: readonly Call[];
  /** How often something was called. */
  count(name: Name): number;
  /** How often it has failed. */
  failures(name: Name): number;
  /** From now on these fail, counted from the next call; without an argument, none does. */
  fail(plan?: Partial<Record<Name, Failing>>): void;
}

export class CallLog<Name extends string> implements Calls<Name> {
  readonly all: Call[] = [];
  readonly #errorOf: (name: Name, call: number) => unknown;
  #plan: Partial<Record<Name, Failing>>;
  /** How often each was called when the plan was made. */
  #before = new Map<string, number>();

  constructor(plan: Partial<Record<Name, Failing>>, errorOf: (name: Name, call: number) => unknown) {
    this.#plan = plan;
    this.#errorOf = errorOf;
  }

  count(name: Name): number {
    return this.all.filter((call) => call.name === name).length;
  }

  failures(name: Name): number {
    return this.all.filter((call) => call.name === name && call.failed).length;
  }

  fail(plan: Partial<Record<Name, Failing>> = {}): void {
    this.#plan = plan;
    this.#before = new Map(this.all.map(({ name }) => [name, this.count(name as Name)]));
  }

  /** Notes the call, and throws where it is to fail. */
  called(name: Name, ...args: readonly unknown[]): void {
    const call = this.count(name) + 1 - (this.#before.get(name) ?? 0);
    const failing = this.#plan[name];
    const failed = failing === "always" || failing === call || (typeof failing === "object" && failing.includes(call));
    this.all.push({ name, args, failed });
    if (failed) throw this.#errorOf(name, this.count(name));
  }
}

/** What fails where no error is given: no `MigrationError`, for devices throw anything. */
export function failure(of: string) {
  return (name: string, call: number): Error =>
    new Error(`${of}: ${name} fails at its call ${call}, as it was told to`);
}
