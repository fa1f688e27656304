// A plugin whose devices hold lists, queues and trees in every form: what this codec's users register.
import { readFileSync } from "node:fs";
import {
  array,
  bool,
  type Description,
  type Plugin,
  type StateOf,
  since,
  subsection,
  u8,
  u16,
  u32,
  u64,
  vbuffer,
  vmstate,
} from "@godwit/core";
import { gtree, qlist, qtailq } from "../../src/index.ts";

const request = vmstate({
  name: "request",
  version: 1,
  fields: { tag: u32, bytes: u16, data: vbuffer("bytes", { max: 512 }) },
  subsections: {
    retry: subsection({
      name: "request/retry",
      version: 1,
      fields: { times: u8 },
      needed: ({ times }) => times !== 0,
      absent: { times: 0 },
    }),
  },
});

/** In flight, and done: a queue of requests, a list of their tags, and since version 2 rows of words. */
export const queueSection = vmstate({
  name: "queue",
  version: 2,
  minimumVersion: 1,
  fields: {
    in_flight: qtailq(request),
    done: qlist(u32),
    rows: since(2, qtailq(qlist(array(u16, 2))), { absent: [] }),
  },
});

const interval = vmstate({ name: "interval", version: 1, fields: { low: u64, high: u64 } });
const mapping = vmstate({ name: "mapping", version: 1, fields: { phys: u64, writable: bool, users: qlist(u8) } });

/** Trees by integer keys, and by intervals from the highest down. */
export const mapSection = vmstate({
  name: "map",
  version: 1,
  fields: {
    domains: gtree({ key: "direct", value: mapping }),
    intervals: gtree({ key: interval, value: mapping, order: (a, b) => Number(b.low > a.low) - Number(b.low < a.low) }),
  },
});

export interface Bus {
  id: number;
  children: Bus[];
}
/** A tree of buses, in the form of the proposal. */
const busSection: Description<Bus> = vmstate({
  name: "bus",
  version: 1,
  fields: { id: u8, children: qlist<Bus>(() => busSection, { dialect: "proposal", maxDepth: 8 }) },
});

export interface Lists {
  queue: StateOf<typeof queueSection>;
  map: StateOf<typeof mapSection>;
  bus: Bus;
}

export function listsPlugin(): Plugin<Lists> {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return {
    name: "lists",
    version,
    contract: 1,
    setup(kernel) {
      const own: Lists = {
        queue: { in_flight: [], done: [], rows: [] },
        map: { domains: [], intervals: [] },
        bus: { id: 0, children: [] },
      };
      const held = <K extends keyof Lists>(key: K) => ({
        save: () => own[key],
        load(state: Lists[K]) {
          own[key] = state;
        },
      });
      kernel.device(queueSection, held("queue"));
      kernel.device(mapSection, held("map"));
      kernel.device(busSection, held("bus"));
      return own;
    },
  };
}
