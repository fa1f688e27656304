// A wired test device with a driver's view of it: what negotiation leaves behind, and its rings in memory.
import { type AnyRecord, type CheckResult, decodeState } from "@godwit/core";
import { feature, status, type VirtioParameters, virtioDevice } from "../../src/index.ts";
import { DriverRing } from "./driver-ring.ts";
import { TestMemory } from "./memory.ts";
import { PackedDriver } from "./packed-driver.ts";
import { type Calls, EchoModel, encode, noView, TestTransport, takingKernel } from "./parts.ts";

export const hostFeatures = feature.VERSION_1 | feature.RING_INDIRECT_DESC | feature.RING_EVENT_IDX | 0b101n;

export interface RigOptions {
  readonly memory?: TestMemory;
  readonly parameters?: Partial<VirtioParameters>;
  readonly queueSizes?: readonly number[];
  readonly requiredFeatures?: bigint;
  /** What the model has as configuration space. */
  readonly config?: EchoModel["config"];
  readonly cpuEndian?: () => "little" | "big";
  /** Byte order that the driver writes its split rings in. */
  readonly driverLittleEndian?: boolean;
}

export const packedFeatures = hostFeatures | feature.RING_PACKED;

export function rig(options: RigOptions = {}) {
  const { memory = new TestMemory(), parameters = {}, queueSizes = [8, 4], requiredFeatures = 0n } = options;
  const { config, cpuEndian, driverLittleEndian = true } = options;
  const calls: Calls = [];
  const model = new EchoModel(calls, queueSizes);
  if (config !== undefined) model.config = config;
  const { kernel, registered } = takingKernel();
  const wired = virtioDevice({
    kernel,
    path: "0000:00:02.0",
    model,
    dma: memory,
    parameters: { hostFeatures, dialect: "10.0", ...parameters },
    requiredFeatures,
    ...(cpuEndian === undefined ? {} : { cpuEndian }),
    transport: (device) => new TestTransport(device, calls),
  });
  const { device, transport, registration } = wired;
  const rings = queueSizes.map((num, i) => new DriverRing(memory, 0x1000 * (i + 1), num, driverLittleEndian));
  const packedRings = queueSizes.map((num, i) => new PackedDriver(memory, 0x1000 * (i + 1), num));
  return {
    ...wired,
    calls,
    model,
    memory,
    rings,
    packedRings,
    device,
    transport,
    registration,
    registered,
    /** What a driver does before its first request. */
    start(features = hostFeatures): void {
      device.setStatus(status.ACKNOWLEDGE | status.DRIVER);
      device.setFeatures(features);
      device.setStatus(device.status | status.FEATURES_OK);
      const isPacked = (features & feature.RING_PACKED) !== 0n;
      (isPacked ? packedRings : rings).forEach(({ addresses: { desc, avail, used } }, i) => {
        device.setRings(i, desc, avail, used);
      });
      device.setStatus(device.status | status.DRIVER_OK);
      calls.length = 0;
    },
    /** What a kernel does once the machine runs. */
    resume: (): void => registered().init.resumed?.(),
    save: (): Uint8Array => encode(registered()),
    state: (): AnyRecord => registered().init.save(),
    check: (state: AnyRecord): CheckResult<AnyRecord> => registered().init.check?.(state, noView),
    /** What a kernel does with a section. */
    load(bytes: Uint8Array): string | undefined {
      const { description, init } = registered();
      const state = decodeState(description, bytes);
      const answer = init.check?.(state as AnyRecord, noView);
      if (answer !== undefined && "missing" in answer) throw new Error("nothing is missing here");
      init.load((answer?.amended ?? state) as AnyRecord);
      return answer?.note;
    },
  };
}
