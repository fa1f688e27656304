// A device and a transport for tests: both write down who called them, and both have a little state.
import {
  type AnyRecord,
  type Description,
  type DeviceInit,
  encodeState,
  type KernelForPlugins,
  type StateOf,
  struct,
  u8,
  u16,
  u32,
  type View,
  virtualClock,
  vmstate,
} from "@godwit/core";
import type {
  TransportedDevice,
  VirtioDevice,
  VirtioLoadContext,
  VirtioModel,
  VirtioTransport,
  VirtioTransportDescriptions,
  Virtqueue,
} from "../../src/index.ts";

export type Calls = (string | readonly unknown[])[];

const configDescription = vmstate({ name: "test-transport", version: 1, fields: { dma: u8, tag: u32 } });
const queueDescription = vmstate({ name: "test-queue", version: 1, fields: { vector: u16 } });
const extraDescription = vmstate({ name: "test-extra", version: 1, fields: { word: u32 } });
export type TestConfig = StateOf<typeof configDescription>;
export type TestQueue = StateOf<typeof queueDescription>;
export type TestExtra = StateOf<typeof extraDescription>;

export const testTransport: VirtioTransportDescriptions<TestConfig, TestQueue, TestExtra> = {
  config: configDescription,
  queue: queueDescription,
  extraState: { description: extraDescription, needed: true, absent: { word: 0 } },
};

export class TestTransport implements VirtioTransport<TestConfig, TestQueue, TestExtra> {
  readonly descriptions = testTransport;
  readonly device: TransportedDevice;
  readonly calls: Calls;
  tag = 1;
  dma = 1;
  word = 0;
  readonly vectors: number[];

  constructor(device: TransportedDevice, calls: Calls) {
    this.device = device;
    this.calls = calls;
    this.vectors = device.queues.map(() => 0);
  }
  notifyQueue(index: number): void {
    this.calls.push(["notifyQueue", index]);
  }
  notifyConfig(): void {
    this.calls.push("notifyConfig");
  }
  updateInterrupt(): void {
    this.calls.push("transport.updateInterrupt");
  }
  reset(): void {
    this.calls.push("transport.reset");
  }
  dmaEnabled({ dma }: TestConfig): boolean {
    return dma === 1;
  }
  saveConfig(): TestConfig {
    this.calls.push("transport.saveConfig");
    return { dma: this.dma, tag: this.tag };
  }
  saveQueue(index: number): TestQueue {
    this.calls.push(["transport.saveQueue", index]);
    return { vector: this.vectors[index] as number };
  }
  saveExtraState(): TestExtra {
    this.calls.push("transport.saveExtraState");
    return { word: this.word };
  }
  loadConfig({ tag, dma }: TestConfig): void {
    this.calls.push("transport.loadConfig");
    this.tag = tag;
    this.dma = dma;
  }
  loadQueue(index: number, { vector }: TestQueue): void {
    this.calls.push(["transport.loadQueue", index]);
    this.vectors[index] = vector;
  }
  loadExtraState({ word }: TestExtra): void {
    this.calls.push("transport.loadExtraState");
    this.word = word;
  }
}

const hexOf = (value: bigint): string => `0x${value.toString(16)}`;

const modelDescription = vmstate({ name: "virtio-echo-device", version: 1, fields: { served: u32 } });
export type EchoState = StateOf<typeof modelDescription>;

/** Answers each request with its own bytes, one higher. */
export class EchoModel implements VirtioModel<EchoState, { mark: number }> {
  readonly name = "virtio-echo";
  readonly sectionVersion = 1;
  readonly minimumVersion = 1;
  readonly deviceId = 42;
  readonly description: Description<EchoState> = modelDescription;
  readonly legacySave = struct(vmstate({ name: "echo-mark", version: 1, fields: { mark: u16 } }));
  readonly features = 0b101n;
  readonly queueSizes: readonly number[];
  readonly calls: Calls;
  served = 0;
  mark = 7;
  config = Uint8Array.of(1, 2, 3, 4);
  device: VirtioDevice | undefined;

  constructor(calls: Calls, queueSizes: readonly number[] = [8, 4]) {
    this.calls = calls;
    this.queueSizes = queueSizes;
  }
  attach(device: VirtioDevice): void {
    this.device = device;
  }
  configBytes(): Uint8Array {
    return this.config;
  }
  writeConfig(offset: number, bytes: Uint8Array): void {
    this.config.set(bytes, offset);
  }
  kick(queue: Virtqueue): void {
    for (let element = queue.pop(); element !== undefined; element = queue.pop()) {
      const bytes = queue.read(element, 0, 1 << 20);
      queue.push(
        element,
        queue.write(
          element,
          0,
          bytes.map((byte) => byte + 1),
        ),
      );
      this.served++;
    }
    queue.notify();
  }
  featuresChanged(features: bigint): void {
    this.calls.push(["model.featuresChanged", hexOf(features)]);
  }
  statusChanged(status: number): void {
    this.calls.push(["model.statusChanged", status]);
  }
  reset(): void {
    this.calls.push("model.reset");
    this.served = 0;
  }
  save(): EchoState {
    this.calls.push("model.save");
    return { served: this.served };
  }
  saveLegacy(): { mark: number } {
    this.calls.push("model.saveLegacy");
    return { mark: this.mark };
  }
  load({ served }: EchoState, { legacy, lowFeatures }: VirtioLoadContext<{ mark: number }>): void {
    this.calls.push(["model.load", hexOf(BigInt(lowFeatures))]);
    this.served = served;
    this.mark = legacy.mark;
  }
  afterSubsections(_state: EchoState, _context: VirtioLoadContext<{ mark: number }>): void {
    const { features = 0n, queues = [] } = this.device ?? {};
    this.calls.push(["model.afterSubsections", hexOf(features), queues.map(({ inuse }) => inuse)]);
  }
  resumed(): void {
    this.calls.push("model.resumed");
  }
}

export interface Registered {
  readonly description: Description;
  readonly init: DeviceInit<AnyRecord>;
}

const notExpected = (): never => {
  throw new Error("only a device is expected");
};

/** A kernel that only takes a registration, so that tests can call what a kernel would. */
export function takingKernel(): { kernel: KernelForPlugins; registered: () => Registered } {
  let taken: Registered | undefined;
  const kernel: KernelForPlugins = {
    clock: virtualClock(() => 0n),
    device(description, init) {
      taken = { description, init: init as unknown as DeviceInit<AnyRecord> };
      return { idstr: `${init.path}/${description.name}`, instance: 0, sectionId: 0, remove: () => {} };
    },
    iterable: notExpected,
    kind: notExpected,
    retired: notExpected,
    split: notExpected,
    merged: notExpected,
  };
  return {
    kernel,
    registered: () => {
      if (taken === undefined) throw new Error("nothing was registered");
      return taken;
    },
  };
}

/** A view that nothing is asked of: the test's memory knows what is staged. */
export const noView: View = {
  offer() {
    throw new Error("no offer is expected");
  },
};

export function encode({ description, init }: Registered): Uint8Array {
  return encodeState(description, init.save());
}
