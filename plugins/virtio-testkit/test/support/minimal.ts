// The least device that is one: it answers each request with its own bytes, one higher, counts them, and can be told to
// leave requests in the ring, or to keep the next one.
import { type Field, type StateOf, struct, u32, vmstate } from "@godwit/core";
import { elementBlob, type VirtioDevice, type VirtioModel, type VirtqueueElement } from "@godwit/virtio-core";

const description = vmstate({ name: "virtio-minimal-device", version: 1, fields: { served: u32 } });
type MinimalState = StateOf<typeof description>;

export interface Minimal extends VirtioModel<MinimalState, { kept: VirtqueueElement }> {
  /** The next requests are taken, and the last of them not answered. */
  keeping: boolean;
}

const nothing: VirtqueueElement = { index: 0, out: [], in: [] };
const legacySave = struct(vmstate({ name: "minimal-kept", version: 1, fields: { kept: elementBlob } })) as Field<{
  kept: VirtqueueElement;
}>;

/** Of a kind that has a legacy PCI device id, too. */
export function minimal(): Minimal {
  let device: VirtioDevice | undefined;
  let served = 0;
  let kept = nothing;
  const config = new Uint8Array(8);
  const model: Minimal = {
    name: "virtio-minimal",
    sectionVersion: 1,
    minimumVersion: 1,
    deviceId: 9,
    description,
    legacySave,
    features: 0b101n,
    queueSizes: [16, 16],
    keeping: false,
    attach(to) {
      device = to;
    },
    configBytes: () => config,
    writeConfig: (offset, bytes) => config.set(bytes, offset),
    kick(queue) {
      for (let element = queue.pop(); element !== undefined; element = queue.pop()) {
        if (model.keeping && kept === nothing) {
          kept = { index: element.index, out: element.out, in: element.in };
          continue;
        }
        queue.push(
          element,
          queue.write(
            element,
            0,
            queue.read(element, 0, 4096).map((byte) => byte + 1),
          ),
        );
        served++;
      }
      queue.notify();
      if (served > 3) device?.configChanged();
    },
    reset() {
      served = 0;
      kept = nothing;
    },
    save: () => ({ served }),
    saveLegacy: () => ({ kept }),
    load(state, { legacy }) {
      served = state.served;
      kept = legacy.kept;
    },
  };
  return model;
}
