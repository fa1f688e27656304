import { decodeState, encodeState } from "@godwit/core";
import { Lamp, lamp } from "./lamp.ts";
import { emptyMachine } from "./machine.ts";

// #region bytes
const bytes = encodeState(lamp, { lit: true, brightness: 128 });
console.log(bytes.join(" "), JSON.stringify(decodeState(lamp, bytes)));
// #endregion

// #region move
const hostNow = () => BigInt(Math.round(performance.now() * 1e6));
const source = emptyMachine(hostNow);
const lampHere = new Lamp(source.kernel);
lampHere.lit = true;
lampHere.brightness = 128;

const destination = emptyMachine(hostNow);
const lampThere = new Lamp(destination.kernel);
const report = await destination.kernel.load(source.kernel.save());
console.log(lampThere.lit, lampThere.brightness, report.loadOrder.join(", "));
// #endregion

if (bytes.join() !== "1,128" || !lampThere.lit || lampThere.brightness !== 128)
  throw new Error("the lamp did not arrive");
