// What is tested of packed rings before anything is loaded: where they lie, and the indices that travel.
import { type AnyRecord, cloneValue, isMigrationError } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { type AnyVirtioState, checkQueues, isPacked, type PackedVirtqueueState, status } from "../src/index.ts";
import { packedFeatures, rig } from "./support/rig.ts";

/** Eight slots: six used in this lap, of the four from slot 6 on none given back yet. */
function saved() {
  const all = rig({ parameters: { hostFeatures: packedFeatures } });
  all.start(packedFeatures);
  const state = cloneValue(all.state()) as AnyRecord & AnyVirtioState;
  const indices: PackedVirtqueueState = {
    last_avail_idx: 2,
    last_avail_wrap_counter: false,
    used_idx: 6,
    used_wrap_counter: true,
    inuse: 4,
  };
  state.virtio.packed_virtqueues.vq[0] = indices;
  return { ...all, state, indices };
}

function answer(change: Partial<PackedVirtqueueState>) {
  const { state, indices, check } = saved();
  Object.assign(indices, change);
  try {
    return check(state);
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    const { code, detail, location, expected, found } = error;
    return { code, detail, path: location.path, expected, found };
  }
}

describe("a packed ring", () => {
  it("with indices that fit is good", () => {
    const { state, memory } = saved();
    expect([isPacked(state), checkQueues(state, memory)]).toEqual([true, []]);
    expect(answer({})).toBeUndefined();
    // Empty, and full: the same slot, in the same lap or not.
    const fresh = { last_avail_idx: 6, used_idx: 6, used_wrap_counter: false };
    expect(answer({ ...fresh, inuse: 0 })).toBeUndefined();
    expect(answer({ ...fresh, last_avail_wrap_counter: true, inuse: 8 })).toBeUndefined();
  });

  it.each([
    ["a used index beyond the ring", { used_idx: 8 }, "used_idx", "below 8", "VQ 0 size 0x8 Used index 0x8"],
    ["more slots in use than there are", { inuse: 9 }, "inuse", "at most 8", "VQ 0 size 0x8 < inuse 0x9"],
    [
      "a count of slots that the indices deny",
      { inuse: 3 },
      "inuse",
      "4 slots in use",
      "VQ 0 size 0x8 last_avail_idx 0x2/0 - used_idx 0x6/1 inconsistent with inuse 0x3",
    ],
    [
      "a used index ahead of what was taken",
      { used_idx: 3, used_wrap_counter: false },
      "inuse",
      "15 slots in use",
      "VQ 0 size 0x8 last_avail_idx 0x2/0 - used_idx 0x3/0 inconsistent with inuse 0x4",
    ],
  ] as const)("with %s fails the load", (_, change, field, expected, detail) => {
    const path = `virtio.packed_virtqueues.vq[0].${field}`;
    expect(answer(change)).toMatchObject({ code: "VIRTQUEUE_INDEX", path, expected, detail });
  });

  it("with an available index beyond it breaks the device, and the load goes on", () => {
    const { state, indices, check, load, registered, device, resume, calls, save } = saved();
    indices.last_avail_idx = 8;
    const result = check(state);
    expect(result).toMatchObject({
      note: "VQ 0 size 0x8 has no slot for Host index 0x8",
      amended: { status: state.status | status.NEEDS_RESET, virtio: { broken: { broken: true } } },
    });
    if (result === undefined || !("amended" in result)) throw new Error("the state is amended");
    registered().init.load(result.amended as AnyRecord);
    expect([device.broken, device.queues[0]?.pop()]).toEqual([true, undefined]);
    resume();
    expect(calls.filter((call) => call === "notifyConfig")).toHaveLength(1);
    expect(load(save())).toContain("has no slot");
  });

  it.each([
    ["desc", 0x1000],
    ["avail", 0x1000 + 16 * 8],
    ["used", 0x1000 + 16 * 8 + 4],
  ])("whose %s part is not there fails at it", (part, at) => {
    const { state, memory } = saved();
    memory.hole(at, 1);
    expect(() => checkQueues(state, memory)).toThrow(
      expect.objectContaining({
        code: "MEMORY_UNMAPPED",
        location: expect.objectContaining({ path: `vqs[0].${part}` }),
      }),
    );
  });
});
