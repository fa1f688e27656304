// The same machine on hosts whose clocks are ten days apart, and whose chance is another: its save must be the same.
import { sourceTimes } from "../../clocks/cuts.ts";
import { differences, type Save } from "../../clocks/differences.ts";
import type { HostTimes } from "../../clocks/host.ts";
import type { CheckFunction } from "../check.ts";
import type { Findings, PluginCode } from "../findings.ts";
import { type HostGlobals, withGlobals } from "../globals.ts";
import { type Lab, loadInto, saveWith } from "../lab.ts";

interface Host {
  readonly times: HostTimes;
  readonly globals: HostGlobals;
}

interface Other extends Host {
  readonly code: PluginCode;
  /** What is another there. */
  readonly what: string;
  /** Wall time is shifted: fields that hold it because they mean it differ. */
  readonly isWall?: true;
}

const tenDaysNs = 864_000_123_456_789n;
const tenDaysMs = 864_000_123;
const { now, wallNow } = sourceTimes;
const globals: HostGlobals = { timeMs: Number(wallNow / 1_000_000n), seed: 1 };
const here: Host = { times: sourceTimes, globals };
const later = { now: now + tenDaysNs, wallNow: wallNow + tenDaysNs };

const others: readonly Other[] = [
  { code: "NOT_DETERMINISTIC", what: "nothing: the two hosts are the same", ...here },
  { code: "HOST_TIME_STORED", what: "the monotonic clock", times: { now: later.now, wallNow }, globals },
  { code: "HOST_TIME_STORED", what: "the wall clock", times: { now, wallNow: later.wallNow }, globals, isWall: true },
  {
    code: "HOST_TIME_STORED",
    what: "what Date, performance and process.hrtime show",
    times: sourceTimes,
    globals: { ...globals, timeMs: globals.timeMs + tenDaysMs },
  },
  {
    code: "CHANCE_STORED",
    what: "what Math.random and crypto give",
    times: sourceTimes,
    globals: { ...globals, seed: 2 },
  },
];

export const hostsCheck: CheckFunction = async (lab, findings) => {
  const save = await savedOn(lab, findings, here);
  if (save === undefined) return undefined;
  for (const other of others) {
    const found = await savedOn(lab, findings, other);
    tell(lab, findings, save, found, other, "saved");
    // What differs where nothing does says nothing about two hosts.
    if (findings.has("NOT_DETERMINISTIC")) return undefined;
  }
  const loaded = await loadedOn(lab, findings, save, here);
  for (const other of others)
    tell(lab, findings, loaded, await loadedOn(lab, findings, save, other), other, "saved after a load");
  return undefined;
};

function savedOn<M>(lab: Lab<M>, findings: Findings, { times, globals }: Host): Promise<Save | undefined> {
  return withGlobals(globals, async () => {
    const made = await lab.exercised(lab.seed, { times });
    return saveWith(findings, made, "after `exercise`");
  });
}

function loadedOn<M>(
  lab: Lab<M>,
  findings: Findings,
  { bytes }: Save,
  { times, globals }: Host,
): Promise<Save | undefined> {
  return withGlobals(globals, async () => {
    const made = lab.make({ times });
    const outcome = await loadInto(made, bytes);
    // A real save that is not loaded is what `saves` tells.
    return outcome.is === "loaded" ? saveWith(findings, made, "loaded") : undefined;
  });
}

function tell<M>(
  { test: { wallFields = [] } }: Lab<M>,
  findings: Findings,
  save: Save | undefined,
  other: Save | undefined,
  { code, what, isWall }: Other,
  when: string,
): void {
  if (save === undefined || other === undefined) return;
  for (const { section, path, values } of differences(save, other)) {
    const place = `${section} ${path ?? ""}`;
    const isMeant = wallFields.some(
      (one) => place === one || place.startsWith(`${one}.`) || place.startsWith(`${one}[`),
    );
    if (isWall && isMeant) continue;
    const how = values === undefined ? "" : `, ${values[0]} and ${values[1]}`;
    findings.add(code, {
      section,
      path,
      text: `${when} on two hosts, it differs${how}; what differs between them is ${what}`,
    });
  }
}
