// Registers that the guest has seen and cannot write: what they are in the stream, and what they would be at the destination.
import { capabilityId, compareConfig, withoutCapability } from "./config-space.ts";
import type { DecodedSection, DecodedTarget } from "./decoded.ts";
import type { MachineType } from "./machine.ts";
import { machineDefault } from "./machine-defaults.ts";
import type { Refusal } from "./types.ts";
import { pciTransport, virtioFacts } from "./virtio.ts";
import { vtdIdstr } from "./vtd-options.ts";

/** Undefined: nothing is known against it. */
export function layoutRefusal(
  section: DecodedSection,
  destination: MachineType,
  target: DecodedTarget | undefined,
): Refusal | undefined {
  const theirs = target?.sections?.find(({ key, phase }) => key === section.key && phase === section.phase);
  if (section.head.idstr === vtdIdstr) return theirs && capabilityRefusal(section, theirs);
  const config = configSpaceOf(section);
  if (config === undefined) return undefined;
  const own = theirs && configSpaceOf(theirs);
  if (own !== undefined) return configRefusal(section, config, own, "the destination's own stream has it so");
  return foretold(section, config, destination);
}

/** What a device without an option for it would look like, by the rows that are `fixed`. */
function foretold(section: DecodedSection, config: Uint8Array, destination: MachineType): Refusal | undefined {
  const facts = virtioFacts(section);
  if (facts?.pciConfig === undefined) return undefined;
  const vectors = machineDefault(destination, facts.device, "vectors");
  const { vectors: found } = pciTransport(config);
  if (vectors?.fixed !== true || vectors.value !== "0" || found === 0) return undefined;
  const why =
    `${facts.device} has an MSI-X capability for ${found} vectors in the stream; that of ${destination.name} has none, ` +
    "and no option that gives it one";
  return configRefusal(section, config, withoutCapability(config, capabilityId.msix), why);
}

const hex = (byte: number): string => `0x${byte.toString(16)}`;

function configRefusal(
  section: DecodedSection,
  found: Uint8Array,
  destination: Uint8Array,
  why: string,
): Refusal | undefined {
  if (found.length !== destination.length) {
    return {
      kind: "layout",
      section: section.key,
      register: undefined,
      found: `${found.length} bytes of configuration space`,
      destination: `${destination.length} bytes`,
      why: "a PCI Express function here is a conventional one there",
    };
  }
  const differences = compareConfig(found, destination);
  const [first] = differences;
  if (first === undefined) return undefined;
  const more = differences.length > 1 ? `, and ${differences.length - 1} more bytes that its guest cannot write` : "";
  return {
    kind: "layout",
    section: section.key,
    register: { offset: first.offset, name: first.name },
    found: hex(first.found),
    destination: hex(first.destination),
    why: `${why}${more}`,
  };
}

const vtdRegisters = [
  ["version register (0x0)", 0x00, 4],
  ["capability register (0x8)", 0x08, 8],
  ["extended capability register (0x10)", 0x10, 8],
] as const;

/** QEMU takes any; a unit that cannot walk the guest's tables then breaks the devices behind it without failing. */
function capabilityRefusal(section: DecodedSection, theirs: DecodedSection): Refusal | undefined {
  const [found, destination] = [section, theirs].map((one) => {
    const { record } = one.fields();
    return record?.["csr"] instanceof Uint8Array ? record["csr"] : undefined;
  });
  if (found === undefined || destination === undefined) return undefined;
  for (const [name, offset, bytes] of vtdRegisters) {
    const [a, b] = [found, destination].map((csr) => littleEndian(csr.subarray(offset, offset + bytes)));
    if (a === b) continue;
    return {
      kind: "layout",
      section: section.key,
      register: { offset, name },
      found: a as string,
      destination: b as string,
      why: "the destination's own unit was made with other options: QEMU would load it, and break the devices behind it",
    };
  }
  return undefined;
}

const littleEndian = (bytes: Uint8Array): string =>
  `0x${[...bytes]
    .reverse()
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")}`;

const pciPath = /^(?:[0-9a-f]{4}:[0-9a-f]{2}|pci@[0-9a-f]+):[0-9a-f]{2}\.[0-7](?::[0-9a-f]{2}\.[0-7])*\/[^/]+$/;

/** Of the section of a PCI function; undefined where nothing tells where it stands in the body. */
export function configSpaceOf(section: DecodedSection): Uint8Array | undefined {
  if (!pciPath.test(section.head.idstr) || section.body === undefined) return undefined;
  // Ours is called `config`; QEMU's vmdesc has `config[0]` of 256 bytes and `config[1]` of 4,096, of a type of its own.
  const found = section
    .fields()
    .fields.find(
      ({ path, type, value }) =>
        (type === undefined ? /(^|\.)config$/.test(path) : type === "pci config") &&
        value instanceof Uint8Array &&
        (value.length === 256 || value.length === 4096),
    );
  return found?.value as Uint8Array | undefined;
}
