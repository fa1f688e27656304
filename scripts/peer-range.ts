// How a peer range between packages of this repository is written, and when it moves.

const form = /^>=(\d+)\.(\d+)\.(\d+) <(\d+)$/;

/** Whether `range` is of the form `>=0.1.0 <1`, the only one that a minor release of the peer does not leave. */
export function isPeerRange(range: string): boolean {
  return form.test(range);
}

/** The range to declare once the peer is at `version`: the same while it holds that version, else the new major's. */
export function peerRangeFor(range: string, version: string): string {
  const bounds = form.exec(range);
  if (!bounds) throw new Error(`"${range}" is not of the form ">=0.1.0 <1"`);
  const [, ...limits] = bounds;
  const [major = 0, ...rest] = version.split(".").map(Number);
  const [lowMajor = 0, ...lowRest] = limits.slice(0, 3).map(Number);
  const isHeld = major < Number(limits[3]) && compare([major, ...rest], [lowMajor, ...lowRest]) >= 0;
  return isHeld ? range : `>=${version} <${major + 1}`;
}

function compare(left: readonly number[], right: readonly number[]): number {
  const index = left.findIndex((part, position) => part !== right[position]);
  return index < 0 ? 0 : (left[index] ?? 0) - (right[index] ?? 0);
}
