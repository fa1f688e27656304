import { type KernelForPlugins, type StateOf, u32, vmstate } from "@godwit/core";
import { type Dma, feature, noData, type VirtioModel, type VirtioTransport, virtioDevice } from "@godwit/virtio-core";

const echoState = vmstate({ name: "virtio-echo-device", version: 1, fields: { served: u32 } });

/** Gives back what it is sent. */
export function echo(): VirtioModel<StateOf<typeof echoState>> {
  let served = 0;
  return {
    name: "virtio-echo",
    sectionVersion: 1,
    minimumVersion: 1,
    deviceId: 42,
    description: echoState,
    features: 0n,
    queueSizes: [128],
    configBytes: () => new Uint8Array(0),
    kick(queue) {
      for (let element = queue.pop(); element; element = queue.pop()) {
        queue.push(element, queue.write(element, 0, queue.read(element, 0, 4096)));
        served++;
      }
      queue.notify();
    },
    reset() {
      served = 0;
    },
    save: () => ({ served }),
    load: (state) => {
      served = state.served;
    },
  };
}

/** A transport that has nothing but an interrupt. `@godwit/virtio-pci` and `@godwit/virtio-ccw` are the real ones. */
function bareTransport(interrupt: () => void): VirtioTransport<object, object, object> {
  return {
    descriptions: { config: noData, queue: noData },
    notifyQueue: interrupt,
    notifyConfig: interrupt,
    updateInterrupt() {},
    reset() {},
    dmaEnabled: () => true,
    saveConfig: () => ({}),
    saveQueue: () => ({}),
    saveExtraState: () => ({}),
    loadConfig() {},
    loadQueue() {},
    loadExtraState() {},
  };
}

/** Registers the section `bare0/virtio-echo`. Drivers may take split rings or packed ones. */
export function plugEcho(kernel: KernelForPlugins, dma: Dma, interrupt: () => void) {
  const { device } = virtioDevice({
    kernel,
    path: "bare0",
    model: echo(),
    dma,
    parameters: { hostFeatures: feature.VERSION_1 | feature.RING_PACKED, dialect: "10.0" },
    transport: () => bareTransport(interrupt),
  });
  return device;
}
