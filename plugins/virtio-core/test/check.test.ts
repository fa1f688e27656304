// What is tested before anything is loaded: features, queue fields, rings and their indices, in staged memory.
import { type AnyRecord, cloneValue, isMigrationError } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { type AnyVirtioState, checkQueues, feature, readRing, ringOf, ringRules, status } from "../src/index.ts";
import { TestMemory } from "./support/memory.ts";
import { hostFeatures, rig } from "./support/rig.ts";

/** A device with two requests served and one waiting, its state, and the parts to change. */
function saved(features = hostFeatures) {
  const all = rig();
  all.start(features);
  all.device.readConfig(0, 1);
  const [ring, second] = all.rings;
  if (ring === undefined || second === undefined) throw new Error("the rig has two rings");
  const request = () => ring.add({ address: 0x6000, length: 4 }, { address: 0x7000, length: 4, write: true });
  request();
  request();
  all.device.kick(0);
  request();
  const state = cloneValue(all.state()) as AnyRecord & AnyVirtioState;
  all.calls.length = 0;
  return { ...all, ring, second, state };
}

function failure(work: () => unknown) {
  try {
    work();
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    const { code, detail, location, expected, found } = error;
    return { code, detail, path: location.path, expected, found };
  }
  throw new Error("nothing was thrown");
}

type Saved = ReturnType<typeof saved>;

/** The state after a change, checked; and that the check called nothing of device or transport. */
function checked(change: (all: Saved) => void) {
  const all = saved();
  change(all);
  const before = all.save();
  all.calls.length = 0;
  try {
    return all.check(all.state);
  } finally {
    expect(all.calls).toEqual([]);
    expect(all.save()).toEqual(before);
  }
}

describe("a good state", () => {
  it("is answered with nothing, and its rings can be read", () => {
    expect(checked(() => {})).toBeUndefined();
    const { state, memory } = saved();
    expect(checkQueues(state, memory)).toEqual([]);
    const ring = ringOf(state, 0);
    if (ring === undefined) throw new Error("queue 0 is set up");
    expect(readRing(memory, ring, ringRules(state))).toMatchObject({ availIdx: 3, usedIdx: 2, availFlags: 0 });
    expect(ringOf(state, 7)).toBeUndefined();
  });

  it("looks at staged memory, never at the machine's own", () => {
    expect(
      checked(({ memory }) => {
        memory.stagedMemory = new TestMemory();
        memory.stagedMemory.bytes.set(memory.bytes);
        memory.hole(0, 0x8000);
      }),
    ).toBeUndefined();
  });

  it("whose device cannot reach memory has rings that nobody looks at", () => {
    const change = ({ state, memory }: Saved, dma: number) => {
      (state.transport as { dma: number }).dma = dma;
      memory.hole(0x1000, 0x1000);
    };
    expect(checked((all) => change(all, 0))).toBeUndefined();
    expect(failure(() => checked((all) => change(all, 1))).code).toBe("MEMORY_UNMAPPED");
  });
});

describe("features", () => {
  it("that are not offered here fail, both named", () => {
    const { code, detail, path, expected, found } = failure(() =>
      checked(({ state }) => {
        state.virtio.features64.guest_features |= 0x1000n | feature.RING_PACKED;
      }),
    );
    expect([code, path, expected, found]).toEqual(["DEVICE_CHECK", "guest_features", "0x130000005", "0x530001005"]);
    expect(detail).toBe("Features 0x530001005 unsupported. Allowed features: 0x130000005");
  });

  it("from bit 64 on count, too", () => {
    const beyond = (all: Saved) => {
      all.state.virtio.features128.guest_features = 1n;
    };
    expect(failure(() => checked(beyond)).found).toBe("0x10000000130000005");
  });
});

describe("queues", () => {
  it("more than the device has fail", () => {
    const more = ({ state }: Saved) => {
      state.vqs.push({ num: 4, align: 4096, desc: 0n, last_avail_idx: 0, transport: { vector: 0 } });
      state.queue_count = 3;
    };
    expect(failure(() => checked(more))).toMatchObject({ code: "DEVICE_CHECK", path: "queue_count", found: "3" });
  });

  it("not set up, of which something was taken, fail", () => {
    const { code, path, detail } = failure(() =>
      checked(({ state }) => {
        Object.assign(state.vqs[1] as object, { desc: 0n, last_avail_idx: 5 });
      }),
    );
    expect([code, path]).toEqual(["VIRTQUEUE_INDEX", "vqs[1].last_avail_idx"]);
    expect(detail).toBe("VQ 1 address 0x0 inconsistent with Host index 0x5");
  });

  it("of an alignment that nothing here drives fail", () => {
    const align = ({ state }: Saved) => {
      (state.vqs[1] as { align: number }).align = 64;
    };
    expect(failure(() => checked(align))).toMatchObject({ code: "DEVICE_CHECK", path: "vqs[1].align", found: "64" });
  });

  it.each([0, 32769, 0xffff_ffff])("with a ring of %i entries fail", (num) => {
    const resize = ({ state }: Saved) => {
      (state.vqs[0] as { num: number }).num = num;
    };
    expect(failure(() => checked(resize))).toMatchObject({ code: "COUNT_BOUND", path: "vqs[0].num" });
  });
});

