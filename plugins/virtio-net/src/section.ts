// virtio-net as a class of sections, whatever the transport.
import { MigrationError } from "@godwit/core";
import type { NoData, VirtioClass, VirtioClassFacts } from "@godwit/virtio-core";
import { macBytes, netFeature, section, vlanBytes } from "./constants.ts";
import { type VirtioNetState, virtioNetDevice } from "./device-state.ts";

/** What the transport's parameters do not say of a virtio-net section. */
export interface VirtioNetParameters {
  readonly queuePairs: number;
}

const macTableAt = 18;
const pairsInConfigAt = 8;

/** Finds how many queue pairs the device has: from what its bytes add up to, and from configuration space. */
export function inferNetParameters(facts: VirtioClassFacts): VirtioNetParameters {
  const { tail, config } = facts;
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  const pairsAt =
    macTableAt + 4 + (tail.length < macTableAt + 4 ? 0 : view.getUint32(macTableAt)) * macBytes + vlanBytes + 11;
  const offloads = (BigInt(facts.guestFeatures) & netFeature.CTRL_GUEST_OFFLOADS) === 0n ? 0 : 8;
  if (tail.length < pairsAt + 4) {
    throw new MigrationError("STREAM_TRUNCATED", "the section ends before its number of queue pairs can be told", {
      path: "device",
      expected: `${pairsAt + 4} bytes`,
      found: `${tail.length} bytes`,
    });
  }
  const fits: number[] = [];
  if (subsectionsFollow(tail, pairsAt + offloads)) fits.push(1);
  const most = view.getUint16(pairsAt);
  const used = view.getUint16(pairsAt + 2);
  if (most > 1 && used >= 1 && used <= most && subsectionsFollow(tail, pairsAt + 4 + 4 * (used - 1) + offloads)) {
    fits.push(most);
  }
  const told = pairsInConfig(config);
  const agreed = told === undefined ? fits : fits.filter((pairs) => told.includes(pairs));
  const [queuePairs] = agreed;
  if (agreed.length > 1) {
    throw new MigrationError("PARAMETER_AMBIGUOUS", "virtio-net's queuePairs can be read in two ways", {
      path: "queuePairs",
      found: agreed.join(" or "),
    });
  }
  if (queuePairs === undefined) {
    throw new MigrationError("PARAMETER_WRONG", "no number of queue pairs fits the section", {
      path: "queuePairs",
      expected:
        told === undefined
          ? "one that ends where subsections begin"
          : `${told.join(" or ")}, as configuration space says`,
      found: fits.length === 0 ? "none" : fits.join(" or "),
    });
  }
  return { queuePairs };
}

/**
 * `max_virtqueue_pairs`, where the configuration space reaches that far; a legacy guest may have it in either order. QEMU
 * leaves 0 until a guest reads it.
 */
function pairsInConfig(config: Uint8Array): readonly number[] | undefined {
  if (config.length < pairsInConfigAt + 2) return undefined;
  const [a, b] = [config[pairsInConfigAt] as number, config[pairsInConfigAt + 1] as number];
  return a === 0 && b === 0 ? undefined : [a | (b << 8), (a << 8) | b];
}

/** Behind the class's fields come subsections, its own or those of "virtio", or the section's footer. */
function subsectionsFollow(tail: Uint8Array, at: number): boolean {
  if (at === tail.length || tail[at] === 0x7e) return true;
  if (tail[at] !== 0x05 || tail.length < at + 2 + prefix.length) return false;
  return prefix.every((byte, i) => tail[at + 2 + i] === byte);
}

const prefix = Uint8Array.from("virtio", (character) => character.charCodeAt(0));

/** virtio-net, as a class of sections. */
export const virtioNetClass: VirtioClass<VirtioNetParameters, VirtioNetState, NoData> = {
  ...section,
  description: virtioNetDevice,
  infer: inferNetParameters,
};
