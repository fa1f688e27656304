// The device at work: the control protocol, output with a full host's end, input, and a driver that knows one port.
import { decodeState, isMigrationError } from "@godwit/core";
import { machine } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioConsole } from "../src/model.ts";
import { bytesOf, SerialDriver, terminal } from "./support/serial-driver.ts";

const VERSION_1 = 1n << 32n;

describe("the control queues", () => {
  it("announce each port, its kind, its name, and who has it open", () => {
    const model = virtioConsole({
      ports: [
        terminal({ id: 0, console: true, size: { cols: 80, rows: 25 } }),
        terminal({ id: 5, name: "org.x", open: false }),
      ],
    });
    const driver = new SerialDriver(machine(model));
    driver.listen(16);
    expect(driver.heard()).toEqual([]);
    driver.tell(0xffffffff, 0, 1);
    expect(driver.heard()).toEqual([
      [0, 1, 1],
      [5, 1, 1],
    ]);
    driver.tell(0, 3, 1);
    expect(driver.heard()).toEqual([
      [0, 4, 1],
      [0, 6, 1],
      [0, 5, 1, 80, 0, 25, 0],
    ]);
    driver.tell(5, 3, 1);
    expect(driver.heard()).toEqual([[5, 7, 1, ...bytesOf("org.x"), 0]]);
    model.ports[1]?.setOpen(true);
    model.ports[1]?.setOpen(true);
    model.ports[1]?.setOpen(false);
    model.ports[0]?.setSize({ cols: 132, rows: 300 });
    expect(driver.heard()).toEqual([
      [5, 6, 1],
      [5, 6, 0],
      [0, 5, 1, 132, 0, 44, 1],
    ]);
    expect(driver.ring(3).reap()).toHaveLength(3);
  });

  it("say nothing of a port whose driver has not said that it has it, or could not", () => {
    const model = virtioConsole({ ports: [terminal({ id: 1, name: "a" })] });
    const driver = new SerialDriver(machine(model));
    driver.listen(4);
    driver.tell(1, 3, 0);
    driver.tell(0, 0, 0);
    model.ports[0]?.setOpen(false);
    model.ports[0]?.setOpen(true);
    driver.tell(9, 3, 1);
    expect([driver.heard(), driver.ring(3).reap().length]).toEqual([[], 3]);
  });

  it("give a message back when its answers are out, and not before", () => {
    const driver = new SerialDriver(machine(virtioConsole({ ports: [terminal({ id: 1 }), terminal({ id: 2 })] })));
    driver.listen(1);
    driver.tell(0, 0, 1);
    driver.tell(1, 6, 1);
    expect([driver.heard(), driver.ring(3).reap()]).toEqual([[[1, 1, 1]], []]);
    driver.listen(1);
    expect([driver.heard(), driver.ring(3).reap().length]).toEqual([[[2, 1, 1]], 2]);
  });

  it("of a driver that gives too little room break the device, and a message of seven bytes is none", () => {
    const driver = new SerialDriver(machine(virtioConsole({ ports: [terminal({ id: 1 })] })));
    driver.listen(1, 7);
    const at = driver.allocate(7);
    driver.ring(3).add([{ at, length: 7 }], []);
    driver.ring(3).kick();
    expect(driver.ring(3).reap()).toHaveLength(1);
    driver.tell(0, 0, 1);
    expect(driver.machine.device.failure).toContain("without room for 8 bytes");
  });
});

describe("output", () => {
  it("goes to the host's end of its port, across segments and rings", () => {
    const [a, b] = [terminal({ id: 1 }), terminal({ id: 4 })];
    const driver = new SerialDriver(machine(virtioConsole({ ports: [b, a] })));
    driver.open(1, 4);
    const heads = [driver.write(1, "he", "llo "), driver.write(1, "you")];
    driver.write(4, "four");
    expect([a.taken, b.taken, a.log]).toEqual(["hello you", "four", ["open"]]);
    expect(driver.written(1)).toEqual(heads);
    expect(driver.machine.interrupts.filter((index) => index === 5)).toHaveLength(2);
    // Of more than is handed over at a time, nothing is lost.
    const long = "0123456789abcdef".repeat(5000);
    driver.write(4, long, "!");
    expect(b.taken).toBe(`four${long}!`);
  });

  it("waits where the host's end is full, in the middle of an element, and goes on at the very byte", () => {
    const end = terminal({ id: 1, space: 3 });
    const model = virtioConsole({ ports: [end] });
    const driver = new SerialDriver(machine(model));
    driver.open(1);
    const heads = [driver.write(1, "ab", "cdef"), driver.write(1, "gh")];
    expect([end.taken, driver.written(1)]).toEqual(["abc", []]);
    expect(model.saveLegacy?.().ports).toMatchObject([{ elem_popped: 1, iov_idx: 1, iov_offset: 1 }]);
    end.space = 4;
    driver.ring(5).kick();
    expect(end.taken).toBe("abc");
    model.ports[0]?.drained();
    expect([end.taken, driver.written(1)]).toEqual(["abcdefg", [heads[0]]]);
    end.space = 9;
    model.ports[0]?.drained();
    expect([end.taken, driver.written(1)]).toEqual(["abcdefgh", [heads[1]]]);
  });

  it("is thrown away while the host's end is closed, what was half taken, too", () => {
    const end = terminal({ id: 1, space: 1 });
    const model = virtioConsole({ ports: [end] });
    const driver = new SerialDriver(machine(model));
    driver.open(1);
    const heads = [driver.write(1, "abc"), driver.write(1, "def")];
    model.ports[0]?.setOpen(false);
    expect([end.taken, driver.written(1)]).toEqual(["a", heads]);
    driver.write(1, "ghi");
    end.space = 100;
    model.ports[0]?.setOpen(true);
    driver.write(1, "jkl");
    expect(end.taken).toBe("ajkl");
  });

  it("is refused with an error of the host's own where its end says what cannot be", () => {
    const driver = new SerialDriver(machine(virtioConsole({ ports: [{ id: 1, write: () => 99 }] })));
    driver.open(1);
    expect(() => driver.write(1, "abc")).toThrow(RangeError);
  });
});

