// The device as its guest sees it, the states that it refuses, and what older releases are told.
import { decodeState, encodeState } from "@godwit/core";
import { runTimers, simulatedHost } from "@godwit/testkit/clocks";
import { describe, expect, it } from "vitest";
import { machine } from "../examples/machine.ts";
import { check } from "../src/check.ts";
import { type __Device__State, __device__Description, register } from "../src/index.ts";

const second = 1_000_000_000n;
const atRest: __Device__State = { zero: 0n, alarm: null, ringing: false, period: 0, held: { nanoseconds: 0 } };

/** A machine that runs on a host whose time is moved by `until`, in virtual nanoseconds. */
function running() {
  const host = simulatedHost({ now: 7n, wallNow: 0n });
  const made = machine(host.now);
  made.kernel.resume();
  return { ...made, until: (ns: bigint) => runTimers(host, made.timers, ns) };
}

describe("the guest's registers", () => {
  it("TIME counts the virtual clock, and NANOSECONDS goes with the last read of it, once", () => {
    const { device, until } = running();
    device.write(register.time, 1000);
    until(2n * second + 25n);
    expect(device.read(register.time)).toBe(1002);
    until(3n * second + 99n);
    expect([device.read(register.nanoseconds), device.read(register.nanoseconds)]).toEqual([25, 0]);
  });

  it("TIME wraps, and an alarm behind the wrap rings behind it", () => {
    const { device, irqchip, until } = running();
    device.write(register.time, 0xffff_ffff);
    device.write(register.alarm, 1);
    expect(device.read(register.alarm)).toBe(1);
    until(2n * second - 1n);
    expect([device.read(register.time), irqchip.lines]).toEqual([0, 0]);
    until(2n * second);
    expect([device.read(register.time), irqchip.lines]).toEqual([1, 8]);
  });

  it("an alarm rings once, until it is silenced", () => {
    const { device, irqchip, until } = running();
    until(second / 2n);
    device.write(register.alarm, 3);
    expect(device.read(register.status)).toBe(2);
    until(3n * second);
    expect([device.read(register.status), irqchip.lines, device.read(register.alarm)]).toEqual([1, 8, 0]);
    device.write(register.status, 1);
    until(99n * second);
    expect([device.read(register.status), irqchip.lines]).toEqual([0, 0]);
  });

  it("a periodic alarm rings on, without drift, and once for all that was missed", () => {
    const { device, irqchip, timers, kernel, until } = running();
    device.write(register.period, 10);
    expect([device.read(register.period), device.read(register.alarm)]).toEqual([10, 10]);
    for (const rings of [10n, 20n, 30n]) {
      until(rings * second);
      expect([device.read(register.status), irqchip.lines]).toEqual([3, 8]);
      device.write(register.status, 1);
    }
    kernel.pause();
    kernel.clock.adjust(1_000_005n * second);
    kernel.resume();
    expect([timers.runDue(), device.read(register.alarm)]).toEqual([1, 1_000_010]);
  });

  it("is disarmed by STATUS and by a reset, and other offsets are nothing", () => {
    const { device, irqchip, timers, kernel, until } = running();
    device.write(register.period, 1);
    until(second);
    device.write(register.status, 2);
    expect([device.read(register.status), device.read(register.period), timers.next()]).toEqual([1, 0, null]);
    kernel.machine.reset();
    expect([device.read(register.status), irqchip.lines]).toEqual([0, 0]);
    device.write(0x14, 1);
    expect([device.read(0x14), device.read(register.time)]).toEqual([0, 1]);
  });
});

describe("its state", () => {
  it("is wrong where a period has no next time", () => {
    expect(check(atRest)).toBeUndefined();
    expect(check({ ...atRest, period: 5, alarm: 0n })).toBeUndefined();
    expect(() => check({ ...atRest, period: 5 })).toThrow("DEVICE_CHECK");
  });

  it("gives version 1 an alarm that rings once", () => {
    const bytes = encodeState(__device__Description, { ...atRest, alarm: 9n, period: 5 });
    const first = bytes.slice(0, -4); // version 1 ended before `period`
    expect(decodeState(__device__Description, first, { version: 1 })).toEqual({ ...atRest, alarm: 9n });
  });

  it("takes the held nanoseconds along only while they matter", () => {
    const [none, some] = [0, 1].map((nanoseconds) =>
      encodeState(__device__Description, { ...atRest, held: { nanoseconds } }),
    );
    expect((some?.length ?? 0) - (none?.length ?? 0)).toBe("__idstr__/held".length + 10);
    expect(decodeState(__device__Description, some ?? new Uint8Array(0)).held).toEqual({ nanoseconds: 1 });
  });
});
