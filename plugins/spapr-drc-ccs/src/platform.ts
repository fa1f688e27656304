// What of the section "spapr" is not the connectors': clocks, capabilities, interrupts, the firmware's tree.
import { decodeState, MigrationError } from "@godwit/core";
import type { CapabilityState } from "./sections/capabilities.ts";
import { type SpaprParameters, type SpaprState, spaprSection, spaprStandard } from "./sections/spapr.ts";

export type PlatformState = Omit<SpaprState, "pendingEvents" | "spaprccslist">;

/** The machine's own part: what it answers travels in the section beside events and walks. */
export interface Platform {
  /** Complete. Capabilities are the effective ones; `rtc_offset`, which does not travel any more, is 0. */
  save(): PlatformState;
  /**
   * Capabilities are the source's; they have been checked to be no more than the machine's own. A `rtc_offset` that is
   * not 0 is what versions 1 and 2 knew of the guest's clock: it goes to the machine's RTC.
   */
  load(state: PlatformState): void;
}

/** What a machine has that nobody asked for anything: the standard capabilities, and zeros. */
export function platformState(parameters: Partial<SpaprParameters> = {}): PlatformState {
  const description = spaprSection({ ...spaprStandard, ...parameters, ccs: false });
  const { pendingEvents: _, ...state } = decodeState(description, new Uint8Array(16));
  return state;
}

/**
 * A platform that only keeps what it is given, for machines that model none of it. Its capabilities stay its own, and an
 * older version's offset of the clock, which a machine takes over into its RTC, does not stay: there is none here.
 */
export function plainPlatform(initial: PlatformState): Platform {
  const own = capabilitiesOf(initial);
  let state = initial;
  return {
    save: () => state,
    load: (loaded) => {
      state = { ...loaded, ...own, rtc_offset: 0n };
    },
  };
}

/** `DEVICE_CHECK` where the source had more of a capability than this machine. */
export function checkCapabilities(incoming: PlatformState, own: PlatformState): void {
  const here = capabilitiesOf(own);
  for (const [key, { value }] of Object.entries(capabilitiesOf(incoming))) {
    const limit = here[key]?.value ?? 0;
    if (value <= limit) continue;
    throw new MigrationError("DEVICE_CHECK", "the source has more of a capability than this machine", {
      path: `${key}.value`,
      expected: `at most ${limit}`,
      found: String(value),
    });
  }
}

function capabilitiesOf(state: PlatformState): Readonly<Record<string, CapabilityState>> {
  const entries = Object.entries(state).filter(([key]) => key.startsWith("cap"));
  return Object.fromEntries(entries) as unknown as Readonly<Record<string, CapabilityState>>;
}