describe("input", () => {
  it("goes into the driver's buffers as far as there are any, once the guest has the port open", () => {
    const end = terminal({ id: 1 });
    const model = virtioConsole({ ports: [end] });
    const driver = new SerialDriver(machine(model));
    const [port] = model.ports;
    driver.give(1, 4);
    expect(port?.send(bytesOf("x"))).toBe(0);
    driver.open(1);
    driver.give(1, 2);
    expect(port?.send(bytesOf("hello you"))).toBe(6);
    expect(driver.read(1)).toEqual(["hell", "o "]);
    expect(port?.send(bytesOf("you"))).toBe(0);
    driver.give(1, 8);
    expect(end.log).toEqual(["room", "open", "room", "room"]);
    expect(port?.send(bytesOf("you"))).toBe(3);
    driver.tell(1, 6, 0);
    expect([port?.guestConnected, port?.send(bytesOf("z")), end.log.at(-1)]).toEqual([false, 0, "closed"]);
    expect(driver.read(1)).toEqual(["you"]);
  });
});

describe("a driver that knows one port", () => {
  it("has port 0 open from the beginning, and no control queue", () => {
    const end = terminal({ id: 0, size: { cols: 80, rows: 25 } });
    const model = virtioConsole({ ports: [end, terminal({ id: 1 })] });
    const driver = new SerialDriver(machine(model), VERSION_1 | 1n);
    driver.write(0, "login: ");
    driver.give(0, 8);
    expect([end.taken, model.ports[0]?.send(bytesOf("root")), driver.read(0)]).toEqual(["login: ", 4, ["root"]]);
    driver.listen(1);
    driver.tell(0, 0, 1);
    expect([driver.heard(), driver.ring(3).reap()]).toEqual([[], []]);
    model.ports[0]?.setSize({ cols: 100, rows: 30 });
    expect([...driver.machine.device.readConfig(0, 8)]).toEqual([100, 0, 30, 0, 31, 0, 0, 0]);
    expect(driver.machine.interrupts.at(-1)).toBe(-1);
    driver.machine.device.setStatus(0);
    expect(end.log).toEqual(["open", "room", "closed"]);
  });

  it("may write a character without a queue", () => {
    const characters: number[] = [];
    const { device, description, save } = machine(
      virtioConsole({ ports: [], emergencyWrite: (one) => characters.push(one) }),
    );
    expect(device.hostFeatures & 7n).toBe(6n);
    device.writeConfig(8, Uint8Array.of(65, 0, 0, 0));
    device.writeConfig(8, Uint8Array.of(66));
    device.writeConfig(0, Uint8Array.of(9, 9));
    device.writeConfig(9, Uint8Array.of(9));
    // As in QEMU, the image that travels keeps what was written, but for the characters.
    expect((decodeState(description, save()) as { config: Uint8Array }).config).toEqual(
      Uint8Array.of(9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    );
    expect([characters, device.readConfig(0, 12)]).toEqual([
      [65, 66],
      Uint8Array.of(0, 0, 0, 0, 31, 0, 0, 0, 0, 0, 0, 0),
    ]);
    expect(machine(virtioConsole({ ports: [], maxPorts: 1 })).device.hostFeatures & 7n).toBe(0n);
  });
});

it("refuses options that cannot be", () => {
  const code = (make: () => unknown): unknown => {
    try {
      return make();
    } catch (error) {
      return isMigrationError(error) ? [error.code, error.found] : error;
    }
  };
  const of = (ports: number[], maxPorts: number) => () =>
    virtioConsole({ ports: ports.map((id) => terminal({ id })), maxPorts });
  expect(code(of([], 512))).toEqual(["DEFINITION_INVALID", "512"]);
  expect(code(of([], 0))).toEqual(["DEFINITION_INVALID", "0"]);
  expect(code(of([3], 3))).toEqual(["DEFINITION_INVALID", "3"]);
  expect(code(of([1, 1], 3))).toEqual(["DEFINITION_INVALID", "1"]);
  expect(code(() => virtioConsole({ ports: [terminal({ id: 0, name: "ä" })] }))).toEqual(["DEFINITION_INVALID", "ä"]);
  expect(code(() => virtioConsole({ ports: [], queueSize: 3 }))).toEqual(["DEFINITION_INVALID", "3"]);
});
