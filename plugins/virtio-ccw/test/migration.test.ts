// The whole device through kernel.save and kernel.load: in the middle of work, with status pending, suspended, renumbered.
import { encodeState, isMigrationError } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { type VirtioCcwState, virtioCcwFamily } from "../src/index.ts";
import { type EchoState, echo, echoClass } from "./support/echo.ts";
import { done, flag, Guest, place, status } from "./support/guest.ts";
import { type CcwMachine, ccwMachine, type Options } from "./support/machine.ts";
import { sectionIn as sectionOf } from "./support/section.ts";

type State = VirtioCcwState<EchoState, Record<never, never>>;

const family = virtioCcwFamily(echoClass);
const idstr = "/fe.0.0001/virtio-echo";

/** The guest goes to a machine of these options. */
async function move(guest: Guest, options: Options = {}, model = echo()): Promise<CcwMachine> {
  guest.machine.kernel.pause();
  const stream = await guest.machine.save();
  const to = ccwMachine(options, model);
  to.kernel.pause();
  await to.kernel.load(stream);
  guest.machine = to;
  return to;
}

const sectionIn = (stream: Uint8Array) => sectionOf<EchoState>(stream, echoClass);

describe("a virtio-ccw device", () => {
  it("goes from one machine to another with requests that it has not seen", async () => {
    const guest = new Guest(ccwMachine({ schid: 4 }));
    guest.up();
    guest.send(0, [1]);
    guest.send(1, [2]);
    guest.add(0, [3, 4]);
    const from = guest.machine;
    guest.poke(place.indicators + 16, [0]);
    const to = await move(guest, { schid: 4 });
    expect([to.log, to.model.served]).toEqual([[], 2]);
    to.kernel.resume();
    expect([to.log, to.model.served, from.model.served]).toEqual([["adapter 5"], 3, 2]);
    expect([guest.take(0), guest.take(1)]).toEqual([[[2], [4, 5]], [[3]]]);
    guest.poke(place.indicators + 16, [0]);
    guest.send(1, [9]);
    expect([guest.take(1), to.log.length]).toEqual([[[10]], 2]);
    expect([guest.must(0x72, [0]), guest.stored().flags]).toEqual([[15], 0x81 | (3 << 11)]);
    // The revision came with it.
    expect(guest.command(0x83, [0, 2, 0, 0]).sense).toBe(0x80);
  });

  it("brings status that is pending, and asks for the interruption once more", async () => {
    const guest = new Guest(ccwMachine());
    guest.up();
    guest.program([{ code: 0x77, count: 1, address: place.data }]);
    guest.start({ intparm: 0x1234 });
    const to = await move(guest);
    expect(to.log).toEqual([]);
    to.kernel.resume();
    to.kernel.pause();
    to.kernel.resume();
    expect(to.log).toEqual([`io 0 ${0x1234} 3`]);
    expect(guest.test()).toMatchObject({ outcome: 0, ctrl: 0x4000 | done | status.alert, dstat: 0x02, sense: 0x80 });
    to.kernel.pause();
    to.kernel.resume();
    expect([to.log.length, guest.test().outcome]).toEqual([1, 1]);
  });

  it("asks again by adapter where the guest has not taken the summary back", async () => {
    const guest = new Guest(ccwMachine());
    guest.up();
    guest.send(0, [1]);
    const to = await move(guest);
    to.kernel.resume();
    expect(to.log).toEqual(["adapter 5"]);
  });

  it("goes on with a suspended channel program", async () => {
    const guest = new Guest(ccwMachine());
    guest.up();
    guest.program([
      { code: 0xe4, flags: flag.sli | flag.chain, count: 4, address: place.data },
      { code: 0x22, flags: flag.suspend, count: 3, address: place.data + 8 },
    ]);
    expect(guest.start({ ctrl0: 0x0880 })).toBe(0);
    guest.test();
    const to = await move(guest);
    to.kernel.resume();
    expect([to.log, guest.stored().ctrl]).toEqual([[], 0x4020]);
    guest.program([{ code: 0x22, count: 3, address: place.data + 8 }], place.program + 8);
    expect(guest.sch.resumeSubchannel()).toBe(0);
    expect(guest.test()).toMatchObject({ ctrl: 0x4000 | done, dstat: 0x0c, flags: 0x0880 });
    expect(guest.peek(place.data + 8, 3)).toEqual([0x11, 0x22, 0x33]);
  });

  it("brings classic indicators, and sense that nobody has asked for", async () => {
    const guest = new Guest(ccwMachine());
    guest.up({ adapter: false });
    guest.enable(0x80 | (6 << 11), 0);
    guest.command(0x42, [0]);
    const to = await move(guest);
    to.kernel.resume();
    expect(to.log).toEqual([]);
    guest.send(1, [7]);
    expect([to.log, guest.peek(place.indicators, 8), guest.take(1)]).toEqual([
      [`io 0 ${0x77} 6`],
      [0, 0, 0, 0, 0, 0, 0, 2],
      [[8]],
    ]);
    guest.test();
    expect(guest.must(0x04, new Array(32).fill(9))[0]).toBe(0x80);
  });

  it("brings a legacy driver, whose rings are big-endian", async () => {
    const guest = new Guest(ccwMachine({ transitional: true }));
    guest.up({ revision: -1, features: 5n, adapter: false });
    guest.littleEndian = false;
    guest.send(0, [1, 2]);
    guest.add(0, [5]);
    const to = await move(guest, { transitional: true });
    expect(sectionIn(await to.save()).state).toMatchObject({
      transport: { revision: 0 },
      virtio: { device_endian: { device_endian: 2 } },
    });
    to.kernel.resume();
    expect(guest.take(0)).toEqual([[2, 3], [6]]);
  });

  it("takes the number that the subchannel had", async () => {
    const guest = new Guest(ccwMachine({ schid: 2 }));
    guest.up({ adapter: false });
    const to = await move(guest, { schid: 5 });
    expect([to.log, to.offer.subchannel.schid]).toEqual([["schid 5 2"], 2]);
    to.kernel.resume();
    guest.send(0, [1]);
    expect(to.log).toEqual(["schid 5 2", `io 2 ${0x77} 3`]);
  });

  it("goes back to a snapshot in its own machine", () => {
    const guest = new Guest(ccwMachine());
    guest.up();
    const { kernel, log } = guest.machine;
    guest.program([{ code: 0x22, flags: flag.suspend, count: 3, address: place.data }]);
    guest.start({ ctrl0: 0x0888 });
    const slot = kernel.snapshot().slice();
    guest.sch.clearSubchannel();
    guest.test();
    guest.must(0x33, []);
    log.length = 0;
    kernel.pause();
    kernel.restore(slot);
    kernel.resume();
    expect([log, guest.stored().ctrl, guest.machine.model.device.status]).toEqual([[], 0x4020, 15]);
    guest.send(0, [1]);
    expect(log).toEqual(["adapter 5"]);
  });
});

