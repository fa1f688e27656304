// The command line: what it accepts, what it means, and what --help prints. One table makes all three.
import { parseArgs } from "node:util";
import { RAM_MAX_BYTES, RAM_MIN_BYTES } from "../memory-map.ts";
import { type ProfileName, profileNames } from "../profiles/profile.ts";

/** How the machine moves, in the order in which help lists them. */
export const modes = {
  precopy: "pages go while the guest runs, until the rest fits into the pause",
  postcopy: "the guest runs there before its pages, which follow as they are asked for",
  multifd: "as precopy, pages over connections of their own",
  tls: "as precopy, encrypted; both sides show certificates, made for this run",
} as const;
export type Mode = keyof typeof modes;

export interface Options {
  readonly profile: ProfileName;
  readonly mode: Mode;
  /** Of multifd. */
  readonly channels: number;
  /** The guest is slowed down where it dirties memory too fast. */
  readonly autoConverge: boolean;
  readonly seed: number;
  readonly memoryMiB: number;
  readonly dirtyRateMiBps: number;
  readonly blocksPerSecond: number;
  readonly bandwidthMiBps: number;
  readonly downtimeLimitMs: number;
  readonly useIommu: boolean;
  readonly iommuLast: boolean;
  readonly walksTravel: boolean;
  readonly json: boolean;
}

/** What is wrong with the command line, in a sentence. */
export class UsageError extends Error {}

interface NumberOption {
  readonly help: string;
  readonly unit: string;
  /** A number, or what it follows from. */
  readonly default: number | { readonly text: string; of(sizes: Sizes): number };
  readonly low: number;
  readonly high: number;
}

/** What defaults follow from. */
interface Sizes {
  memory(): number;
  bandwidth(): number;
  readonly busy: boolean;
}

const mib = 1024 * 1024;
/** A busy guest shall dirty memory so much faster than it can be sent; its hart may manage less, and that is enough. */
const busyFactor = 8;
/** As slow as the transfer may be, and a pool that it passes in a second. MiB/s, MiB. */
const busyBandwidth = 4;
const busyMemory = 8;

const numbers = {
  memory: {
    help: "guest RAM",
    unit: "MiB",
    default: { text: `64; busy: ${busyMemory}`, of: ({ busy }) => (busy ? busyMemory : 64) },
    low: RAM_MIN_BYTES / mib,
    high: RAM_MAX_BYTES / mib,
  },
  bandwidth: {
    help: "limit of the transfer while the guest runs",
    unit: "MiB/s",
    default: {
      text: `all RAM in a second, at least 64; busy: ${busyBandwidth}`,
      of: ({ memory, busy }) => (busy ? busyBandwidth : Math.max(64, memory())),
    },
    low: 1,
    high: 65_536,
  },
  "dirty-rate": {
    help: "how fast the guest dirties memory",
    unit: "MiB/s",
    default: {
      text: `24; busy: ${busyFactor} times the bandwidth`,
      of: ({ bandwidth, busy }) => (busy ? Math.min(busyFactor * bandwidth(), 4096) : 24),
    },
    low: 0,
    high: 4096,
  },
  "block-rate": {
    help: "blocks and packets that the guest sends, the pace of its other devices",
    unit: "1/s",
    default: 400,
    low: 1,
    high: 100_000,
  },
  channels: { help: "mode multifd: connections for pages", unit: "", default: 2, low: 1, high: 255 },
  "downtime-limit": {
    help: "pause that the switch-over may take; mode postcopy does not look at it",
    unit: "ms",
    default: 50,
    low: 1,
    high: 2_000_000,
  },
  seed: { help: "goes into every block and packet", unit: "", default: 1, low: 0, high: 0xffff_ffff },
} as const satisfies Record<string, NumberOption>;

const flags = {
  busy: "the guest dirties memory faster than it can be sent: it converges only if it is slowed down",
  "no-auto-converge": "the guest is not slowed down, however fast it dirties memory",
  "no-iommu": "q35: the guest leaves VT-d off: its devices use physical addresses",
  "iommu-last":
    "q35: the destination applies the IOMMU after the PCI devices, on purpose: with VT-d on, it must refuse",
  "no-ccs": "pseries: the destination does not know walks of device trees, on purpose: it must refuse",
  json: "one JSON object a line instead of a display",
  help: "this text",
} as const;

