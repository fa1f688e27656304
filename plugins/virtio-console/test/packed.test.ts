// Packed rings: a control message whose answers found no room, and output half taken, go on where they arrive.
import { decodeState, isMigrationError } from "@godwit/core";
import { feature } from "@godwit/virtio-core";
import { machine, PackedDriver, pciMachine, sectionOf } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioConsole } from "../src/model.ts";
import { virtioConsolePci, virtioConsolePciFamily } from "../src/pci.ts";
import type { VirtioSerialState } from "../src/serial-state.ts";
import { bytesOf, terminal } from "./support/serial-driver.ts";

const slot = "00:05.0";
const ringFeatures = feature.RING_PACKED | feature.RING_INDIRECT_DESC;

describe("packed rings", () => {
  it("keep a message that is half answered, and output that is half taken", async () => {
    const make = (space?: number) => {
      const end = terminal({ id: 1, name: "t", ...(space === undefined ? {} : { space }) });
      const made = pciMachine((wiring) =>
        virtioConsolePci({ slot, ...wiring, maxPorts: 2, queueSize: 8, ports: [end], ringFeatures }),
      );
      return { end, made };
    };
    const { end, made: here } = make(4);
    const driver = new PackedDriver<typeof here>(here);
    const put = (bytes: Uint8Array): { at: number; length: number } => {
      const at = driver.allocate(bytes.length);
      driver.machine.ram.set(bytes, at);
      return { at, length: bytes.length };
    };
    /** A message in two descriptors. */
    const tell = (port: number, event: number, value: number): number => {
      const view = new DataView(new ArrayBuffer(8));
      view.setInt32(0, port, true);
      view.setUint16(4, event, true);
      view.setUint16(6, value, true);
      const id = driver.ring(3).add([put(new Uint8Array(view.buffer, 0, 4)), put(new Uint8Array(view.buffer, 4))], []);
      driver.ring(3).kick();
      return id;
    };
    const heard = new Map<number, number>();
    const listen = (): void => {
      const at = driver.allocate(32);
      heard.set(driver.ring(2).add([], [{ at, length: 32 }]), at);
      driver.ring(2).kick();
    };
    const events = () =>
      driver
        .ring(2)
        .reap()
        .map(({ head }) => driver.view.getUint16((heard.get(head) as number) + 4, true));
    listen();
    const ready = tell(-1, 0, 1);
    // The port is told of (event 1).
    expect([driver.ring(3).reap(), events()]).toEqual([[{ head: ready, length: 0 }], [1]]);
    tell(1, 6, 1);
    expect(driver.ring(3).reap()).toHaveLength(1);
    const half = tell(1, 3, 1);
    expect(driver.ring(3).reap()).toEqual([]);
    const output = driver.ring(5).add([put(bytesOf("abc")), put(bytesOf("defg"))], []);
    driver.ring(5).kick();
    expect([end.taken, driver.ring(5).reap()]).toEqual(["abcd", []]);
    here.kernel.pause();
    const stream = await here.save();

    const sample = sectionOf(stream, `0000:${slot}/virtio-console`);
    const state = decodeState(virtioConsolePciFamily.build(virtioConsolePciFamily.infer(sample)), sample.bytes);
    expect(state.legacy.ports).toMatchObject([
      { id: 1, elem_popped: 1, iov_idx: 1, iov_offset: 1, element: { index: output, ndescs: 2 } },
    ]);
    expect(output).toBeGreaterThanOrEqual(8);
    const { made: there, end: next } = make();
    there.kernel.pause();
    await there.kernel.load(stream);
    driver.machine = there;
    there.kernel.resume();
    expect([next.taken, driver.ring(5).reap()]).toEqual(["efg", [{ head: output, length: 0 }]]);
    // Name (7) and open (6) are the answers.
    expect(driver.ring(3).reap()).toEqual([]);
    for (let i = 0; i < 4; i++) listen();
    expect(driver.ring(3).reap()).toEqual([{ head: half, length: 0 }]);
    expect(events()).toEqual([7, 6]);
    // More than a lap.
    for (let i = 0; i < 9; i++) {
      const id = tell(1, 6, i % 2);
      expect(driver.ring(3).reap()).toEqual([{ head: id, length: 0 }]);
    }
  });

  describe("with output that cannot be half taken", () => {
    const make = (space: number) => {
      const end = terminal({ id: 0, space });
      return virtioConsole({ ports: [end], maxPorts: 1, queueSize: 8, packed: true });
    };
    const load = (change: (element: { index: number; ndescs?: number }) => void): unknown => {
      const model = make(1);
      const from = machine(model, undefined, ringFeatures);
      const driver = new PackedDriver(from);
      const at = driver.allocate(4);
      driver.ring(1).add([{ at, length: 4 }], []);
      driver.ring(1).kick();
      const save = model.saveLegacy?.bind(model) as () => VirtioSerialState;
      model.saveLegacy = () => {
        const state = save();
        for (const { element } of state.ports) change(element);
        return state;
      };
      const to = machine(make(9), undefined, ringFeatures);
      to.ram.set(from.ram);
      try {
        to.load(from.save());
      } catch (error) {
        if (isMigrationError(error)) return [error.code, error.location.path, error.found];
        throw error;
      }
      to.resume();
      return to.device.failure;
    };

    it("is refused, or breaks the device", () => {
      expect(load(() => {})).toBeUndefined();
      const refusal = (found: string) => ["DEVICE_CHECK", "legacy.ports[0].element", found];
      expect(load((element) => Object.assign(element, { index: 0x1_0000 }))).toEqual(refusal("65536"));
      expect(load((element) => Object.assign(element, { ndescs: 0 }))).toEqual(refusal("0"));
      expect(load((element) => Object.assign(element, { ndescs: 9 }))).toEqual(refusal("9"));
      expect(load((element) => Object.assign(element, { ndescs: 2 }))).toBe(
        "virtio-console: half-taken output of port 0, whose ring has none taken",
      );
    });
  });
});
