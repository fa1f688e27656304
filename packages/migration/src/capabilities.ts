// QEMU's migration capabilities, and which of them go together: a table, looked through whole before anything begins.
import { migrationError } from "./codes.ts";
import type { MigrationParameters } from "./parameters.ts";

/** All are off unless they are asked for, as in QEMU. */
export interface Capabilities {
  /** The source slows the guest down when it dirties memory too fast. */
  readonly "auto-converge": boolean;
  /** From the second round on, pages go as what has changed in them. */
  readonly xbzrle: boolean;
  /** Pages go over connections of their own. */
  readonly multifd: boolean;
  /** The machine may run at the destination before all of its pages are there. */
  readonly "postcopy-ram": boolean;
  /** Pages that somebody waits for go over a connection of their own. */
  readonly "postcopy-preempt": boolean;
  /** The source stops in `pre-switchover`, the machine standing, until it is told to go on. */
  readonly "pause-before-switchover": boolean;
}

export type Capability = keyof Capabilities;

export const capabilityNames: readonly Capability[] = [
  "auto-converge",
  "xbzrle",
  "multifd",
  "postcopy-ram",
  "postcopy-preempt",
  "pause-before-switchover",
];

/** What the program around the engine has to offer, for capabilities that need it. */
export interface CapabilityHost {
  /** The option `ram` is there. */
  readonly ram: boolean;
  /** The machine has `throttle`. */
  readonly throttle: boolean;
  /** The option `sendOver` is there. */
  readonly sendOver: boolean;
}

interface CapabilityRule {
  readonly capability: Capability;
  /** Refused together with this one. */
  readonly excludes?: Capability;
  /** Refused without this one. */
  readonly requires?: Capability;
  /** Refused without this of the host; `on` limits the rule to one side. */
  readonly needs?: keyof CapabilityHost;
  readonly on?: "source" | "destination";
  readonly why: string;
}

export const capabilityRules: readonly CapabilityRule[] = [
  {
    capability: "multifd",
    excludes: "xbzrle",
    why: "a delta is of the page that went before it, and channels keep no order between them",
  },
  {
    capability: "multifd",
    excludes: "postcopy-ram",
    why: "pages that are asked for go by the main connection, and could be overtaken by older ones",
  },
  { capability: "postcopy-preempt", requires: "postcopy-ram", why: "it is a part of it" },
  { capability: "auto-converge", needs: "throttle", on: "source", why: "the machine must have throttle" },
  { capability: "xbzrle", needs: "ram", on: "source", why: "the option ram must be given" },
  { capability: "multifd", needs: "ram", why: "the option ram must be given" },
  { capability: "multifd", needs: "sendOver", on: "source", why: "the option sendOver must be given" },
  { capability: "postcopy-ram", needs: "ram", why: "the option ram must be given" },
];

/**
 * All capabilities, those given switched on or off. `OPTION_INVALID` for a name or value that is none;
 * `CAPABILITY_CONFLICT` lists every rule that is broken.
 */
export function checkedCapabilities(
  given: Partial<Capabilities> = {},
  host: CapabilityHost,
  side: "source" | "destination",
): Capabilities {
  const strange = Object.entries(given).filter(
    ([name, value]) => !(capabilityNames as readonly string[]).includes(name) || !isFlag(value),
  );
  if (strange.length > 0) {
    throw migrationError("OPTION_INVALID", "a capability is one of those that are known, true or false", {
      side: "define",
      path: strange.map(([name]) => name).join(", "),
      expected: `${capabilityNames.join(", ")}: true or false`,
      found: strange.map(([name, value]) => `${name}: ${String(value)}`).join(", "),
    });
  }
  const chosen = Object.fromEntries(capabilityNames.map((name) => [name, given[name] === true]));
  const all = chosen as unknown as Capabilities;
  const broken = capabilityRules.filter((rule) => isBroken(rule, all, host, side)).map(formatRule);
  if (broken.length === 0) return Object.freeze(all);
  throw migrationError("CAPABILITY_CONFLICT", broken.join("; "), {
    side: "define",
    found: capabilityNames.filter((name) => all[name]).join(", "),
  });
}

function isFlag(value: unknown): boolean {
  return value === undefined || typeof value === "boolean";
}

function isBroken(rule: CapabilityRule, all: Capabilities, host: CapabilityHost, side: string): boolean {
  if (!all[rule.capability] || (rule.on !== undefined && rule.on !== side)) return false;
  if (rule.excludes !== undefined && all[rule.excludes]) return true;
  if (rule.requires !== undefined && !all[rule.requires]) return true;
  return rule.needs !== undefined && !host[rule.needs];
}

function formatRule({ capability, excludes, requires, why }: CapabilityRule): string {
  if (excludes !== undefined) return `${capability} does not go with ${excludes}: ${why}`;
  if (requires !== undefined) return `${capability} requires ${requires}: ${why}`;
  return `${capability}: ${why}`;
}

/** What both sides must do alike, in words that are compared: capabilities that change what travels, and how. */
export type AgreedModes = Readonly<Record<string, string>>;

export function agreedModes(all: Capabilities, parameters: MigrationParameters): AgreedModes {
  return {
    ...(all.multifd && {
      multifd: `${parameters["multifd-channels"]} channels, compression ${parameters["multifd-compression"]}`,
    }),
    ...(all["postcopy-ram"] && { "postcopy-ram": "on" }),
    ...(all["postcopy-preempt"] && { "postcopy-preempt": "on" }),
  };
}