export function helpText(): string {
  const row = (left: string, right: string) => `  ${left.padEnd(28)}${right}`;
  return [
    "The reference machine migrates while it runs: two processes, joined by loopback TCP, or TLS over it.",
    "",
    "usage: npm start -- [options]",
    "",
    ...Object.entries(numbers).map(([name, { help, unit, default: value }]) =>
      row(
        `--${name} N`,
        `${help}${unit === "" ? "" : `, ${unit}`} (${typeof value === "number" ? value : value.text})`,
      ),
    ),
    ...Object.entries(modes).map(([name, help], i) => row(i === 0 ? "--mode NAME" : "", `${name}: ${help}`)),
    row("--profile NAME", `the machine: ${profileNames.join(", ")} (${profileNames[0]})`),
    ...Object.entries(flags).map(([name, help]) => row(`--${name}`, help)),
    "",
    "Exit: 0 migrated and all evidence whole; 1 refused, failed or evidence not whole; 2 wrong use; 3 it could not begin.",
    "",
    "  npm start -- --memory 512 --dirty-rate 100",
    "  npm start -- --mode postcopy",
    "  npm start -- --mode multifd --channels 4",
    "  npm start -- --busy",
    "  npm start -- --busy --no-auto-converge",
    "  npm start -- --iommu-last",
    "  npm start -- --profile s390-ccw",
    "  npm start -- --profile pseries",
  ].join("\n");
}

/** The options, or `"help"`. Throws `UsageError`. */
export function parseOptions(args: readonly string[]): Options | "help" {
  let values: Record<string, string | boolean | undefined>;
  try {
    const options = {
      ...Object.fromEntries(Object.keys(numbers).map((name) => [name, { type: "string" as const }])),
      profile: { type: "string" as const },
      mode: { type: "string" as const },
      ...Object.fromEntries(Object.keys(flags).map((name) => [name, { type: "boolean" as const }])),
    };
    values = parseArgs({ args: [...args], options, allowPositionals: false, strict: true }).values as typeof values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  if (values["help"]) return "help";
  const number = (name: keyof typeof numbers): number => {
    const { default: value, low, high, unit }: NumberOption = numbers[name];
    const given = values[name];
    if (given === undefined && typeof value === "number") return value;
    if (given === undefined && typeof value === "object") {
      return value.of({
        memory: () => number("memory"),
        bandwidth: () => number("bandwidth"),
        busy: values["busy"] === true,
      });
    }
    const n = Number(given);
    if (!/^\d+$/.test(String(given)) || n < low || n > high) {
      throw new UsageError(
        `--${name} takes a whole number from ${low} to ${high}${unit === "" ? "" : ` (${unit})`}, not "${given}"`,
      );
    }
    return n;
  };
  const { profile = profileNames[0] } = values;
  const known = profileNames.find((name) => name === profile);
  if (known === undefined) throw new UsageError(`--profile takes one of ${profileNames.join(", ")}, not "${profile}"`);
  const { mode: moves = "precopy" } = values;
  const mode = (Object.keys(modes) as Mode[]).find((name) => name === moves);
  if (mode === undefined) throw new UsageError(`--mode takes one of ${Object.keys(modes).join(", ")}, not "${moves}"`);
  if (mode !== "multifd" && values["channels"] !== undefined)
    throw new UsageError(`--channels is for the mode multifd: ${mode} has one connection`);
  if (values["busy"] === true && number("dirty-rate") <= number("bandwidth"))
    throw new UsageError(
      `--busy is a guest that dirties more than can be sent: not ${number("dirty-rate")} MiB/s at a bandwidth of ${number("bandwidth")}`,
    );
  const iommuFlag = (["no-iommu", "iommu-last"] as const).find((name) => values[name] === true);
  if (known !== "q35" && iommuFlag !== undefined)
    throw new UsageError(`--${iommuFlag} is for the profile q35: ${known} has no IOMMU`);
  if (known !== "pseries" && values["no-ccs"] === true)
    throw new UsageError(`--no-ccs is for the profile pseries: ${known} has no connectors`);
  return {
    profile: known,
    mode,
    channels: number("channels"),
    autoConverge: values["no-auto-converge"] !== true,
    seed: number("seed"),
    memoryMiB: number("memory"),
    dirtyRateMiBps: number("dirty-rate"),
    blocksPerSecond: number("block-rate"),
    bandwidthMiBps: number("bandwidth"),
    downtimeLimitMs: number("downtime-limit"),
    useIommu: known === "q35" && values["no-iommu"] !== true,
    iommuLast: values["iommu-last"] === true,
    walksTravel: values["no-ccs"] !== true,
    json: values["json"] === true,
  };
}
