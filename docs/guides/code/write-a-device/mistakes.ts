// The mistakes that are made most, and what each is told as.
import {
  array,
  type Description,
  type DeviceInit,
  isMigrationError,
  MigrationError,
  type StateOf,
  subsection,
  u8,
  varray,
  vmstate,
} from "@godwit/core";
import { emptyMachine } from "./machine.ts";

const hostNow = () => 0n;

function machineWith<D extends Description>(description: D, init: DeviceInit<StateOf<D>>) {
  const { kernel } = emptyMachine(hostNow);
  kernel.device(description, init);
  return kernel;
}

async function savedBy<D extends Description>(description: D, save: () => unknown): Promise<Uint8Array> {
  const chunks: number[] = [];
  const kernel = machineWith(description, { save: save as () => StateOf<D>, load: () => {} });
  for await (const chunk of kernel.save()) chunks.push(...chunk);
  return Uint8Array.from(chunks);
}

const one = vmstate({ name: "dial", version: 1, fields: { value: u8 } });
const two = vmstate({ name: "dial", version: 1, fields: { value: u8, limit: u8 } });
const counted = vmstate({ name: "dial", version: 1, fields: { count: u8, values: varray("count", u8) } });
const rare = vmstate({
  name: "dial",
  version: 1,
  fields: { value: u8, limit: u8 },
  needed: ({ value }) => value !== 0, // forgets `limit`
  absent: { value: 0, limit: 0 },
});

const mistakes: Record<string, () => unknown> = {
  "a described field is not in what `save` gives": () => savedBy(one, () => ({})),
  "a value does not fit its field": () => savedBy(one, () => ({ value: 256 })),
  "the count and the array differ": () => savedBy(counted, () => ({ count: 2, values: [1] })),
  "`save` is async": () => savedBy(one, async () => ({ value: 1 })),
  "`needed` forgets a field": () => savedBy(rare, () => ({ value: 0, limit: 9 })),
  "a field more under the same version": async () => {
    const old = await savedBy(one, () => ({ value: 1 }));
    await machineWith(two, { save: () => ({ value: 0, limit: 0 }), load: () => {} }).load(old);
  },
  "a device that the save lacks": async () => {
    const old = await savedBy(one, () => ({ value: 1 }));
    const kernel = machineWith(one, { save: () => ({ value: 0 }), load: () => {} });
    kernel.device(vmstate({ name: "new-dial", version: 1, fields: { value: u8 } }), {
      save: () => ({ value: 0 }),
      load: () => {},
    });
    await kernel.load(old);
  },
  "`load` throws": async () => {
    const kernel = machineWith(one, {
      save: () => ({ value: 0 }),
      load: () => {
        throw new Error("the dial is stuck");
      },
    });
    await kernel.load(await savedBy(one, () => ({ value: 1 })));
  },
  "a second device of the same name": () => {
    const kernel = machineWith(one, { save: () => ({ value: 0 }), load: () => {} });
    kernel.device(one, { save: () => ({ value: 0 }), load: () => {} });
  },
  "`after` names what is not there": () =>
    machineWith(one, { after: ["dail"], save: () => ({ value: 0 }), load: () => {} }).snapshot(),
  "a device comes while the machine is saved": async () => {
    const kernel = machineWith(one, { save: () => ({ value: 0 }), load: () => {} });
    for await (const _ of kernel.save())
      kernel.device(two, { instance: 1, save: () => ({ value: 0, limit: 0 }), load() {} });
  },
  "a field's key is a number": () => vmstate({ name: "dial", version: 1, fields: { value: u8, 0: u8 } }),
  "a subsection's name does not begin with the device's": () =>
    vmstate({
      name: "dial",
      version: 1,
      fields: { value: u8 },
      subsections: { limit: subsection({ name: "limit", version: 1, fields: { limit: u8 }, absent: { limit: 0 } }) },
    }),
  "an array's count is a later field": () =>
    vmstate({ name: "dial", version: 1, fields: { values: array(u8, "count"), count: u8 } }),
};

for (const [mistake, make] of Object.entries(mistakes)) {
  let found = new MigrationError("NOTHING", "nothing was said");
  try {
    await make();
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    found = error;
  }
  console.log(`${mistake}\n  ${found.message}`);
  if (found.code === "NOTHING") throw new Error(`${mistake}: no error`);
}
