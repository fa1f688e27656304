// What stands around the fields in QEMU: the members of a description, and how a device is registered. Each with a trial.
import {
  createKernel,
  type Description,
  decodeState,
  encodeState,
  isMigrationError,
  type Kernel,
  since,
  subsection,
  u8,
  until,
  virtualClock,
  vmstate,
} from "@godwit/core";

export interface Member {
  readonly qemu: string;
  readonly godwit: string;
  readonly remark: string;
  /** Throws where the row is not true. None: there is no counterpart to try. */
  readonly trial?: () => unknown;
}

function expectEqual(found: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${a} instead of ${b}`);
}

async function expectCode(code: string, work: () => unknown): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (isMigrationError(error) && error.code === code) return;
    throw error;
  }
  throw new Error(`no ${code}`);
}

const kernel = (): Kernel =>
  createKernel({
    machineType: "guide-1.0",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });

const idle = { save: () => ({ value: 1 }), load: () => {} };
const named = (name: string, more: Record<string, unknown> = {}): Description<{ value: number }> =>
  vmstate({ name, version: 1, fields: { value: u8 }, ...more });

async function sections(of: Kernel): Promise<string[]> {
  let found: string[] = [];
  of.events.once("saved", (all) => {
    found = all.map(({ idstr, instance }) => `${idstr}/${instance}`);
  });
  for await (const _ of of.save());
  return found;
}

const grown = vmstate({
  name: "dial",
  version: 3,
  minimumVersion: 2,
  fields: { old: until(3, u8, { absent: 0 }), value: since(3, u8, { absent: 5 }) },
});

const withPart = vmstate({
  name: "dial",
  version: 1,
  fields: { value: u8 },
  subsections: {
    limit: subsection({
      name: "dial/limit",
      version: 1,
      fields: { limit: u8 },
      needed: (own) => own.limit !== 9,
      absent: { limit: 9 },
    }),
  },
});

const hooked = vmstate({
  name: "dial",
  version: 1,
  fields: { value: u8 },
  preSave: ({ value }) => ({ value: value & 0x0f }),
  postLoad: ({ value }) => ({ value: value + 1 }),
});

export const descriptions: readonly Member[] = [
  { qemu: "`.name`", godwit: "`name`", remark: "on the wire in the section's head", trial: () => named("dial") },
  {
    qemu: "`.version_id`",
    godwit: "`version`",
    remark: "on the wire in the section's head; a newer one is `SECTION_VERSION`",
    trial: () => expectCode("SECTION_VERSION", () => decodeState(grown, Uint8Array.of(1), { version: 4 })),
  },
  {
    qemu: "`.minimum_version_id`",
    godwit: "`minimumVersion`",
    remark: "older is `SECTION_VERSION`; the default is `version`",
    async trial() {
      expectEqual(decodeState(grown, Uint8Array.of(8), { version: 2 }), { old: 8, value: 5 });
      await expectCode("SECTION_VERSION", () => decodeState(grown, Uint8Array.of(1), { version: 1 }));
    },
  },
  {
    qemu: "`.minimum_version_id_old`, `.load_state_old`",
    godwit: "none",
    remark: "QEMU has them no more; another shape is `formerly: [former(old, { convert })]`",
  },
  {
    qemu: "`.fields`, `VMSTATE_END_OF_LIST`",
    godwit: "`fields`",
    remark: "an object; the order of its keys is the order on the wire, and it needs no end",
    trial: () => expectCode("DEFINITION_INVALID", () => vmstate({ name: "dial", version: 1, fields: { 0: u8 } })),
  },
  {
    qemu: "`.subsections`",
    godwit: "`subsections`",
    remark: "each a `subsection({ name, version, fields, needed, absent })`",
    trial() {
      expectEqual([...encodeState(withPart, { value: 1, limit: { limit: 9 } })], [1]);
      expectEqual(decodeState(withPart, Uint8Array.of(1)), { value: 1, limit: { limit: 9 } });
    },
  },
  {
    qemu: "`.needed`",
    godwit: "`needed`, and `absent` with it",
    remark: "what is not needed must equal `absent`, else `ABSENT_MISMATCH`; in QEMU nothing checks it",
    async trial() {
      const of = kernel();
      const rare = named("dial", { needed: () => false, absent: { value: 0 } });
      of.device(rare, idle);
      await expectCode("ABSENT_MISMATCH", () => sections(of));
    },
  },
  {
    qemu: "`.pre_save`",
    godwit: "`preSave`",
    remark: "pure: gives the state that is written",
    trial: () => expectEqual([...encodeState(hooked, { value: 0x12 })], [2]),
  },
  { qemu: "`.post_save`", godwit: "none", remark: "nothing is allocated for a save" },
  { qemu: "`.pre_load`", godwit: "none", remark: "a state is complete: `absent` says what did not come" },
  {
    qemu: "`.post_load`",
    godwit: "`postLoad`, the device's `check`, its `load`",
    remark: "`postLoad` is pure and changes data; `check` refuses; `load` has the effect, and cannot fail",
    trial: () => expectEqual(decodeState(hooked, Uint8Array.of(4)), { value: 5 }),
  },
  {
    qemu: "`.priority`, `MIG_PRI_IOMMU` ...",
    godwit: '`priority: "iommu"` ...',
    remark: "the order on the wire; `after` is the order of checks and loads",
    async trial() {
      const of = kernel();
      of.device(named("dial"), idle);
      of.device(named("iommu", { priority: "iommu" }), idle);
      expectEqual(await sections(of), ["iommu/0", "timer/0", "dial/0"]);
    },
  },
  {
    qemu: "`.early_setup`",
    godwit: "`earlySetup: true`",
    remark: "sent before the first page",
    async trial() {
      const of = kernel();
      of.device(named("early", { earlySetup: true }), idle);
      expectEqual(await sections(of), ["early/0", "timer/0"]);
    },
  },
  {
    qemu: "`.unmigratable`",
    godwit: "`unmigratable(name, reason)`, or `unmigratable: reason`",
    remark: "`DEVICE_UNMIGRATABLE`, before a byte is sent",
    async trial() {
      const of = kernel();
      of.device(named("dial", { unmigratable: "it is on the host" }), idle);
      await expectCode("DEVICE_UNMIGRATABLE", () => sections(of));
    },
  },
  { qemu: "`.dev_unplug_pending`", godwit: "none", remark: "remove the device, then begin" },
];

export const registrations: readonly Member[] = [
  {
    qemu: "`vmstate_register(..., 0, ...)`, `dc->vmsd`",
    godwit: "`kernel.device(description, { save, load })`",
    remark: "instance 0; a second one without `instance` or `path` is `INSTANCE_AMBIGUOUS`",
    async trial() {
      const of = kernel();
      of.device(named("dial"), idle);
      await expectCode("INSTANCE_AMBIGUOUS", () => of.device(named("dial"), idle));
    },
  },
  {
    qemu: "`VMSTATE_INSTANCE_ID_ANY`",
    godwit: '`instance: "auto"`',
    remark: "numbers in the order of registration: both sides must keep to one order",
    async trial() {
      const of = kernel();
      of.device(named("dial"), { ...idle, instance: "auto" });
      of.device(named("dial"), { ...idle, instance: "auto" });
      expectEqual(await sections(of), ["timer/0", "dial/0", "dial/1"]);
    },
  },
  {
    qemu: "the bus's `get_dev_path`",
    godwit: '`path: "0000:00:02.0"`',
    remark: "the idstr is `path/name`, instance 0; the bare name is read as well",
    async trial() {
      const of = kernel();
      of.device(named("dial"), { ...idle, path: "0000:00:02.0" });
      expectEqual(await sections(of), ["timer/0", "0000:00:02.0/dial/0"]);
    },
  },
  {
    qemu: "`vmstate_register_with_alias_id`",
    godwit: "`alias: 0x3f8`",
    remark: "a legacy instance id that is read as well",
    async trial() {
      const old = kernel();
      old.device(named("serial"), { ...idle, instance: 0x3f8 });
      let loaded = 0;
      const now = kernel();
      now.device(named("serial"), {
        ...idle,
        alias: 0x3f8,
        load: ({ value }) => {
          loaded = value;
        },
      });
      await now.load(old.save());
      expectEqual(loaded, 1);
    },
  },
  {
    qemu: "`register_savevm_live`, `SaveVMHandlers`",
    godwit: "`kernel.iterable(handler)`",
    remark: "see [write an iterable handler](iterable.md)",
  },
  {
    qemu: "`vmstate_unregister`",
    godwit: "`registration.remove()`",
    remark: "`REGISTRY_FROZEN` while the machine is saved or loaded",
    async trial() {
      const of = kernel();
      of.device(named("dial"), idle).remove();
      expectEqual(await sections(of), ["timer/0"]);
    },
  },
  {
    qemu: "`migrate_add_blocker`",
    godwit: "register an `unmigratable` device; `remove()` it later",
    remark: "the reason is in the error",
    async trial() {
      const of = kernel();
      const blocker = of.device(named("blocker", { unmigratable: "a passthrough device is open" }), idle);
      await expectCode("DEVICE_UNMIGRATABLE", () => sections(of));
      blocker.remove();
      expectEqual(await sections(of), ["timer/0"]);
    },
  },
];

export async function checkMembers(): Promise<number> {
  const all = [...descriptions, ...registrations];
  for (const { qemu, trial } of all) {
    try {
      await trial?.();
    } catch (cause) {
      throw new Error(`${qemu}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    }
  }
  return all.filter(({ trial }) => trial !== undefined).length;
}
