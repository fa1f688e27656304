// The least transport that is one: no registers and no interrupts, only what it has to save.
import { readFileSync } from "node:fs";
import { type Plugin, type StateOf, u16, u32, vmstate } from "@godwit/core";
import {
  type Dma,
  feature,
  type TransportedDevice,
  type VirtioModel,
  type VirtioTransport,
  virtioDevice,
} from "@godwit/virtio-core";

const config = vmstate({ name: "(plain config)", version: 1, fields: { tag: u32 } });
const queue = vmstate({ name: "(plain queue)", version: 1, fields: { vector: u16 } });
const extra = vmstate({ name: "(plain extra)", version: 1, fields: { word: u32 } });
type Plain = VirtioTransport<StateOf<typeof config>, StateOf<typeof queue>, StateOf<typeof extra>>;

export interface PlainOffer {
  readonly device: TransportedDevice;
  /** Its own state: interrupts of each queue, and a word that a guest may set. */
  readonly own: { tag: number; word: number; readonly interrupts: Uint16Array };
}

const manifest = new URL("../../../virtio-core/package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };

/** What a plugin of `@godwit/virtio-core` alone is: a device and its transport in one. */
export function plainDevice<S, L>(dma: Dma, model: VirtioModel<S, L>, packed: boolean): Plugin<PlainOffer> {
  return {
    name: "@godwit/virtio-core",
    version,
    contract: 2,
    setup(kernel) {
      const own = { tag: 1, word: 0, interrupts: new Uint16Array(model.queueSizes.length) };
      const transport: Plain = {
        descriptions: { config, queue, extraState: { description: extra, needed: true, absent: { word: 0 } } },
        notifyQueue: (index) => void own.interrupts.set([(own.interrupts[index] as number) + 1], index),
        notifyConfig: () => void own.tag++,
        updateInterrupt() {},
        reset: () => void own.interrupts.fill(0),
        dmaEnabled: () => true,
        saveConfig: () => ({ tag: own.tag }),
        saveQueue: (index) => ({ vector: own.interrupts[index] as number }),
        saveExtraState: () => ({ word: own.word }),
        loadConfig: (state) => void Object.assign(own, state),
        loadQueue: (index, { vector }) => own.interrupts.set([vector], index),
        loadExtraState: (state) => void Object.assign(own, state),
      };
      const ring = feature.VERSION_1 | feature.RING_INDIRECT_DESC | feature.RING_EVENT_IDX;
      const { device } = virtioDevice({
        kernel,
        path: "plain",
        model,
        dma,
        parameters: { hostFeatures: model.features | ring | (packed ? feature.RING_PACKED : 0n), dialect: "10.0" },
        transport: () => transport,
      });
      return { device, own };
    },
  };
}