describe("a load", () => {
  type Change = (transport: State["transport"], sch: State["transport"]["parent_obj"]["sch"]) => object;
  const sub = (sch: object): object => ({ parent_obj: { sch } });
  const wrong: [string, Change][] = [
    ["transport.parent_obj.sch.cssid", (_, sch) => sub({ ...sch, cssid: 0 })],
    ["transport.parent_obj.sch.ssid", (_, sch) => sub({ ...sch, ssid: 1 })],
    ["transport.parent_obj.sch.devno", (_, sch) => sub({ ...sch, devno: 2 })],
    [
      "transport.parent_obj.sch.curr_status.pmcw.devno",
      (_, sch) => sub({ ...sch, curr_status: { ...sch.curr_status, pmcw: { ...sch.curr_status.pmcw, devno: 2 } } }),
    ],
    ["transport.parent_obj.sch.id.cu_type", (_, sch) => sub({ ...sch, id: { ...sch.id, cu_type: 0x3990 } })],
    ["transport.parent_obj.sch.id.cu_model", (_, sch) => sub({ ...sch, id: { ...sch.id, cu_model: 2 } })],
    ["transport.indicators.len", () => ({ indicators: { len: -1, addr: 0n } })],
    ["transport.indicators.len", () => ({ indicators: { len: 4097, addr: 64n } })],
    ["transport.indicators.len", () => ({ indicators: { len: 0, addr: 0n } })],
    ["transport.indicators2.len", () => ({ indicators2: { len: 9, addr: 64n } })],
    ["transport.summary_indicator.len", () => ({ summary_indicator: { len: 0, addr: 0n } })],
    ["transport.summary_indicator.len", () => ({ summary_indicator: { len: 2, addr: 64n } })],
    ["transport.thinint_isc", () => ({ thinint_isc: 8 })],
    ["transport.config_vector", () => ({ config_vector: 3 })],
    ["transport.revision", () => ({ revision: 3 })],
    ["transport.revision", () => ({ revision: 0 })],
    ["transport.revision", () => ({ revision: -2 })],
  ];

  async function paused(): Promise<ReturnType<typeof sectionIn>> {
    const guest = new Guest(ccwMachine());
    guest.up();
    guest.machine.kernel.pause();
    return sectionIn(await guest.machine.save());
  }

  async function failure(stream: Uint8Array, options: Options = {}): Promise<unknown> {
    const to = ccwMachine(options);
    to.kernel.pause();
    try {
      await to.kernel.load(stream);
      return undefined;
    } catch (error) {
      if (!isMigrationError(error)) throw error;
      expect([to.offer.subchannel.schid, to.model.device.status, to.log]).toEqual([0, 0, []]);
      return `${error.code} ${error.location.path}`;
    }
  }

  it.each(wrong)("is refused at %s", async (path, change) => {
    const section = await paused();
    const stream = section.with((state) => ({
      ...state,
      transport: { ...state.transport, ...change(state.transport, state.transport.parent_obj.sch) },
    }));
    expect(await failure(stream)).toBe(`DEVICE_CHECK ${path}`);
  });

  it("is refused where a queue's vector is no queue, and where the revision is newer than the device", async () => {
    const section = await paused();
    const stream = section.with((state) => ({
      ...state,
      vqs: state.vqs.map((queue, i) => (i === 1 ? { ...queue, transport: { vector: 2 } } : queue)),
    }));
    expect(await failure(stream)).toBe("DEVICE_CHECK vqs[1].transport.vector");
    expect(
      await failure(
        section.with((state) => state),
        { maxRevision: 1 },
      ),
    ).toBe("DEVICE_CHECK transport.revision");
    expect(await failure(section.with((state) => state))).toBeUndefined();
  });
});

