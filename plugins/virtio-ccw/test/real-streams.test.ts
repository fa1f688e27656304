// Sections that QEMU wrote on s390x: read with parameters that are found, not given, and written back.
import {
  type DescriptionFamily,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  type SectionSample,
  toState,
} from "@godwit/core";
import { haveStreams } from "@godwit/test-support/streams";
import type { VirtioClass } from "@godwit/virtio-core";
import { describe, expect, it } from "vitest";
import { cssFamily, type VirtioCcwState, virtioCcwFamily } from "../src/index.ts";
import { balloon, rng, scsi } from "./support/classes.ts";
import { realSection } from "./support/real-sections.ts";

// biome-ignore lint/suspicious/noExplicitAny: classes of any state
type AnyClass = VirtioClass<any, any, any>;

/** Reads, compares the bytes both ways, and gives parameters and state. */
function there<P>(family: DescriptionFamily<P>, body: Uint8Array, sample: SectionSample) {
  const parameters = family.infer(sample);
  const description = family.build(parameters);
  const record = decodeRecord(description, body);
  expect(Buffer.compare(encodeRecord(description, record), body)).toBe(0);
  const state = toState(description, record);
  expect(Buffer.compare(encodeState(description, state), body)).toBe(0);
  return { parameters, state };
}

const first = "s390-ccw-virtio-7.2.stream";
const second = "s390-ccw-5dev-10.0.stream";
const noEntry = { desc: 0n, last_avail_idx: 0, transport: { vector: 0xffff } };
const devices: [string, number, AnyClass, { bit: bigint; used: number; queues: object[] }][] = [
  [first, 3, rng, { bit: 4n, used: 0x1b580e0, queues: [{ num: 8, last_avail_idx: 68, transport: { vector: 0 } }] }],
  [second, 3, rng, { bit: 4n, used: 0x1b5c0e0, queues: [{ num: 8, last_avail_idx: 68, transport: { vector: 0 } }] }],
  [
    second,
    4,
    balloon,
    {
      bit: 5n,
      used: 0x1b640e0,
      queues: [0, 1, 2].map((vector) => ({ num: 128, transport: { vector } })),
    },
  ],
  [
    second,
    5,
    scsi,
    { bit: 10n, used: 0x1b660e0, queues: [0, 1, 2].map((vector) => ({ num: 256, transport: { vector } })) },
  ],
];

