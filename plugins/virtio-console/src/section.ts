// virtio-console as a class of sections, whatever the transport.
import { MigrationError } from "@godwit/core";
import { elementBlobBytes, type NoData, noData, type VirtioClass, type VirtioClassFacts } from "@godwit/virtio-core";
import { maxPortsOf } from "./configuration.ts";
import { mostPorts, section } from "./constants.ts";
import { mapWords, type SerialParameters, serialState, type VirtioSerialState } from "./serial-state.ts";

/** virtio-console as a class of sections. It has no class description: its ports stand before one would. */
export const virtioConsoleClass: VirtioClass<SerialParameters, NoData, VirtioSerialState> = {
  ...section,
  description: () => noData,
  legacySave: serialState,
  infer: inferSerialParameters,
};

/**
 * Finds the number of ports and whether packed rings are offered: from the section's queues, from configuration space,
 * and from where the list of ports ends. Without an element the bytes are the same with packed rings and without.
 */
export function inferSerialParameters({ config, queues, tail }: VirtioClassFacts): SerialParameters {
  const maxPorts = inferMaxPorts(config, queues.length);
  const fits = [false, true].filter((packed) => portsEnd(tail, { maxPorts, packed }) !== undefined);
  const [packed, other] = fits;
  if (packed === undefined) {
    throw new MigrationError("PARAMETER_WRONG", "the list of ports ends nowhere", {
      path: "maxPorts",
      found: String(maxPorts),
    });
  }
  const elements = portsEnd(tail, { maxPorts, packed });
  if (other !== undefined && elements !== 0) {
    throw new MigrationError(
      "PARAMETER_AMBIGUOUS",
      "virtio-console's ports can be read with and without packed rings",
      {
        path: "packed",
      },
    );
  }
  return { maxPorts, packed };
}

/** Two queues a port, and two for control; configuration space says it again once a guest has read it. */
function inferMaxPorts(config: Uint8Array, queues: number): number {
  const maxPorts = queues / 2 - 1;
  const told = maxPortsOf(config) ?? [0];
  const agrees = told[0] === 0 || told.includes(maxPorts);
  if (Number.isInteger(maxPorts) && maxPorts >= 1 && maxPorts <= mostPorts && agrees) return maxPorts;
  throw new MigrationError("PARAMETER_WRONG", "the section's queues are not those of any number of ports", {
    path: "maxPorts",
    expected: told[0] === 0 ? `an even number of queues, 4 to ${2 * (mostPorts + 1)}` : `${told.join(" or ")} ports`,
    found: `${queues} queues`,
  });
}

/** Walks the ports: how many elements there are, or undefined where neither subsections nor the footer follow the end. */
function portsEnd(tail: Uint8Array, { maxPorts, packed }: SerialParameters): number | undefined {
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  const countAt = 8 + 4 * mapWords(maxPorts);
  if (tail.length < countAt + 4) return undefined;
  const count = view.getUint32(countAt);
  if (count > maxPorts) return undefined;
  let at = countAt + 4;
  let elements = 0;
  for (let i = 0; i < count; i++) {
    if (tail.length < at + 10) return undefined;
    const popped = view.getUint32(at + 6) !== 0;
    at += 10;
    if (!popped) continue;
    elements++;
    at += 12 + (packed ? 4 : 0) + elementBlobBytes;
  }
  const next = tail[at];
  if (at > tail.length) return undefined;
  if (next === undefined || next === 0x7e) return elements;
  const name = String.fromCharCode(...tail.subarray(at + 2, at + 9));
  return next === 0x05 && name === "virtio/" ? elements : undefined;
}
