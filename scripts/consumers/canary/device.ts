// What must not compile. Each line that ends in `error TSn` has exactly that error (`TSn or TSm`: one of them), and no
// other line has one.
import { createKernel, type Plugin, type StateOf, u8, virtualClock, vmstate } from "@godwit/core";
import { Body } from "@godwit/core/dist/vmstate/nodes/body.js"; // error TS2307
import { capture, u64 } from "@godwit/core/vmstate";
import { vtdIommu } from "@godwit/iommu-vtd";
import { incomingMigration } from "@godwit/migration";

const device = vmstate({ name: "device", version: 1, fields: { control: u8, deadline: u64 } });

class Forgetful {
  control = 0;
}

const kernel = createKernel({
  machineType: "canary",
  clock: virtualClock(() => 0n),
  machine: { pause() {}, resume() {}, reset() {} },
});
const forgetful = new Forgetful();
kernel.device(device, {
  save: () => forgetful, // error TS2741
  load: (state) => {
    forgetful.control = state.deadline; // error TS2322
  },
});

export const captured = capture(device, forgetful); // error TS2345 or TS2741

const dictionary: Record<string, StateOf<typeof device>> = {};
export const unchecked: StateOf<typeof device> = dictionary["device"]; // error TS2322
export const absent: { readonly instance?: number } = { instance: undefined }; // error TS2375
kernel.use(vtdIommu({ memory: undefined })); // error TS2322
export const body = new Body();
incomingMigration({ machine: kernel, accept: async () => 1 }); // error TS2322
export const plugin: Plugin<number> = { name: "p", version: "1", setup: () => 1 }; // error TS2741
