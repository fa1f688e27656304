// The checks without a test runner: of the printer, and of a device that is wrong about time.
import { pluginChecks, pluginFindings } from "@godwit/testkit";
import { printerTest } from "./test/printer-test.ts";
import { stopwatchPlugin } from "./wrong/stopwatch.ts";

// #region checks
let count = 0;
for (const check of pluginChecks(printerTest)) {
  const { findings } = await check.find();
  count += findings.length;
  console.log(check.title, ...findings.map(({ code, text }) => `\n  ${code}: ${text}`));
}
// #endregion

// #region stopwatch
const wrong = await pluginFindings({
  setup: (bench) => bench.use(stopwatchPlugin(bench.host.now)),
  sources: new URL("wrong/", import.meta.url),
  goldens: new URL("goldens/", import.meta.url),
  exercise: (watch) => watch.start(),
  without: [{ check: "goldens", because: "it will never be published" }],
});
for (const { check, code, section, path, remedy } of wrong) {
  console.log(`${check}: ${code} (${section} ${path})\n  ${remedy}`);
}
// #endregion

if (count > 0) throw new Error("the printer does not pass");
if (wrong.map(({ code }) => code).join() !== "HOST_TIME_STORED") throw new Error("host time alone was to be found");
