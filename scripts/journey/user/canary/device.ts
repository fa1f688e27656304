// What must not compile: a device that lacks what its description has, and one that puts it in the wrong place.
import { createKernel, u32, virtualClock, vmstate } from "@godwit/core";

const clockwork = vmstate({ name: "clockwork", version: 1, fields: { turns: u32 } });
const kernel = createKernel({
  machineType: "canary",
  clock: virtualClock(() => 0n),
  machine: { pause() {}, resume() {}, reset() {} },
});
const held = { turns: "" };

kernel.device(clockwork, {
  save: () => ({}), // error TS2741
  load: (state) => {
    held.turns = state.turns; // error TS2322
  },
});
