// Several devices: each needs the P2P states, and they stop and start together. And what cannot be had with any.
import { describe, expect, it } from "vitest";
import { boot, contents, path, send, testMachine } from "./support/machine.ts";
import { errorOf, rejection } from "./support/walk.ts";

const without = { features: { p2p: false, preCopy: true } };

describe("several devices", () => {
  it.each([
    [[{}, without], 2],
    [[without, {}, {}], 1],
    [[without, without], 1],
  ])("are refused where one has no P2P states, whichever it is", async (devices, slot) => {
    const source = testMachine(devices);
    boot(source);
    for (const error of [await rejection(send(source)), errorOf(() => source.kernel.snapshot())]) {
      expect([error.code, error.location.side, error.location.section]).toEqual([
        "VFIO_P2P",
        "source",
        `${path(slot)}/vfio/0`,
      ]);
    }
    // The machine is not worse for it.
    expect(source.devices.map(({ function: own }) => own.driver.work(1))).toEqual(devices.map(() => 1));
  });

  it("migrate where all have them, and one may be without while it is alone", async () => {
    const [source, target] = [testMachine([{}, {}]), testMachine([{}, {}])];
    boot(source);
    const { bytes } = await send(source, {
      between: (round) => source.devices.forEach(({ function: own }, i) => void own.driver.work(round + i)),
    });
    await target.kernel.load(bytes);
    expect(target.devices.map(contents)).toEqual(source.devices.map(contents));
    const alone = testMachine([without]);
    boot(alone);
    await testMachine([without]).kernel.load((await send(alone)).bytes);
  });

  it("may lose the one that has none: it is unplugged", async () => {
    const source = testMachine([{}, without]);
    boot(source);
    expect((await rejection(send(source))).code).toBe("VFIO_P2P");
    source.devices[1]?.remove();
    const target = testMachine([{}]);
    await target.kernel.load((await send(source)).bytes);
    expect(target.devices.map(contents)).toEqual(source.devices.slice(0, 1).map(contents));
  });

  it("all cease peer-to-peer accesses before any stops, and none runs before all take them", async () => {
    const steps: string[] = [];
    const logged = (slot: number) => ({
      fault: () => undefined,
      stopping: () => void steps.push(`${slot} STOP_COPY beside ${source.devices.map(stateOf).join(" ")}`),
    });
    const stateOf = ({ function: own }: (typeof source.devices)[number]): string => own.device.state;
    const source: ReturnType<typeof testMachine> = testMachine([logged(1), logged(2)]);
    boot(source);
    await send(source);
    expect(steps).toEqual([
      "1 STOP_COPY beside PRE_COPY_P2P PRE_COPY_P2P",
      "2 STOP_COPY beside STOP_COPY PRE_COPY_P2P",
    ]);
    // Gone: they stand, until the machine is told to go on.
    expect(source.devices.map(stateOf)).toEqual(["STOP", "STOP"]);
    source.kernel.resume();
    expect(source.devices.map(stateOf)).toEqual(["RUNNING", "RUNNING"]);
    source.container.stop();
    expect(source.devices.map(stateOf)).toEqual(["STOP", "STOP"]);
    source.container.stop();
    source.kernel.snapshot();
    expect(source.devices.map(stateOf)).toEqual(["STOP", "STOP"]);
    source.container.start();
    source.kernel.snapshot();
    expect(source.devices.map(stateOf)).toEqual(["RUNNING", "RUNNING"]);
  });
});

it("no device runs beside one that stands, on the way back as well", () => {
  const seen: string[] = [];
  const look = {
    fault: () => {
      seen.push(source.devices.map(({ function: own }) => own.device.state).join(" "));
      return undefined;
    },
  };
  const source: ReturnType<typeof testMachine> = testMachine([look, look]);
  boot(source);
  source.kernel.snapshot();
  expect(seen.some((states) => states.includes("STOP_COPY"))).toBe(true);
  const torn = seen.filter((states) => /\bRUNNING\b/.test(states) && /\bSTOP(_COPY)?\b/.test(states));
  expect(torn).toEqual([]);
  expect(source.devices.map(({ function: own }) => own.device.state)).toEqual(["RUNNING", "RUNNING"]);
});

