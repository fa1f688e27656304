// A device for tests: answers each request with its own bytes, one higher, and counts.
import { type StateOf, u32, vmstate } from "@godwit/core";
import type { VirtioClass, VirtioDevice, VirtioModel } from "@godwit/virtio-core";

const description = vmstate({ name: "virtio-echo-device", version: 1, fields: { served: u32 } });
export type EchoState = StateOf<typeof description>;

export interface Echo extends VirtioModel<EchoState> {
  served: number;
  readonly device: VirtioDevice;
  readonly config: Uint8Array;
}

const deviceId = 30;

export const echoClass: VirtioClass<Record<never, never>, EchoState> = {
  name: "virtio-echo",
  version: 1,
  minimumVersion: 1,
  deviceId,
  description: () => description,
  infer: () => ({}),
};

export function echo(queueSizes: readonly number[] = [8, 4]): Echo {
  let device: VirtioDevice | undefined;
  const config = Uint8Array.of(0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88);
  const model: Echo = {
    name: "virtio-echo",
    sectionVersion: 1,
    minimumVersion: 1,
    deviceId,
    description,
    features: 0b101n,
    queueSizes,
    served: 0,
    config,
    get device() {
      if (device === undefined) throw new Error("the device is not wired");
      return device;
    },
    attach(to) {
      device = to;
    },
    configBytes: () => config,
    writeConfig: (offset, bytes) => config.set(bytes, offset),
    kick(queue) {
      const before = model.served;
      for (let element = queue.pop(); element !== undefined; element = queue.pop()) {
        const answer = queue.read(element, 0, 4096).map((byte) => byte + 1);
        queue.push(element, queue.write(element, 0, answer));
        model.served++;
      }
      if (model.served > before) queue.notify();
    },
    reset() {
      model.served = 0;
    },
    save: () => ({ served: model.served }),
    load(state) {
      model.served = state.served;
    },
  };
  return model;
}
