// ibm,configure-connector: one token of a connector's tree a call, into the guest's work area.
// Source: PAPR 13.5.3.5; the layout of the work area is that of QEMU 7.2's answers.
import { Writer } from "@godwit/core";
import type { Connector } from "./connector.ts";
import type { GuestMemory } from "./memory.ts";
import { configureStatus } from "./rtas-status.ts";

/** The guest's work area: be32 index, 0, name offset, value length, value offset, then names and values. Bytes. */
export const workAreaBytes = 4096;
const dataAt = 20;
/** What a token may take: a name with its NUL, and a value. */
export const workAreaDataBytes: number = workAreaBytes - dataAt;

/**
 * One call. The work area at `address` names the connector. What the answer is not about stays in the work area as it
 * was, so the guest's copy of it need not travel beside its memory. `MEMORY_UNMAPPED` where there is no work area.
 */
export function configureConnector(
  connectorOf: (index: number) => Connector | undefined,
  memory: GuestMemory,
  address: number,
): number {
  const head = memory.read(address, 4);
  const index = new DataView(head.buffer, head.byteOffset, 4).getUint32(0);
  const connector = connectorOf(index);
  if (connector === undefined) return configureStatus.PARAMETER;
  const { tree, state, states } = connector;
  const isOpen = state === states.unisolated || state === states.configured;
  if (!isOpen || tree === undefined) return configureStatus.NOT_CONFIGURABLE;
  const { step, position } = tree.next(connector.walk ?? tree.start);
  const out = new Writer(workAreaBytes);
  switch (step.kind) {
    case "node":
      out.u32(dataAt);
      memory.write(address + 8, out.flush());
      writeName(out, step.name);
      memory.write(address + dataAt, out.flush());
      connector.walk = position;
      return configureStatus.NEXT_CHILD;
    case "property":
      for (const word of [dataAt, step.value.length, dataAt + step.name.length + 1]) out.u32(word);
      writeName(out, step.name);
      out.raw(step.value);
      memory.write(address + 8, out.flush());
      connector.walk = position;
      return configureStatus.NEXT_PROPERTY;
    case "end-node":
      if (position.depth === 0) {
        connector.configured();
        return configureStatus.COMPLETE;
      }
      connector.walk = position;
      return configureStatus.PREVIOUS_PARENT;
  }
}

function writeName(out: Writer, name: Uint8Array): void {
  out.raw(name);
  out.u8(0);
}