describe("rings", () => {
  it.each([
    ["desc", 0x2000, "vqs[1].desc"],
    ["avail", 0x2000 + 16 * 4, "vqs[1].avail"],
    ["used", 0x2000 + 16 * 4 + 16, "vqs[1].used"],
  ] as const)("whose %s part is not there fail at it", (_, address, path) => {
    const found = failure(() => checked(({ memory }) => memory.hole(address, 1)));
    expect(found).toMatchObject({ code: "MEMORY_UNMAPPED", path });
  });

  it("at addresses that no memory has fail", () => {
    const move = ({ state }: Saved) => {
      (state.virtio.virtqueues.vq[0] as { used: bigint }).used = 1n << 60n;
    };
    const found = failure(() => checked(move));
    expect(found).toMatchObject({ code: "MEMORY_UNMAPPED", path: "vqs[0].used", found: "0x1000000000000000" });
  });

  it("of a legacy driver lie where its descriptor table says, in its byte order", () => {
    const { state, memory } = saved(0n);
    expect(ringOf(state, 0)).toEqual({ num: 8, desc: 0x1000n, avail: 0x1080n, used: 0x2000n });
    memory.view.setUint16(0x1082, 3, true);
    memory.view.setUint16(0x2002, 2, true);
    state.vqs.length = 1;
    expect(checkQueues(state, memory)).toEqual([]);
    state.virtio.device_endian.device_endian = 2;
    expect(checkQueues(state, memory)).toMatchObject([{ index: 0 }]);
  });
});

describe("an available index", () => {
  it("as far ahead as the ring is long is good", () => {
    const ahead = ({ ring }: Saved) => {
      ring.availIdx = 2 + 8;
    };
    expect(checked(ahead)).toBeUndefined();
  });

  it("further ahead breaks the device, and the load goes on", () => {
    const answer = checked(({ ring, second }) => {
      ring.availIdx = 2 + 9;
      second.availIdx = 0xffff;
    });
    if (answer === undefined || !("amended" in answer)) throw new Error("the state is amended");
    expect(answer.note).toBe(
      "VQ 0 size 0x8 Guest index 0xb inconsistent with Host index 0x2: delta 0x9; " +
        "VQ 1 size 0x4 Guest index 0xffff inconsistent with Host index 0x0: delta 0xffff",
    );
    const amended = answer.amended as unknown as AnyVirtioState;
    expect(amended.virtio.broken).toEqual({ broken: true });
    expect(amended.status & status.NEEDS_RESET).toBe(status.NEEDS_RESET);
  });

  it("breaks a legacy device without a word to its driver", () => {
    const { state, memory, check } = saved(0n);
    state.vqs.length = 1;
    state.queue_count = 1;
    memory.view.setUint16(0x1082, 99, true);
    const answer = check(state);
    expect(answer).toMatchObject({ amended: { virtio: { broken: { broken: true } }, status: state.status } });
  });

  it("that went past 2^16 is compared as it counts", () => {
    const wrap = ({ ring, state }: Saved) => {
      (state.vqs[0] as { last_avail_idx: number }).last_avail_idx = 0xffff;
      ring.availIdx = 2;
      ring.usedIdx = 0xfffd;
    };
    expect(checked(wrap)).toBeUndefined();
  });
});

describe("a used index", () => {
  it("as far behind as the ring is long is good", () => {
    const behind = ({ ring, state }: Saved) => {
      (state.vqs[0] as { last_avail_idx: number }).last_avail_idx = 3;
      ring.usedIdx = (3 - 8) & 0xffff;
    };
    expect(checked(behind)).toBeUndefined();
  });

  it.each([
    ["further behind", (2 - 9) & 0xffff, "9"],
    ["ahead of what was taken", 3, "65535"],
  ])("%s fails the load", (_, usedIdx, found) => {
    const set = ({ ring }: Saved) => {
      ring.usedIdx = usedIdx;
    };
    const error = failure(() => checked(set));
    expect(error).toMatchObject({ code: "VIRTQUEUE_INDEX", path: "vqs[0].last_avail_idx", found });
    expect(error.detail).toBe(`VQ 0 size 0x8 < last_avail_idx 0x2 - used_idx 0x${usedIdx.toString(16)}`);
  });
});

describe("the device's own check", () => {
  it("comes last, sees what was found good, and may amend or refuse", () => {
    const { model, check, state, ring } = saved();
    const seen: unknown[] = [];
    Object.assign(model, {
      check(
        own: { served: number },
        context: { legacy: unknown; features: bigint; config: Uint8Array; status: number },
      ) {
        seen.push(own, context.legacy, context.features, Array.from(context.config), context.status);
        return { amended: { served: 99 }, note: "served is not right" };
      },
    });
    expect(check(state)).toMatchObject({
      amended: { device: { served: 99 }, virtio: { broken: { broken: false } } },
      note: "served is not right",
    });
    expect(seen).toEqual([{ served: 2 }, { mark: 7 }, hostFeatures, [1, 2, 3, 4], 0x0f]);
    ring.availIdx = 99;
    expect(check(state)).toMatchObject({ amended: { device: { served: 99 }, virtio: { broken: { broken: true } } } });
    ring.usedIdx = 99;
    seen.length = 0;
    ring.availIdx = 3;
    expect(failure(() => check(state)).code).toBe("VIRTQUEUE_INDEX");
    expect(seen).toEqual([]);
  });
});
