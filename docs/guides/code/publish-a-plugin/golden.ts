// What the golden files say to four changes of the wire.
import process from "node:process";
import { pluginFindings } from "@godwit/testkit";
import { first, grown } from "./releases.ts";
import { type SpeakerRelease, speaker } from "./src/speaker.ts";

// Whoever writes golden files elsewhere must not get these changes recorded.
delete process.env["GODWIT_GOLDENS"];

// #region golden
async function codes(release: SpeakerRelease): Promise<string> {
  const findings = await pluginFindings({
    setup: (bench) => bench.use(speaker(release)),
    goldens: new URL("goldens/", import.meta.url), // 1.0.0.json is in it
    sources: new URL("src/", import.meta.url),
    exercise: (device, random) => {
      device.pitch_hz = 100 + random.int(1000);
      device.melody.beats_per_minute = release.state === "grown" ? 90 : 120;
    },
  });
  const found = findings.filter(({ check }) => check === "goldens").map(({ code }) => code);
  return found.length === 0 ? "nothing to say" : [...new Set(found)].join(", ");
}

const tried: Record<string, SpeakerRelease> = {
  "nothing has changed": first,
  "a subsection, 1.0.1": { ...grown, version: "1.0.1" },
  "a subsection, 1.1.0": grown,
  "a field and no version of its own, 1.1.0": { ...first, version: "1.1.0", state: "careless" },
  "a field since version 2, 1.1.0": { ...first, version: "1.1.0", state: "careful" },
};
for (const [change, release] of Object.entries(tried)) console.log(`${change}: ${await codes(release)}`);
// #endregion

const wanted = ["nothing to say", "WIRE_CHANGED", "GOLDEN_MISSING", "GOLDEN_UNREADABLE, WIRE_BROKEN", "GOLDEN_MISSING"];
for (const [at, release] of Object.values(tried).entries()) {
  const found = await codes(release);
  if (found !== wanted[at]) throw new Error(`${found} instead of ${wanted[at]}`);
}