it("a machine whose pause stops the devices itself moves as well, and comes back where the attempt is given up", async () => {
  const [source, target] = [testMachine([{}, {}]), testMachine([{}, {}])];
  boot(source);
  const work = () => source.devices.map(({ function: own }) => own.driver.work(2));
  const given = source.kernel.outgoing();
  for (const _ of given.setup());
  source.container.stop();
  expect(source.devices.map(({ function: own }) => own.driver.state)).toEqual(["STOP_COPY", "STOP_COPY"]);
  given.end(false);
  expect(source.devices.map(({ function: own }) => own.driver.state)).toEqual(["RUNNING", "RUNNING"]);
  const { bytes } = await send(source, { between: work, last: () => source.container.stop() });
  await target.kernel.load(bytes);
  expect(target.devices.map(contents)).toEqual(source.devices.map(contents));
});

describe("what is refused with any device", () => {
  it("post-copy and background snapshots, by a code of their own", () => {
    const machine = testMachine([{}]);
    for (const capability of ["postcopy-ram", "background-snapshot"]) {
      const error = errorOf(() => machine.container.checkCapabilities(["xbzrle", capability]));
      expect([error.code, error.location.section, error.found]).toEqual([
        "VFIO_POSTCOPY",
        `${path(1)}/vfio/0`,
        capability,
      ]);
    }
    machine.container.checkCapabilities(["xbzrle", "auto-converge"]);
    expect(machine.devices[0]?.blockedCapabilities).toEqual(["postcopy-ram", "background-snapshot"]);
    machine.devices[0]?.remove();
    machine.container.checkCapabilities(["postcopy-ram"]);
  });

  it("nothing of its state could follow on demand", () => {
    const source = testMachine([{}]);
    boot(source);
    const attempt = source.kernel.outgoing();
    for (const _ of attempt.setup());
    expect(attempt.pending(false)).toEqual({ mustPrecopyBytes: 8 + 64 * (12 + 1024), canPostcopyBytes: 0 });
    // The stop-copy size is a part of the exact amount.
    expect(attempt.pending(true)).toEqual({ mustPrecopyBytes: 2 * (8 + 64 * (12 + 1024)) + 16, canPostcopyBytes: 0 });
    attempt.end(false);
  });

  it("a post-copy stream", async () => {
    const source = testMachine([{}]);
    boot(source);
    const { bytes } = await send(source);
    const configurationEnd = 8 + 1 + 4 + "vfio-test-1".length;
    const advise = Uint8Array.of(0x08, 0, 3, 0, 16, ...new Uint8Array(16));
    const stream = Buffer.concat([bytes.subarray(0, configurationEnd), advise, bytes.subarray(configurationEnd)]);
    const error = await rejection(testMachine([{}]).kernel.load(new Uint8Array(stream)));
    expect([error.code, error.location.offset]).toEqual(["COMMAND_UNEXPECTED", configurationEnd]);
  });
});

describe("switchover-ack", () => {
  it("tells once that the initial data has gone, and the destination hears it", async () => {
    let heard = 0;
    const source = testMachine([{ switchoverAck: true }]);
    const target = testMachine([{ initialDataLoaded: () => heard++ }]);
    boot(source);
    const { bytes } = await send(source, { rounds: 3, between: () => source.devices[0]?.function.driver.work(1) });
    const marker = Buffer.from("ffffffffef100005", "hex");
    expect(Buffer.from(bytes).toString("hex").split(marker.toString("hex")).length - 1).toBe(1);
    await target.kernel.load(bytes);
    expect(heard).toBe(1);
    expect(target.devices.map(contents)).toEqual(source.devices.map(contents));
  });
});
