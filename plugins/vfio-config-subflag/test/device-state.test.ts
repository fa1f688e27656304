// The device states of VFIO v2: their numbers, and the shortest ways between them.
import { arcs, type DeviceState, deviceState, wayTo } from "@godwit/vfio-config-subflag";
import fc from "fast-check";
import { expect, it } from "vitest";
import { errorOf } from "./support/walk.ts";

const all = { p2p: true, preCopy: true };
const plain = { p2p: false, preCopy: false };

it("has the numbers of the kernel's interface", () => {
  expect(deviceState).toEqual({
    ERROR: 0,
    STOP: 1,
    RUNNING: 2,
    STOP_COPY: 3,
    RESUMING: 4,
    RUNNING_P2P: 5,
    PRE_COPY: 6,
    PRE_COPY_P2P: 7,
  });
});

it.each<[DeviceState, DeviceState, typeof all, string]>([
  ["RUNNING", "STOP", plain, "STOP"],
  ["RUNNING", "STOP", all, "RUNNING_P2P STOP"],
  ["RUNNING", "STOP_COPY", plain, "STOP STOP_COPY"],
  ["RUNNING", "STOP_COPY", all, "RUNNING_P2P STOP STOP_COPY"],
  ["RUNNING", "PRE_COPY_P2P", all, "PRE_COPY PRE_COPY_P2P"],
  ["RUNNING", "RESUMING", all, "RUNNING_P2P STOP RESUMING"],
  ["RESUMING", "RUNNING", plain, "STOP RUNNING"],
  ["RESUMING", "RUNNING", all, "STOP RUNNING_P2P RUNNING"],
  ["STOP_COPY", "RUNNING", all, "STOP RUNNING_P2P RUNNING"],
  ["PRE_COPY", "STOP_COPY", { p2p: false, preCopy: true }, "STOP_COPY"],
  ["PRE_COPY_P2P", "STOP_COPY", all, "STOP_COPY"],
  // Not through STOP_COPY, which would be as short and open a transfer.
  ["PRE_COPY", "STOP", { p2p: false, preCopy: true }, "RUNNING STOP"],
  ["PRE_COPY", "STOP", all, "RUNNING RUNNING_P2P STOP"],
  ["STOP_COPY", "RESUMING", all, "STOP RESUMING"],
  ["RUNNING", "RUNNING", all, ""],
])("%s to %s", (from, to, features, way) => {
  expect(wayTo(from, to, features).join(" ")).toBe(way);
});

it.each<[DeviceState, DeviceState, typeof all]>([
  ["RUNNING", "PRE_COPY", plain],
  ["RUNNING", "RUNNING_P2P", plain],
  ["PRE_COPY", "PRE_COPY_P2P", { p2p: false, preCopy: true }],
  ["ERROR", "RUNNING", all],
  ["RUNNING", "ERROR", all],
])("%s to %s: there is no way", (from, to, features) => {
  const error = errorOf(() => wayTo(from, to, features));
  expect([error.code, error.expected, error.found]).toEqual(["VFIO_STATE", `a way to ${to}`, from]);
});

it("goes by arcs only, and through no transfer", () => {
  const states = fc.constantFrom(...(Object.keys(deviceState) as DeviceState[]).filter((state) => state !== "ERROR"));
  const reachable = (state: DeviceState, { p2p, preCopy }: typeof all) =>
    (p2p || !state.endsWith("P2P")) && (preCopy || !state.startsWith("PRE_COPY"));
  fc.assert(
    fc.property(states, states, fc.record({ p2p: fc.boolean(), preCopy: fc.boolean() }), (from, to, features) => {
      fc.pre(reachable(from, features) && reachable(to, features));
      const way = wayTo(from, to, features);
      let at: DeviceState = from;
      for (const next of way) {
        expect(arcs(features)).toContainEqual([at, next]);
        at = next;
      }
      expect(at).toBe(to);
      expect(way.slice(0, -1).includes("PRE_COPY") && to === "STOP_COPY").toBe(false);
      for (const between of way.slice(0, -1)) expect(["STOP_COPY", "RESUMING"]).not.toContain(between);
    }),
    { seed: 5, numRuns: 300 },
  );
});
