// A device or a transport that uses subsection data too early is caught, in the load that it does it in.
import { createKernel, isMigrationError, type MigrationError, virtualClock } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { feature, type TransportedDevice, type VirtioLoadContext, virtioDevice } from "../src/index.ts";
import { earlyUses, lateUses } from "./support/early.ts";
import { TestMemory } from "./support/memory.ts";
import { EchoModel, TestTransport } from "./support/parts.ts";
import { hostFeatures, packedFeatures, rig } from "./support/rig.ts";

/** A device with one request waiting, as bytes, and the guest's memory. */
function saved(offered = hostFeatures) {
  const source = rig({ parameters: { hostFeatures: offered } });
  source.start(hostFeatures);
  source.rings[0]?.add({ address: 0x6000, length: 4 });
  return { memory: source.memory, bytes: source.save(), parameters: { hostFeatures: offered } };
}

function errorOf(work: () => unknown): MigrationError {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

const late = Object.entries(lateUses);
const places = ["model.load", "transport.loadConfig", "transport.loadQueue", "transport.loadExtraState"] as const;

/** A device that does this in that place of its load. */
function doing(
  place: (typeof places)[number],
  use: (typeof lateUses)[string],
  { memory, parameters }: ReturnType<typeof saved>,
) {
  const target = rig({ memory, parameters });
  const [end, method] = place.split(".") as ["model" | "transport", string];
  const object = target[end];
  const original = Reflect.get(object, method) as (...given: unknown[]) => void;
  Object.assign(object, {
    [method]: (...given: unknown[]) => {
      use(target.device);
      Reflect.apply(original, object, given);
    },
  });
  return target;
}

describe.each(places)("in %s", (place) => {
  it.each(late)("%s is too early", (_, use) => {
    const from = saved();
    const target = doing(place, use, from);
    const { code, detail, location } = errorOf(() => target.load(from.bytes));
    expect([code, location.path]).toEqual(["VIRTIO_TOO_EARLY", "virtio"]);
    expect(detail).toMatch(/^a load asked for .*, which the subsections bring: afterSubsections has it$/);
  });

  it.each(Object.entries(earlyUses))("%s is not", (_, use) => {
    const from = saved();
    const target = doing(place, use, from);
    target.load(from.bytes);
    expect(target.calls.at(-1)).toEqual(["model.afterSubsections", "0x130000005", [0, 0]]);
  });
});

describe("a load", () => {
  it.each(late)("has %s in afterSubsections", (_, use) => {
    const from = saved(packedFeatures);
    const target = rig(from);
    let isDone = false;
    target.model.afterSubsections = () => {
      try {
        use(target.device);
      } catch (error) {
        // Nothing is taken yet that could be given back.
        expect(error).toBeInstanceOf(RangeError);
      }
      isDone = true;
    };
    target.load(from.bytes);
    expect(isDone).toBe(true);
  });

  it("gives the low features and the queues' fields in its context, and no others", () => {
    const from = saved();
    const target = rig(from);
    let seen: VirtioLoadContext<{ mark: number }> | undefined;
    target.model.load = (_, context) => {
      expect([context.lowFeatures, context.status]).toEqual([0x3000_0005, 15]);
      expect(target.device.queues.map(({ ready, size }) => [ready, size])).toEqual([
        [true, 8],
        [true, 4],
      ]);
      expect(context.queues.map(({ num, desc, last_avail_idx }) => [num, desc, last_avail_idx])).toEqual([
        [8, 0x1000n, 0],
        [4, 0x2000n, 0],
      ]);
      expect(errorOf(() => context.features).code).toBe("VIRTIO_TOO_EARLY");
      seen = context as typeof seen;
    };
    target.load(from.bytes);
    expect(seen?.features).toBe(hostFeatures);
  });

  it("may look at all features where none comes with a subsection", () => {
    const parameters = { hostFeatures: 0b101n | feature.RING_INDIRECT_DESC };
    const source = rig({ parameters });
    source.device.setFeatures(0b101n);
    const target = rig({ parameters });
    let seen = 0n;
    target.model.load = () => {
      seen = target.device.features;
    };
    target.load(source.save());
    expect(seen).toBe(0b101n);
  });

  it("that was caught leaves a device that can be loaded again", () => {
    const from = saved();
    const target = rig(from);
    const { load } = target.model;
    target.model.load = () => void target.device.features;
    expect(errorOf(() => target.load(from.bytes)).code).toBe("VIRTIO_TOO_EARLY");
    target.model.load = load;
    target.load(from.bytes);
    expect(target.device.features).toBe(hostFeatures);
  });
});

it("is told by a kernel with the section that it happened in, and the machine is as before", () => {
  const machine = (load?: (device: TransportedDevice) => void) => {
    const kernel = createKernel({
      machineType: "test",
      clock: virtualClock(() => 0n),
      machine: { pause() {}, resume() {}, reset() {} },
    });
    const model = new EchoModel([]);
    const { device } = virtioDevice({
      kernel,
      path: "0000:00:02.0",
      model,
      dma: { after: [], read: () => new Uint8Array(), write() {}, staged: () => new TestMemory() },
      parameters: { hostFeatures, dialect: "10.0" },
      transport: (to) => new TestTransport(to, []),
    });
    model.served = 3;
    const own = model.load.bind(model);
    model.load = (state, context) => {
      load?.(device);
      own(state, context);
    };
    return { kernel, model };
  };
  const bytes = machine().kernel.snapshot();
  let isFirst = true;
  const { kernel, model } = machine((device) => {
    if (!isFirst) return;
    isFirst = false;
    expect(device.littleEndian).toBe(true);
  });
  model.served = 5;
  const error = errorOf(() => kernel.restore(bytes));
  expect([error.code, error.location.section]).toEqual(["DEVICE_FAILED", "0000:00:02.0/virtio-echo/0"]);
  expect(error.cause).toMatchObject({ code: "VIRTIO_TOO_EARLY" });
  expect(model.served).toBe(5);
});
