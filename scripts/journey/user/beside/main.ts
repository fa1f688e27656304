// A machine with a third party's plugin beside ours: saved, and loaded into another one.
import { createKernel, timerQueue, u32, virtualClock, vmstate } from "@godwit/core";
import { barrierTracker, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { register, todPlugin } from "godwit-plugin-tod";

const ramBytes = 64 * 1024;
const irqchip = vmstate({ name: "irqchip", version: 1, fields: { lines: u32 } });

function machine() {
  let memory: Uint8Array = new Uint8Array(ramBytes);
  let lines = 0;
  const clock = virtualClock(() => BigInt(Math.round(performance.now() * 1e6)));
  const timers = timerQueue(clock);
  const kernel = createKernel({ machineType: "tower-1", clock, machine: { pause() {}, resume() {}, reset() {} } });
  const { memory: guest } = kernel.use(
    ram({
      blocks: [
        ramBlock({
          idstr: "tower.ram",
          bytes: () => memory,
          adopt: (arrived) => {
            memory = arrived;
          },
          tracker: barrierTracker(ramBytes),
          map: [{ gpa: 0, offset: 0, length: ramBytes }],
        }),
      ],
    }),
  );
  kernel.device(irqchip, {
    save: () => ({ lines }),
    load: (state) => {
      lines = state.lines;
    },
  });
  const setLine = (level: boolean) => {
    lines = level ? lines | 8 : lines & ~8;
  };
  return { kernel, guest, tod: kernel.use(todPlugin({ timers, setLine, controller: "irqchip" })) };
}

const [here, there] = [machine(), machine()];
here.kernel.resume();
here.tod.write(register.time, 1000);
here.tod.write(register.alarm, 1060);
here.guest.write(4096, Uint8Array.of(1, 2, 3));
await there.kernel.load(here.kernel.save());

const plugins = there.kernel.manifest().plugins.map(({ name, version }) => `${name} ${version}`);
console.log(
  `${plugins.at(-1)}: rings at ${there.tod.read(register.alarm)}, memory ${there.guest.read(4096, 3).join("")}`,
);
