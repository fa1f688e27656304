// virtio-blk as a class of sections, whatever the transport.
import { MigrationError } from "@godwit/core";
import { elementBlobBytes, type NoData, noData, type VirtioClass, type VirtioClassFacts } from "@godwit/virtio-core";
import { queuesOf } from "./configuration.ts";
import { section } from "./constants.ts";
import { type CarriedRequest, type RequestListParameters, requestList } from "./request-list.ts";

/** virtio-blk as a class of sections. It has no class description: its requests stand before one would. */
export const virtioBlkClass: VirtioClass<RequestListParameters, NoData, CarriedRequest[]> = {
  ...section,
  description: () => noData,
  legacySave: requestList,
  infer: inferBlkParameters,
};

/**
 * Finds the number of queues and whether packed rings are offered: from the section's queues, from configuration space,
 * and from where the list of requests ends. An empty list is the same bytes in every case.
 */
export function inferBlkParameters(facts: VirtioClassFacts): RequestListParameters {
  const queues = inferQueues(facts);
  const fits = [false, true].filter((packed) => listEnds(facts.tail, { queues, packed }));
  if (fits.length === 0) {
    throw new MigrationError("PARAMETER_WRONG", "the list of requests ends nowhere", {
      path: "queues",
      found: String(queues),
    });
  }
  // Both fit: no request is there, and nothing depends on it.
  if (fits.length === 2 && facts.tail[0] !== 0) {
    throw new MigrationError("PARAMETER_AMBIGUOUS", "virtio-blk's requests can be read with and without packed rings", {
      path: "packed",
    });
  }
  return { queues, packed: fits[0] as boolean };
}

function inferQueues({ config, queues: { length } }: VirtioClassFacts): number {
  const told = queuesOf(config);
  // A device that never had more than one queue may leave the field 0.
  if (told === undefined || told[0] === 0 || told.includes(length)) return length;
  throw new MigrationError("PARAMETER_WRONG", "the section's queues are not as many as configuration space says", {
    path: "queues",
    expected: String(told[0]),
    found: String(length),
  });
}

/** Walks a list under these parameters: true where subsections or the section's footer follow its end. */
function listEnds(tail: Uint8Array, { queues, packed }: RequestListParameters): boolean {
  const each = (queues > 1 ? 4 : 0) + (packed ? 4 : 0) + elementBlobBytes;
  let at = 0;
  while (tail[at] === 1) at += 1 + each;
  if (tail[at] !== 0) return false;
  const next = tail[at + 1];
  return next === undefined || next === 0x7e || (next === 0x05 && isVirtio(tail.subarray(at + 3, at + 9)));
}

function isVirtio(name: Uint8Array): boolean {
  return String.fromCharCode(...name) === "virtio";
}