describe.skipIf(!haveStreams())("virtio-ccw from QEMU", () => {
  it.each(devices)("%s: device %i comes back to the same bytes", (raw, devno, device, { bit, used, queues }) => {
    const idstr = `/fe.0.000${devno}/${device.name}`;
    const { body, sample } = realSection(raw, idstr);
    const { parameters, state } = there(virtioCcwFamily(device), body, sample);
    expect(parameters).toMatchObject({ dialect: "10.0" });
    expect((parameters as { hostFeatures: bigint }).hostFeatures & 0x1_0000_0000n).toBe(0x1_0000_0000n);
    const found = state as unknown as VirtioCcwState<unknown, unknown>;
    expect(found.vqs).toMatchObject(queues);
    expect(found.transport).toMatchObject({
      parent_obj: {
        sch: {
          cssid: 0xfe,
          ssid: 0,
          migrated_schid: devno - 1,
          devno,
          thinint_active: true,
          curr_status: {
            pmcw: { flags: 0x1881, devno, lpm: 0x80, pim: 0x80, pom: 0xff, pam: 0x80, chars: 1 },
            scsw: { flags: 0x80, ctrl: 0, dstat: 0x0c, cstat: 0, count: 0 },
          },
          // The last that Linux asked for: READ_STATUS.
          last_cmd: { cmd_code: 0x72, flags: 0, count: 1 },
          last_cmd_valid: true,
          id: { reserved: 0xff, cu_type: 0x3832, cu_model: device.deviceId, dev_type: 0, dev_model: 0 },
          ccw_fmt_1: true,
          orb: { ctrl0: 0xc2, lpm: 0x80, ctrl1: 0 },
        },
      },
      indicators: { len: 1 },
      indicators2: { len: 8, addr: BigInt(used) },
      summary_indicator: { len: 1, addr: 0x1b3c018n },
      config_vector: 1024,
      routes: { adapter: { ind_offset: bit, summary_offset: { summary_offset: 7 } } },
      thinint_isc: 3,
      revision: 2,
    });
    const { sch } = found.transport.parent_obj;
    expect(sch.channel_prog).toBe(BigInt(sch.curr_status.scsw.cpa - 8));
    expect(sch.curr_status.pmcw.intparm).toBe(sch.orb.intparm);
  });

  it("keeps what the streams do not have", () => {
    const { body, sample } = realSection(second, "/fe.0.0004/virtio-balloon");
    const family = virtioCcwFamily(balloon);
    const description = family.build(family.infer(sample));
    const state = decodeState(description, body);
    const { sch } = state.transport.parent_obj;
    const other: typeof state = {
      ...state,
      vqs: state.vqs.map((queue) => ({ ...queue, ...noEntry })),
      transport: {
        ...state.transport,
        revision: -1,
        thinint_isc: 7,
        config_vector: 0xffff,
        indicators: { len: 0, addr: 0n },
        routes: { adapter: { ind_offset: 2n ** 40n, summary_offset: { summary_offset: 0 } } },
        parent_obj: {
          sch: {
            ...sch,
            thinint_active: false,
            sense_data: Uint8Array.from({ length: 32 }, (_, i) => i),
            id: { ...sch.id, ciw: sch.id.ciw.map((_, i) => ({ type: i, command: 2 * i, count: 1000 + i })) },
            ccw_no_data_cnt: 254,
            orb: { intparm: 1, ctrl0: 2, lpm: 3, ctrl1: 4, cpa: 5 },
          },
        },
      },
    };
    const bytes = encodeState(description, other);
    expect(bytes).toHaveLength(body.length);
    expect(decodeState(description, bytes)).toEqual(other);
    expect(there(family, bytes, { ...sample, bytes }).state).toEqual(other);
  });

  it("finds a legacy driver, of whom no subsection says more", () => {
    const { body, sample } = realSection(second, "/fe.0.0003/virtio-rng");
    const family = virtioCcwFamily(rng);
    const parameters = family.infer(sample);
    const state = decodeState(family.build(parameters), body);
    const unset = new Array(1024).fill({ avail: 0n, used: 0n });
    const legacy = { ...parameters, hostFeatures: 0x3000_0000n };
    const bytes = encodeState(family.build(legacy), {
      ...state,
      virtio: { ...state.virtio, features64: { guest_features: 0x3000_0000n }, virtqueues: { vq: unset } },
    });
    expect(bytes.length).toBeLessThan(1100);
    const found = family.infer({ ...sample, bytes });
    expect(found).toMatchObject({ hostFeatures: 0x3000_0000n });
    // The order of bytes is the target's, which is big: nothing travels.
    const read = there(family, bytes, { ...sample, bytes }).state as unknown as VirtioCcwState<unknown, unknown>;
    expect(read.virtio.device_endian.device_endian).toBe(2);
  });
});

describe.skipIf(!haveStreams())("s390_css from QEMU", () => {
  it.each([first, second])("%s comes back to the same bytes", (raw) => {
    const { body, sample } = realSection(raw, "s390_css");
    const { parameters, state } = there(cssFamily, body, sample);
    expect(parameters).toEqual({ images: [0xfe] });
    const { css, ...rest } = state as { css: (object | null)[] };
    expect(rest).toEqual({
      pending_crws: [],
      sei_pending: false,
      do_crw_mchk: true,
      crws_lost: false,
      max_cssid: 0,
      max_ssid: 3,
      chnmon_active: false,
      chnmon_area: 0n,
      default_cssid: 0xfe,
    });
    expect(css.filter((image) => image !== null)).toHaveLength(1);
    const path = { in_use: 0, type: 0, is_virtual: 0 };
    expect(css[0xfe]).toEqual({ chpids: [{ in_use: 1, type: 0x32, is_virtual: 1 }, ...new Array(255).fill(path)] });
  });
});
