// Saves, loads and migrates: `bun examples/main.ts`, `deno run -A examples/main.ts`, `node examples/main.ts` (22.18 on).
import { register } from "../src/index.ts";
import { machine } from "./machine.ts";
import { migrate } from "./migrate.ts";

const hostNow = () => BigInt(Math.round(performance.now() * 1e6));

const source = machine(hostNow);
source.device.write(register.time, 1000);
source.device.write(register.alarm, 1060);
source.kernel.resume();

const loaded = machine(hostNow);
await loaded.kernel.load(source.kernel.save());
console.log(`loaded: rings at ${loaded.device.read(register.alarm)}`);

const destination = machine(hostNow);
await migrate(source, destination);
console.log(
  `migrated: rings at ${destination.device.read(register.alarm)}, the source runs: ${source.kernel.clock.running}`,
);
