// The example machine, saved, loaded and migrated: the alarm rings there as it would have here.
import { isMigrationError } from "@godwit/core";
import { runTimers, simulatedHost } from "@godwit/testkit/clocks";
import { expect, it } from "vitest";
import { machine } from "../examples/machine.ts";
import { migrate } from "../examples/migrate.ts";
import { register } from "../src/index.ts";

const second = 1_000_000_000n;

/** A machine that has run for half a second and rings in a minute, and its host. */
function armed() {
  const host = simulatedHost({ now: 5_000n * second, wallNow: 0n });
  const made = machine(host.now);
  made.kernel.resume();
  made.device.write(register.time, 1000);
  made.device.write(register.alarm, 1060);
  runTimers(host, made.timers, second / 2n);
  return { host, ...made };
}

it("loads a save on a host whose clock is elsewhere", async () => {
  const host = simulatedHost({ now: 0n, wallNow: 0n });
  const loaded = machine(host.now);
  await loaded.kernel.load(armed().kernel.save());
  loaded.kernel.resume();
  runTimers(host, loaded.timers, 60n * second - 1n);
  expect([loaded.device.read(register.time), loaded.irqchip.lines]).toEqual([1059, 0]);
  runTimers(host, loaded.timers, 60n * second);
  expect([loaded.device.read(register.time), loaded.irqchip.lines]).toEqual([1060, 8]);
});

it("migrates while it runs: the source stands, the destination rings", async () => {
  const source = armed();
  const host = simulatedHost({ now: 0n, wallNow: 0n });
  const destination = machine(host.now);
  const report = await migrate(source, destination);
  expect([source.kernel.clock.running, destination.kernel.clock.running]).toEqual([false, true]);
  expect(report.load?.loadOrder).toEqual(["timer/0", "irqchip/0", "__idstr__/0"]);
  runTimers(host, destination.timers, 61n * second);
  expect([destination.device.read(register.time), destination.irqchip.lines]).toEqual([1061, 8]);
});

it("drives its line on a load, for a controller that keeps no levels of its own", async () => {
  const source = armed();
  runTimers(source.host, source.timers, 60n * second);
  const loaded = machine(() => 0n);
  const driven: unknown[] = [];
  loaded.irqchip.setLine = (line, level) => void driven.push(line, level);
  await loaded.kernel.load(source.kernel.save());
  expect([loaded.device.read(register.status), driven]).toEqual([1, [3, true]]);
});

it("refuses a wrong state, and the machine is as before", async () => {
  const source = armed();
  Object.assign(source.device, { period: 5, alarm: null });
  const other = machine(() => 0n);
  other.device.write(register.alarm, 77);
  const refused = await other.kernel.load(source.kernel.save()).catch((error: unknown) => error);
  expect(isMigrationError(refused) && [refused.code, refused.location.section, refused.location.path]).toEqual([
    "DEVICE_CHECK",
    "__idstr__/0",
    "alarm",
  ]);
  expect(other.device.read(register.alarm)).toBe(77);
});
