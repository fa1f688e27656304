// One rule for what tests need from outside: absent, it skips them; where it is required, its absence is a failure.

/** With `CI=true` everything is required; `GODWIT_REQUIRE_STREAMS=1` (`_CHROMIUM`, ...) requires one thing. */
export function isRequired(thing: string): boolean {
  return process.env["CI"] === "true" || process.env[`GODWIT_REQUIRE_${thing.toUpperCase()}`] === "1";
}

/** What an environment variable says; an empty one is unset. */
export function environmentValue(name: string): string | undefined {
  return process.env[name] || undefined;
}

/** Throws `problem` where `thing` is required, else says it in a line, with what is skipped; always false. */
export function absent(thing: string, problem: string, skipped: string): false {
  if (isRequired(thing)) throw new Error(`${problem}, and is required here`);
  console.warn(`${problem}; ${skipped} are skipped`);
  return false;
}
