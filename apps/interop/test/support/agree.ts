// Decoded states against what QEMU says after it has loaded them.
import { cloneValue } from "@godwit/core/codec";
import type { AnyVirtioState } from "@godwit/virtio-core";
import { expect } from "vitest";
import { seenByQemu, seenInState, virtioPaths } from "../../src/monitor.ts";
import type { Qemu } from "../../src/qemu.ts";

/** Collects the virtio states that go through a rebuild, as they were sent. */
export class Sent {
  readonly states = new Map<string, AnyVirtioState>();

  take(idstr: string, state: Record<string, unknown>): void {
    if ("guest_features" in state) this.states.set(idstr, cloneValue(state) as never);
  }

  /** Every device, every queue that travelled; `names` are all that there are. */
  async agree(qemu: Qemu, names: readonly string[]): Promise<void> {
    expect([...this.states.keys()]).toEqual(names);
    const paths = await virtioPaths(qemu);
    for (const [idstr, state] of this.states) {
      const path = paths.get(idstr.replace(/.*\//, ""));
      if (path === undefined) throw new Error(`QEMU has no ${idstr}`);
      expect(await seenByQemu(qemu, path, state.vqs.length), idstr).toEqual(seenInState(state));
    }
  }
}
