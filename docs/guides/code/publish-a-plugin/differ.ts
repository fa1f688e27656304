// What users see where versions differ.

import { emptyMachine, migrate, told } from "./machine.ts";
import { first, future, grown, old } from "./releases.ts";
import { speaker } from "./src/speaker.ts";

function expect(found: string, wanted: string): void {
  if (!found.startsWith(wanted)) throw new Error(`${found} instead of ${wanted}`);
}

// #region older
const kernel = emptyMachine();
kernel.events.on("plugin-contract", ({ name, contract }, own) => {
  console.log(`warning: ${name} was built for contract ${contract}, this kernel offers ${own}`);
});
kernel.use(speaker(old, 0));
kernel.use(speaker(old, 1)); // the same plugin again: no second warning
// #endregion

// #region unaccepted
const unaccepted = told(() => String(kernel.use(speaker(future, 2))));
console.log(unaccepted);
// #endregion
expect(unaccepted, "PLUGIN_CONTRACT");

// #region two
const both = emptyMachine();
both.use(speaker(first, 0));
both.use(speaker(grown, 1));
const { plugins } = both.manifest();
console.log(plugins.map(({ name, version }) => `${name} ${version}`).join(", "));
const same = told(() => String(both.use(speaker(grown, 1))));
console.log(same);
// #endregion
expect(same, "SECTION_DUPLICATE");

// #region grown
async function between(from: typeof first, to: typeof first, beatsPerMinute: number): Promise<string> {
  const [source, destination] = [emptyMachine(), emptyMachine()];
  const here = source.use(speaker(from));
  const there = destination.use(speaker(to));
  source.resume();
  here.pitch_hz = 880;
  here.melody.beats_per_minute = beatsPerMinute;
  const outcome = await migrate(source, destination);
  return `${outcome}\n  there: ${there.pitch_hz} Hz, ${there.melody.beats_per_minute} beats per minute`;
}

const needed = await between(grown, first, 90);
const idle = await between(grown, first, 120);
const newer = await between(first, grown, 120);
console.log(`1.1.0 to 1.0.0, melody in use: ${needed}`);
console.log(`1.1.0 to 1.0.0, melody idle: ${idle}`);
console.log(`1.0.0 to 1.1.0: ${newer}`);
// #endregion

// #region absent
const [sender, without] = [emptyMachine(), emptyMachine()];
sender.use(speaker(first));
const unknown = await migrate(sender, without);
console.log(`to a machine without it: ${unknown}`);
const missing = await migrate(without, sender);
console.log(`from a machine without it: ${missing}`);
// #endregion
expect(unknown, "failed, refused before the first page");
expect(missing, "failed, refused before the first page");
expect(needed, "failed, refused before the first page");
expect(idle, "completed\n  there: 880 Hz");
expect(newer, "completed\n  there: 880 Hz, 120");
