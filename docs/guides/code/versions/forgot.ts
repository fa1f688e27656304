// The mistake first: the alarm is added, and the version stays.
import { createKernel, i64, isMigrationError, timer, u8, virtualClock, vmstate } from "@godwit/core";
import { comparePublished, sideOf } from "@godwit/core/compatibility";
import { dumpOf } from "@godwit/core/tools";
import { rtcOfRelease5 } from "./history.ts";
import { rtc } from "./release-6.ts";

// #region forgot
const forgot = vmstate({ name: "rtc", version: 1, fields: { now_ns: i64, control: u8, alarm_at: timer } });
// #endregion

function computer() {
  return createKernel({
    machineType: "home-computer",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
}

// #region told
const old = computer();
old.device(rtcOfRelease5, { save: () => ({ now_ns: 7n, control: 2 }), load() {} });
const now = computer();
now.device(forgot, { save: () => ({ now_ns: 0n, control: 0, alarm_at: null }), load() {} });
let told = "";
try {
  await now.load(old.save());
} catch (error) {
  if (!isMigrationError(error)) throw error;
  told = error.message;
}
console.log(told);
// #endregion

// #region compare
const published = sideOf(dumpOf([rtcOfRelease5], "home-computer"), "release 5");
for (const tried of [forgot, rtc]) {
  const findings = comparePublished(published, sideOf(dumpOf([tried], "home-computer"), "release 6"));
  console.log(`version ${tried.version}: ${findings.length} findings`);
  for (const { code, description, says, remedy } of findings)
    console.log(`  ${code} ${description}: ${says}; ${remedy}`);
}
// #endregion

if (told === "") throw new Error("nothing was told");
