// The device moves in the middle of its work: output that is half taken, messages that are half answered, ports that are
// open on one side only.
import { isMigrationError } from "@godwit/core";
import { machine, move } from "@godwit/virtio-testkit";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type VirtioConsoleOptions, virtioConsole } from "../src/model.ts";
import type { SerialPortState, VirtioSerialState } from "../src/serial-state.ts";
import { bytesOf, SerialDriver, terminal } from "./support/serial-driver.ts";

describe("a move", () => {
  it("goes on with half-taken output at the very byte", async () => {
    const [here, there] = [terminal({ id: 1, space: 5 }), terminal({ id: 1 })];
    const driver = new SerialDriver(machine(virtioConsole({ ports: [here] })));
    driver.open(1);
    const heads = [driver.write(1, "abc", "def"), driver.write(1, "ghi")];
    await driver.machine.quiesce();
    const model = virtioConsole({ ports: [there] });
    const to = machine(model);
    move(driver, to);
    expect([here.taken, there.taken, there.log]).toEqual(["abcde", "fghi", ["open", "room"]]);
    expect(driver.written(1)).toEqual(heads);
    expect(model.ports[0]).toMatchObject({ guestConnected: true, hostConnected: true });
    driver.give(1, 4);
    expect([model.ports[0]?.send(bytesOf("in")), driver.read(1)]).toEqual([2, ["in"]]);
    // The guest knows already who has it open.
    expect(driver.heard()).toEqual([]);
  });

  it("that fails goes on here, and nothing reaches memory that may have been sent", async () => {
    const end = terminal({ id: 1, space: 2 });
    const model = virtioConsole({ ports: [end] });
    const driver = new SerialDriver(machine(model));
    driver.open(1);
    driver.write(1, "abcd");
    driver.give(1, 4);
    await driver.machine.quiesce();
    const before = driver.machine.ram.slice();
    end.space = 100;
    model.ports[0]?.drained();
    model.ports[0]?.setOpen(false);
    expect(model.ports[0]?.send(bytesOf("x"))).toBe(0);
    model.ports[0]?.setOpen(true);
    expect([Buffer.compare(driver.machine.ram, before), end.taken]).toEqual([0, "ab"]);
    driver.machine.resume();
    expect(end.taken).toBe("abcd");
  });

  it("tells the guest where the host's end of a port is not as it was", () => {
    const make = (open: boolean) => virtioConsole({ ports: [terminal({ id: 1, open }), terminal({ id: 2 })] });
    const driver = new SerialDriver(machine(make(false)));
    driver.open(1, 2);
    driver.listen(4);
    move(driver, machine(make(true)));
    expect(driver.heard()).toEqual([[1, 6, 1]]);
    move(driver, machine(make(true)));
    expect(driver.heard()).toEqual([]);
    move(driver, machine(make(false)));
    expect(driver.heard()).toEqual([[1, 6, 0]]);
  });

  it("carries what the guest has not been told for want of room", () => {
    const model = virtioConsole({ ports: [terminal({ id: 1 })] });
    const driver = new SerialDriver(machine(model));
    driver.listen(2);
    driver.tell(0, 0, 1);
    driver.tell(1, 3, 1);
    expect(driver.heard()).toHaveLength(2);
    model.ports[0]?.setOpen(false);
    move(driver, machine(virtioConsole({ ports: [terminal({ id: 1, open: false })] })));
    driver.listen(1);
    expect(driver.heard()).toEqual([[1, 6, 0]]);
  });

  it.each([true, false])("answers a message anew that was half answered (quiesced: %s)", async (quiesced) => {
    const make = () => virtioConsole({ ports: [1, 2, 3].map((id) => terminal({ id })) });
    const driver = new SerialDriver(machine(make()));
    driver.listen(2);
    driver.tell(0, 0, 1);
    driver.tell(2, 6, 1);
    expect([driver.heard().length, driver.ring(3).reap()]).toEqual([2, []]);
    if (quiesced) await driver.machine.quiesce();
    // A quiesced device has given it back to its ring, as QEMU, too, finds it there.
    expect(driver.machine.device.queues[3]).toMatchObject({ inuse: quiesced ? 0 : 1 });
    const to = make();
    move(driver, machine(to));
    driver.listen(3);
    expect(driver.heard()).toEqual([
      [1, 1, 1],
      [2, 1, 1],
      [3, 1, 1],
    ]);
    expect(driver.ring(3).reap()).toHaveLength(2);
    expect(to.ports.map(({ guestConnected }) => guestConnected)).toEqual([false, true, false]);
  });

  it("tells a terminal's size again, and by configuration space where that is what the driver knows", () => {
    const make = (cols: number) =>
      virtioConsole({ ports: [terminal({ id: 0, console: true, size: { cols, rows: 25 } })] });
    const driver = new SerialDriver(machine(make(80)));
    driver.open(0);
    driver.machine.device.readConfig(0, 8);
    move(driver, machine(make(100)));
    expect(driver.heard()).toEqual([[0, 5, 1, 100, 0, 25, 0]]);
    expect(driver.machine.interrupts).toContain(-1);
    driver.machine.device.readConfig(0, 8);
    const same = machine(make(100));
    move(driver, same);
    expect(same.interrupts).not.toContain(-1);
  });

  it("keeps a driver of one port at its port", () => {
    const end = terminal({ id: 0, space: 1 });
    const driver = new SerialDriver(machine(virtioConsole({ ports: [end], maxPorts: 1 })));
    driver.write(0, "ab");
    const next = terminal({ id: 0 });
    const model = virtioConsole({ ports: [next], maxPorts: 1 });
    move(driver, machine(model));
    driver.give(0, 2);
    expect([end.taken, next.taken, next.log, model.ports[0]?.send(bytesOf("k"))]).toEqual([
      "a",
      "b",
      ["open", "room", "room"],
      1,
    ]);
  });
});

