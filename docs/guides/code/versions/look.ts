import { readManifest } from "@godwit/core/stream";
import { computers } from "../../../../packages/core/examples/releases/golden.ts";
import { goldenSave } from "./saves.ts";

// #region look
const save = goldenSave(2);
const manifest = readManifest(save);
console.log(manifest?.producer?.name, manifest?.producer?.version);
for (const { idstr, version, subsections } of manifest?.sections ?? []) {
  console.log(`  ${idstr} version ${version} ${subsections.join(" ")}`.trimEnd());
}

const computer = computers[5]();
const report = await computer.kernel.load(save);
for (const { code, section, text } of report.notes) console.log(`${section}: ${code} ${text}`);
const { rtc, uart, audio } = computer;
console.log(`clock ${rtc.now_ns}, timeout ${uart.timeout.ticks}, right volume ${audio.mixer.right.join(" ")}`);
// #endregion

if (computer.rtc.now_ns !== 1_000_000_002_000_000_000n || computer.uart.timeout.ticks !== 40) {
  throw new Error("a value did not arrive");
}
