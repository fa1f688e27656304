// One way that a guest goes: from a QEMU through Godwit into another QEMU.
import { expect } from "vitest";
import { counts, goesOn } from "../../src/counts.ts";
import { Qemu, type QemuTarget } from "../../src/qemu.ts";
import { type RebuildOptions, rebuild } from "../../src/rebuild.ts";

export interface Hop {
  readonly target: QemuTarget;
  readonly source: { readonly options: readonly string[]; readonly stream?: Uint8Array };
  readonly destination: readonly string[];
  /** On the source, before it is saved. */
  before?(qemu: Qemu): Promise<void>;
  readonly rebuild?: RebuildOptions;
  /** On the destination, loaded and not yet running. */
  loaded?(qemu: Qemu): Promise<void>;
  /** On the destination, while it runs. */
  after?(qemu: Qemu): Promise<void>;
}

/** Counts that each side must see. */
const each = 5;

/** Gives what went through a state. */
export async function hop(init: Hop): Promise<readonly string[]> {
  const { target, source, destination } = init;
  const { stream, serial } = await leave(init);
  const made = rebuild(stream, init.rebuild);
  const qemu = await Qemu.start({ target, options: destination, stream: made.bytes, stopped: true });
  try {
    await init.loaded?.(qemu);
    await qemu.qmp("cont");
    await qemu.until(() => counts(qemu.serial).length >= each, "counting");
    await init.after?.(qemu);
    const { gaps, to } = goesOn(serial, qemu.serial);
    expect(gaps, `${source.options[1]}: what the guest counted`).toEqual([]);
    expect(to).toBeGreaterThan((counts(serial).at(-1) as number) + each - 2);
    expect(qemu.stderr).not.toMatch(/inconsistent|error|fail/i);
    return made.described;
  } finally {
    await qemu.stop();
  }
}

async function leave({ target, source, before }: Hop): Promise<{ stream: Uint8Array; serial: string }> {
  const qemu = await Qemu.start({ target, ...source });
  try {
    await qemu.until(() => counts(qemu.serial).length >= each, "counting");
    await before?.(qemu);
    const stream = await qemu.save();
    return { stream, serial: qemu.serial };
  } finally {
    await qemu.stop();
  }
}
