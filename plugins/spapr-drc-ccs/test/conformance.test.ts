// The plugin's promises, by the conformance suite: connectors whose hot-plug is under way, events that nobody has fetched,
// and trees that are half fetched; with the list of walks and without, and by the subsections of both releases.
import { describePlugin } from "@godwit/testkit/vitest";
import fc from "fast-check";
import { describe } from "vitest";
import { ConnectorTree } from "../src/fdt/tree.ts";
import { platformState, type SpaprDrcOptions, type SpaprState } from "../src/index.ts";
import { cpu, deepTree, Guest, lmb, machineIn, pci, toldOf } from "./support/machine.ts";

const indexes = [cpu, lmb, pci];

/** Of a connector with a device: a state that travels, or 0 for one that rests. */
const states = (travel: readonly number[], configured: number) =>
  fc
    .record({ state: fc.constantFrom(0, configured, ...travel), unplug_requested: fc.boolean() })
    .map(({ state, unplug_requested }) => {
      const isAtRest = state === 0 || (state === configured && !unplug_requested);
      return isAtRest ? { state: 0, unplug_requested: false } : { state, unplug_requested };
    })
    .map(({ state, unplug_requested }) => ({ state, unplugRequested: { unplug_requested } }));

/** Each tree is walked once at most, and from a token's first byte on; in the order of the connectors. */
const walks = fc
  .tuple(
    ...indexes.map((index) => {
      const places = new ConnectorTree(deepTree(index), 4096).positions();
      const walk = fc.constantFrom(...places).map(({ offset, depth }) => ({
        drc_index: index,
        fdt_offset: offset,
        fdt_depth: depth,
      }));
      return fc.option(walk, { nil: undefined });
    }),
  )
  .map((all) => all.filter((walk) => walk !== undefined));

describe.each<[string, Partial<SpaprDrcOptions>]>([
  ["merged-7.2", {}],
  ["ccs-7.2", { ccs: true, parameters: { irqMapBits: 128 } }],
  ["ccs-10.0", { ccs: true, hotplugSource: "hot-plug", parameters: { dialect: "10.0", optionVector: false } }],
])("%s", (name, options) => {
  const { ccs = false, parameters } = options;
  // More of a capability than here is refused, and of less the machine keeps its own.
  const own = Object.entries(platformState({ ...parameters, ccs })).filter(([key]) => key.startsWith("cap"));
  describePlugin({
    setup(bench) {
      const machine = machineIn(bench, options);
      for (const index of indexes) machine.drc.attach(index, deepTree(index), { cold: true });
      return machine;
    },
    exercise(machine, random) {
      const { drc } = machine;
      const guest = new Guest(machine);
      for (const index of indexes) {
        if (random.int(4) === 0) drc.requestUnplug(index);
        else {
          drc.detach(index);
          drc.plug(index, deepTree(index));
          guest.aim(index);
          if (random.bool()) guest.usable(index);
          if (random.int(4) > 0) guest.unisolate(index);
          for (let calls = random.int(toldOf(index).length + 1); calls > 0; calls--) guest.configure();
        }
      }
      guest.light(pci, random.int(4));
      if (random.bool()) guest.fetch();
    },
    arbitrary: {
      [`spapr_drc/${cpu}`]: () => states([1, 2, 3], 4),
      [`spapr_drc/${lmb}`]: () => states([1, 2, 3], 4),
      [`spapr_drc/${pci}`]: () => states([5, 6, 7], 8),
      "spapr_drc/physical": () => fc.constantFrom(0, 2, 3, 0xffff_ffff).map((dr_indicator) => ({ dr_indicator })),
      spapr: (base: fc.Arbitrary<SpaprState>) =>
        fc.tuple(base, walks).map(([state, ccs_list]) => ({
          ...state,
          ...Object.fromEntries(own),
          ...(ccs && { spaprccslist: { ccs_list } }),
        })),
    },
    states: 20,
    goldens: new URL(`../goldens/${name}/`, import.meta.url),
    sources: new URL("../src/", import.meta.url),
  });
});
