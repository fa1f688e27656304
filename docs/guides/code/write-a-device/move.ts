// The printer moves in the middle of a word.
import { isMigrationError, stateless, unmigratable } from "@godwit/core";
import { emptyMachine } from "./machine.ts";
import { keptPaper } from "./paper.ts";
import { printerPlugin } from "./src/plugin.ts";

function expect(isRight: boolean, what: string): void {
  if (!isRight) throw new Error(what);
}

// #region move
let hostNs = 0n;
const source = emptyMachine(() => hostNs);
const paperHere = keptPaper();
const printerHere = source.kernel.use(printerPlugin({ timers: source.timers, paper: paperHere }));

source.kernel.resume();
for (const byte of new TextEncoder().encode("GODWIT")) printerHere.write(byte);
printerHere.setRibbon(1);
hostNs += 35_000_000n; // 35 ms: three bytes are due
source.timers.runDue();
const save: number[] = [];
for await (const chunk of source.kernel.save()) save.push(...chunk);

let otherNs = 864_000_000_000_000n; // a host that started ten days ago
const destination = emptyMachine(() => otherNs);
const paperThere = keptPaper();
destination.kernel.use(printerPlugin({ timers: destination.timers, paper: paperThere }));
await destination.kernel.load(Uint8Array.from(save));
console.log("here:", paperHere.text());
console.log(`now ${destination.kernel.clock.now()} ns, next strike at ${destination.timers.next()} ns`);

destination.kernel.resume();
otherNs += 30_000_000n;
destination.timers.runDue();
await destination.kernel.quiesce();
console.log("there:", paperThere.text());
// #endregion

expect(paperHere.text() === "god" && paperThere.text() === "wit", "a byte was lost, or struck twice");
expect(paperThere.isOpen(), "`ready` was not awaited");

async function outcome(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return "no error";
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    return error.message;
  }
}

// #region refuse
const small = emptyMachine(() => 0n);
small.kernel.use(printerPlugin({ timers: small.timers, paper: keptPaper(), fifoBytes: 2 }));
const refused = await outcome(() => small.kernel.load(Uint8Array.from(save)));
console.log(refused);

const narrow = emptyMachine(() => 0n);
narrow.kernel.use(printerPlugin({ timers: narrow.timers, paper: keptPaper(), columns: 3 }));
const { notes } = await narrow.kernel.load(Uint8Array.from(save));
console.log(notes.map(({ code, section, text }) => `${code} ${section}: ${text}`).join("\n"));
// #endregion

expect(refused.startsWith("DEVICE_CHECK"), refused);
expect(notes[0]?.code === "amended", "nothing was amended");

// #region nothing
const fixed = emptyMachine(() => 0n);
fixed.kernel.device(stateless("debug-port"), { save: () => ({}), load: () => {} });
fixed.kernel.device(unmigratable("host-gpu", "its memory is on the host"), { save: () => ({}), load: () => {} });
const blocked = await outcome(async () => {
  for await (const _ of fixed.kernel.save());
});
console.log(blocked);
// #endregion

expect(blocked.startsWith("DEVICE_UNMIGRATABLE"), blocked);
