// A device that fails on demand, and remembers what was done with it.
import {
  type AnyRecord,
  cloneValue,
  type Dependency,
  type Description,
  type KernelForPlugins,
  type Registration,
  u32,
  vmstate,
} from "@godwit/core";
import { CallLog, type Calls, type Failing, failure } from "./calls.ts";

/** Everything that a kernel calls of a device. */
export type DeviceCall = "quiesce" | "save" | "offer" | "check" | "load" | "ready" | "resumed";

export interface FailingDeviceInit {
  /** The name of its description; the default is `failing`. Goes with a description of its own. */
  readonly idstr?: string;
  readonly instance?: number;
  readonly after?: readonly Dependency[];
  /** Which calls fail, from the first on; the default is none. */
  readonly fail?: Partial<Record<DeviceCall, Failing>>;
  /** What they throw, or reject with; the default is an `Error` that names the call. */
  readonly with?: unknown;
  /** The default has one `u32`, `value`. With it, `state` is needed. */
  readonly description?: Description;
  readonly state?: AnyRecord;
}

export interface FailingDevice {
  readonly registration: Registration;
  readonly calls: Calls<DeviceCall>;
  /** What it saves, and what the last good load gave it. */
  state: AnyRecord;
}

/**
 * Registers it. `quiesce` and `ready` reject, the others throw. A load that fails has taken half of the state over: its
 * fields' first half, as a device's may.
 */
export function failingDevice(kernel: KernelForPlugins, init: FailingDeviceInit = {}): FailingDevice {
  const { idstr = "failing", instance = 0, after = [], fail = {} } = init;
  const description = init.description ?? vmstate({ name: idstr, version: 1, fields: { value: u32 } });
  const calls = new CallLog<DeviceCall>(fail, "with" in init ? () => init.with : failure(`${idstr}/${instance}`));
  const registration = kernel.device(description as Description<AnyRecord>, {
    instance,
    after,
    quiesce: async () => calls.called("quiesce"),
    save() {
      calls.called("save");
      return device.state;
    },
    offer(state) {
      calls.called("offer", cloneValue(state));
      return state;
    },
    check: (state) => calls.called("check", cloneValue(state)),
    load(state) {
      try {
        calls.called("load", cloneValue(state));
      } catch (error) {
        device.state = halfOf(device.state, state);
        throw error;
      }
      device.state = state;
    },
    ready: async () => calls.called("ready"),
    resumed: () => calls.called("resumed"),
  });
  const device: FailingDevice = { registration, calls, state: cloneValue(init.state ?? { value: 0 }) };
  return device;
}

function halfOf(before: AnyRecord, state: AnyRecord): AnyRecord {
  const keys = Object.keys(state);
  const taken = keys.slice(0, Math.ceil(keys.length / 2)).map((key) => [key, state[key]]);
  return { ...before, ...Object.fromEntries(taken) };
}
