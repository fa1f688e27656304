// QEMU's migration parameters: their names, units, defaults and bounds, checked in one place.
import { migrationError } from "./codes.ts";

/**
 * What `migrate-set-parameters` takes, as far as the engine knows it. Both sides take all of them; each uses its own. All
 * may be changed while a migration runs; those of a connection or of the attempt's encoding count from the next one.
 */
export interface MigrationParameters {
  /** What the source sends at most while its machine runs. 0: no limit. Bytes per second, in slices of 100 ms. */
  readonly "max-bandwidth": number;
  /** Switch over once what is left can be sent in this time. 0: only once nothing is left. Milliseconds. */
  readonly "downtime-limit": number;
  /** The bandwidth that the switch-over is reckoned with. 0: the one that was measured. Bytes per second. */
  readonly "avail-switchover-bandwidth": number;
  /** As `max-bandwidth`, for pages that nobody asked for, in post-copy. 0: no limit. Bytes per second. */
  readonly "max-postcopy-bandwidth": number;
  /** Auto-converge: how much is taken from the CPUs first. Percent. */
  readonly "cpu-throttle-initial": number;
  /** Auto-converge: how much more each time that was not enough. Percent. */
  readonly "cpu-throttle-increment": number;
  /** Auto-converge: never more than this. Percent, not below `cpu-throttle-initial`. */
  readonly "max-cpu-throttle": number;
  /** Auto-converge: steps become as small as the rates need them, instead of always the increment. */
  readonly "cpu-throttle-tailslow": boolean;
  /** Auto-converge: a period counts when the guest dirtied more than this share of what was sent in it. Percent. */
  readonly "throttle-trigger-threshold": number;
  /** What the source keeps to make deltas of, with XBZRLE. A power of two. Bytes. */
  readonly "xbzrle-cache-size": number;
  /** Connections beside the main one, with multifd; both sides must say the same. */
  readonly "multifd-channels": number;
  /** How pages are packed on multifd's channels; both sides must say the same. */
  readonly "multifd-compression": "none" | "zlib" | "zstd";
  /** 0: nothing is packed, 1: fastest, 9: smallest. */
  readonly "multifd-zlib-level": number;
  /** 0: zstd's own default, 1: fastest, 20: smallest. */
  readonly "multifd-zstd-level": number;
}

export type ParameterName = keyof MigrationParameters;

export type ParameterSpec =
  | {
      readonly kind: "integer";
      readonly unit: "bytes/s" | "ms" | "%" | "bytes" | "";
      readonly default: number;
      readonly low: number;
      readonly high: number;
      readonly powerOfTwo?: true;
      /** The least is another parameter's value where that is more. */
      readonly notBelow?: ParameterName;
    }
  | { readonly kind: "flag"; readonly default: boolean }
  | { readonly kind: "choice"; readonly default: string; readonly choices: readonly string[] };

const mib = 1024 * 1024;
/** QEMU's own bound is 2^64 - 1. */
const mostBytes = Number.MAX_SAFE_INTEGER;

function integer(
  unit: Extract<ParameterSpec, { kind: "integer" }>["unit"],
  byDefault: number,
  low: number,
  high: number,
) {
  return { kind: "integer", unit, default: byDefault, low, high } as const;
}

/** Defaults and bounds as QEMU 7.2 tells and enforces them; `avail-switchover-bandwidth` is of 8.2. */
export const parameterTable: { readonly [P in ParameterName]: ParameterSpec } = {
  "max-bandwidth": integer("bytes/s", 128 * mib, 0, mostBytes),
  "downtime-limit": integer("ms", 300, 0, 2_000_000),
  "avail-switchover-bandwidth": integer("bytes/s", 0, 0, mostBytes),
  "max-postcopy-bandwidth": integer("bytes/s", 0, 0, mostBytes),
  "cpu-throttle-initial": integer("%", 20, 1, 99),
  "cpu-throttle-increment": integer("%", 10, 1, 99),
  "max-cpu-throttle": { ...integer("%", 99, 1, 99), notBelow: "cpu-throttle-initial" },
  "cpu-throttle-tailslow": { kind: "flag", default: false },
  "throttle-trigger-threshold": integer("%", 50, 1, 100),
  "xbzrle-cache-size": { ...integer("bytes", 64 * mib, 4096, 2 ** 52), powerOfTwo: true },
  "multifd-channels": integer("", 2, 1, 255),
  "multifd-compression": { kind: "choice", default: "none", choices: ["none", "zlib", "zstd"] },
  "multifd-zlib-level": integer("", 1, 0, 9),
  "multifd-zstd-level": integer("", 1, 0, 20),
};

export const defaultParameters = Object.freeze(
  Object.fromEntries(Object.entries(parameterTable).map(([name, spec]) => [name, spec.default])),
) as unknown as MigrationParameters;

/**
 * `given` over `before`. `OPTION_INVALID` names every parameter that is unknown or out of its range, with the range;
 * nothing is taken over then.
 */
export function checkedParameters(
  given: Partial<MigrationParameters> = {},
  before: MigrationParameters = defaultParameters,
): MigrationParameters {
  const chosen = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const after = { ...before, ...chosen };
  const wrong = Object.keys(after).flatMap((name) => {
    const value: unknown = after[name as ParameterName];
    const range = rangeIfWrong(name, value, after);
    return range === undefined ? [] : [{ name, range, value }];
  });
  if (wrong.length === 0) return Object.freeze(after);
  throw migrationError(
    "OPTION_INVALID",
    wrong.map(({ name, range, value }) => `parameter ${name} must be ${range}, not ${format(value)}`).join("; "),
    {
      side: "define",
      path: wrong.map(({ name }) => name).join(", "),
      expected: wrong.map(({ range }) => range).join("; "),
      found: wrong.map(({ value }) => format(value)).join("; "),
    },
  );
}

/** What the parameter takes, for people. */
export function formatRange(spec: ParameterSpec): string {
  if (spec.kind === "flag") return "true or false";
  if (spec.kind === "choice") return spec.choices.join(", ");
  const kind = spec.powerOfTwo ? "a power of two" : "a whole number";
  const low = spec.notBelow ?? String(spec.low);
  return `${kind} from ${low} to ${spec.high}${spec.unit === "" ? "" : ` ${spec.unit}`}`;
}

function rangeIfWrong(name: string, value: unknown, all: MigrationParameters): string | undefined {
  if (!Object.hasOwn(parameterTable, name)) return `one of ${Object.keys(parameterTable).join(", ")}`;
  const spec = parameterTable[name as ParameterName];
  return accepts(spec, value, all) ? undefined : formatRange(spec);
}

function accepts(spec: ParameterSpec, value: unknown, all: MigrationParameters): boolean {
  if (spec.kind === "flag") return typeof value === "boolean";
  if (spec.kind === "choice") return spec.choices.includes(value as string);
  if (typeof value !== "number" || !Number.isSafeInteger(value)) return false;
  const least = Math.max(spec.low, spec.notBelow === undefined ? spec.low : Number(all[spec.notBelow]));
  return value >= least && value <= spec.high && (spec.powerOfTwo !== true || Number.isInteger(Math.log2(value)));
}

function format(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