describe("the family", () => {
  it("refuses what is another device's, or none", async () => {
    const guest = new Guest(ccwMachine());
    guest.up();
    guest.machine.kernel.pause();
    const { state } = sectionIn(await guest.machine.save());
    const description = family.build({ hostFeatures: 0x1_3000_0005n, dialect: "10.0" });
    const infer = (change: (state: State) => State): unknown => {
      const bytes = encodeState(description, change(state));
      try {
        return family.infer({ idstr, instance: 0, version: 1, bytes });
      } catch (error) {
        return isMigrationError(error) ? `${error.code} ${error.location.path}` : error;
      }
    };
    const id =
      (more: object) =>
      (of: State): State => {
        const { sch } = of.transport.parent_obj;
        return { ...of, transport: { ...of.transport, parent_obj: { sch: { ...sch, id: { ...sch.id, ...more } } } } };
      };
    expect(infer((of) => of)).toMatchObject({ hostFeatures: 0x1_1000_0005n });
    expect(infer(id({ cu_type: 0x3088 }))).toBe("PARAMETER_WRONG transport.parent_obj.sch.id.cu_type");
    expect(infer(id({ cu_model: 1 }))).toBe("PARAMETER_WRONG transport.parent_obj.sch.id.cu_model");
    expect(infer((of) => ({ ...of, vqs: of.vqs.map((q) => ({ ...q, transport: { vector: 2 } })) }))).toBe(
      "PARAMETER_WRONG vqs[0].transport.vector",
    );
    const whole = encodeState(description, state);
    expect(() => family.infer({ idstr, instance: 0, version: 1, bytes: whole.subarray(0, 100) })).toThrow(
      "STREAM_TRUNCATED",
    );
  });
});
