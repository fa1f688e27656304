import { isMigrationError } from "@godwit/core";
import { computers, releases, saveOf } from "../../../../packages/core/examples/releases/golden.ts";
import { computer6 } from "./release-6.ts";
import { goldenSave } from "./saves.ts";

const hostNow = () => 0n;

// #region upgrade
for (const from of releases) {
  const computer = computer6(hostNow);
  await computer.kernel.load(goldenSave(from));
  const { rtc, uart, input } = computer;
  console.log(
    `save of ${from}: clock ${rtc.now_ns}, alarm ${rtc.alarm_at}, fifo ${uart.fifo.count}, latch ${input.latch}`,
  );
  if (rtc.alarm_at !== null || uart.fifo.count !== 0 || input.latch !== 5) throw new Error("a value is wrong");
}
// #endregion

// #region back
const present = computer6(hostNow);
present.uart.fifo.bytes = Uint8Array.of(1, 2);
present.uart.fifo.count = 2;
present.rtc.alarm_at = 60_000_000_000n;
const save = await saveOf(present);

const again = computer6(hostNow);
await again.kernel.load(save);
console.log(`release 6: alarm ${again.rtc.alarm_at}, fifo ${again.uart.fifo.bytes.join(" ")}`);

let refused = "";
try {
  await computers[5]().kernel.load(save);
} catch (error) {
  if (!isMigrationError(error)) throw error;
  refused = error.message;
}
console.log(`release 5: ${refused}`);
// #endregion

if (again.rtc.alarm_at !== 60_000_000_000n || again.uart.fifo.bytes.join() !== "1,2" || refused === "") {
  throw new Error("release 6 does not keep its state");
}
