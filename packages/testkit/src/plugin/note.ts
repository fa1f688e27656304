// What the author should see of a test that passes.

/** A line of the test's output. */
export function note(text: string): void {
  console.info(`@godwit/testkit: ${text}`);
}