describe("a state that another virtio-console had", () => {
  const options: VirtioConsoleOptions = { ports: [terminal({ id: 1, space: 1 }), terminal({ id: 33 })], maxPorts: 40 };
  const from = virtioConsole(options);
  const driver = new SerialDriver(machine(from));
  driver.open(1);
  driver.write(1, "abc", "de");
  const good = from.saveLegacy?.() as VirtioSerialState;
  const queues = driver.machine.device.queues.map(({ size }) => ({ num: size, desc: 0x1000n }));
  const refusal = (change: (state: VirtioSerialState) => VirtioSerialState, of = queues): unknown => {
    try {
      return virtioConsole(options).check?.({}, { legacy: change(good), queues: of, features: 0n } as never);
    } catch (error) {
      return isMigrationError(error) ? [error.code, error.location.path, error.expected, error.found] : error;
    }
  };
  const port = (change: Partial<SerialPortState>) => (state: VirtioSerialState) => ({
    ...state,
    ports: state.ports.map((one, i) => (i === 0 ? { ...one, ...change } : one)),
  });
  const wrong = (path: string, expected: string, found: string) => ["DEVICE_CHECK", `legacy.${path}`, expected, found];

  it("is refused where this one could not go on with it, at its place", () => {
    expect(refusal((state) => state)).toBeUndefined();
    expect(refusal(port({ id: 2 }))).toEqual(wrong("ports[0].id", "0 or 1 or 33", "2"));
    expect(refusal(port({ id: 33, elem_popped: 0 }))).toEqual(wrong("ports[1].id", "each once", "33"));
    expect(refusal((state) => ({ ...state, ports_map: Uint32Array.of(3, 6) }))).toEqual(
      wrong("ports_map[1]", "0x2", "0x6"),
    );
    expect(refusal((state) => ({ ...state, ports_map: Uint32Array.of(1, 2) }))).toEqual(
      wrong("ports_map[0]", "0x3", "0x1"),
    );
    expect(refusal(port({ iov_idx: 2 }))).toEqual(wrong("ports[0].iov_idx", "below 2", "2"));
    expect(refusal(port({ iov_offset: 4 }))).toEqual(wrong("ports[0].iov_offset", "at most 3", "4"));
    expect(refusal(port({ iov_offset: 3 }))).toBeUndefined();
    const element = { ...(good.ports[0] as SerialPortState).element, index: 128 };
    expect(refusal(port({ element }))).toEqual(wrong("ports[0].element", "below 128", "128"));
    const unset = queues.map((queue, i) => (i === 5 ? { ...queue, desc: 0n } : queue));
    expect(refusal((state) => state, unset)).toEqual(wrong("ports[0].element", "a queue in use", "none"));
    expect(refusal((state) => state, queues.slice(0, 5))).toEqual(wrong("ports[0].element", "a queue in use", "none"));
    // QEMU reads nothing from these.
    expect(refusal((state) => ({ ...state, cols: 9, rows: 9, max_nr_ports: 9 }))).toBeUndefined();
  });

  it("breaks the device where its ring has nothing taken", () => {
    const make = () => machine(virtioConsole({ ports: [terminal({ id: 1, space: 1 })] }));
    const other = new SerialDriver(make());
    other.open(1);
    const head = other.write(1, "abc");
    const bytes = other.machine.save();
    // The driver finds it in the used ring all the same: nothing is taken.
    const to = make();
    to.ram.set(other.machine.ram);
    const used = other.ring(5).used;
    to.ram.set([1, 0], used + 2);
    to.ram.set([head, 0, 0, 0, 0, 0, 0, 0], used + 4);
    to.load(bytes);
    to.resume();
    expect(to.device.failure).toContain("half-taken output of port 1");
  });

  it("may have an offset at the end of a segment, which is done then", () => {
    const end = terminal({ id: 1 });
    const model = virtioConsole({ ports: [end] });
    const source = virtioConsole({ ports: [terminal({ id: 1, space: 0 })] });
    const other = new SerialDriver(machine(source));
    other.open(1);
    const head = other.write(1, "abc", "de");
    const saved = source.saveLegacy?.bind(source);
    source.saveLegacy = () => port({ iov_offset: 3 })(saved?.() as VirtioSerialState);
    move(other, machine(model));
    expect([end.taken, other.written(1)]).toEqual(["de", [head]]);
  });
});

describe("any run of work", () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant("write" as const), n: fc.integer({ min: 1, max: 6 }) }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant("drain" as const), n: fc.integer({ min: 1, max: 9 }) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("give" as const), n: fc.integer({ min: 1, max: 9 }) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("send" as const), n: fc.integer({ min: 1, max: 9 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("move" as const), n: fc.constant(0) }) },
  );

  it("keeps every byte both ways, in order and once, through any number of moves", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
        let end = terminal({ id: 1, space: 0 });
        let model = virtioConsole({ ports: [end], maxPorts: 2 });
        const driver = new SerialDriver(machine(model));
        driver.open(1);
        let [sent, arrived, put, got] = ["", "", "", ""];
        let next = 0;
        const more = (n: number): string =>
          Array.from({ length: n }, () => String.fromCharCode(97 + (next++ % 26))).join("");
        for (const { kind, n } of steps) {
          if (kind === "write") {
            const [a, b] = [more(n), more(1)];
            sent += a + b;
            driver.write(1, a, b);
          } else if (kind === "drain") {
            end.space += n;
            model.ports[0]?.drained();
          } else if (kind === "give") driver.give(1, n);
          else if (kind === "send") {
            const bytes = more(n);
            put += bytes.slice(0, model.ports[0]?.send(bytesOf(bytes)));
          } else {
            arrived += end.taken;
            end = terminal({ id: 1, space: 0 });
            model = virtioConsole({ ports: [end], maxPorts: 2 });
            move(driver, machine(model));
          }
          got += driver.read(1).join("");
          driver.written(1);
        }
        end.space = Number.POSITIVE_INFINITY;
        model.ports[0]?.drained();
        expect([arrived + end.taken, got]).toEqual([sent, put]);
      }),
      { seed: 31, numRuns: 80 },
    );
  });
});
